"""`rlmec prune`: shows what the store no longer needs, and when told deletes it, through MLflow's garbage collection.

    rlmec prune --keep 20            what would go
    rlmec prune --keep 20 --delete   it goes

Kept are the newest finished runs that a user started (pipelines, rounds, comparisons), all that began since the first
of them, the registered policies that have an alias or were champion, whatever was registered under another name, and
every stage that any of these was made from. Runs of other programs are left alone. Runs that were deleted in MLflow's
pages before go with the rest: its garbage collection takes all that is marked.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from flows.artifacts import local_path, model_root
from flows.control import stage_runs
from flows.digests import DamagedError
from flows.registry import champions, registered_name
from flows.stage import alone
from flows.store import Store, one_line, paged, use_as_default
from tasks.errors import UserError


@dataclass(frozen=True)
class Waste:
    """What can go: runs (newest first), the models that they trained (by id) and the versions under which these are
    registered, and folders of unfinished stages; `size` in bytes is what lies on this machine's disks."""

    runs: Sequence[Run]
    models: Sequence[str]
    versions: Sequence[ModelVersion]
    folders: Sequence[Path]
    size: int


def waste(store: Store, keep: int) -> Waste:
    """What the `keep` newest runs and the champions do not need."""
    runs = {run.info.run_id: run for run in store.search("") if "rlmec.kind" in run.data.tags}
    versions = list(registered(store))
    kept = needed(runs, keep, [str(version.run_id) for version in versions if is_wanted(store, version)])
    gone = [run for run in runs.values() if run.info.run_id not in kept]
    ids = {run.info.run_id for run in gone}
    keys = {runs[run_id].data.tags.get("rlmec.key", "") for run_id in kept}
    folders = list(unfinished(store.folder / "work", keys))
    models = dict(trained(store, gone))
    places = [*folders, *(local_path(run.info.artifact_uri) for run in gone), *models.values()]
    size = sum(folder_size(place) for place in places if place)
    return Waste(gone, list(models), [version for version in versions if version.run_id in ids], folders, size)


def needed(runs: Mapping[str, Run], keep: int, policies: Iterable[str]) -> set[str]:
    """The ids of the runs that stay: the newest with all below them, what trained `policies` with all above it, and
    every stage that any of these read."""
    below: dict[str, list[str]] = {}
    for run_id, run in runs.items():
        below.setdefault(parent_of(run), []).append(run_id)
    waiting = list(newest([runs[run_id] for run_id in below.get("", [])], keep))
    for run_id in waiting:  # grows while it is read
        waiting += below.get(run_id, [])
    for policy in policies:
        above = policy
        while above in runs:
            waiting.append(above)
            above = parent_of(runs[above])
    found = set[str]()
    while waiting:
        run_id = waiting.pop()
        if run_id in runs and run_id not in found:
            found.add(run_id)
            waiting += read_by(runs[run_id])
    return found


def newest(tops: Sequence[Run], keep: int) -> Iterator[str]:
    """Of the runs that a user started: the newest `keep` finished ones, and all that began since."""
    starts = sorted((run.info.start_time for run in tops if run.info.status == "FINISHED"), reverse=True)
    since = starts[keep - 1] if len(starts) >= keep else 0
    return (run.info.run_id for run in tops if run.info.start_time >= since or run.info.status == "RUNNING")


def parent_of(run: Run) -> str:
    """The id of the run above, "" for one that a user started."""
    return str(run.data.tags.get("mlflow.parentRunId", ""))


def read_by(run: Run) -> list[str]:
    """The stages of a pipeline, or what a stage read."""
    inputs = [text for tag, text in run.data.tags.items() if tag.startswith("rlmec.input.")]
    return [*stage_runs(run).values(), *inputs]


def registered(store: Store) -> Iterator[ModelVersion]:
    """Every version of every registered model."""
    use_as_default(store)
    return paged(lambda token: store.client.search_model_versions("", page_token=token))


def is_wanted(store: Store, version: ModelVersion) -> bool:
    """Whether a version has an alias, is another program's, or `rlmec rollback` can come back to it."""
    model = store.client.get_registered_model(version.name)
    named = {str(number) for number in model.aliases.values()}
    is_foreign = not version.name.startswith(registered_name(""))
    return is_foreign or str(version.version) in {*named, *champions(store, version.name)}


def unfinished(work: Path, keys: set[str]) -> Iterator[Path]:
    """The folders of stages that were never finished, are not at work, and belong to no run that stays."""
    for folder in sorted(work.iterdir()) if work.is_dir() else ():
        key = folder.name.partition(".")[0]
        if not folder.is_dir() or folder.name == "cache" or key in keys:
            continue
        with alone(folder) as is_alone:
            if is_alone:
                yield folder


def trained(store: Store, runs: Iterable[Run]) -> Iterator[tuple[str, Path | None]]:
    """The models of runs, by id, and where they lie (None on a server), without those that are deleted already."""
    for run in runs:
        if model_id := run.data.tags.get("rlmec.model"):
            with suppress(DamagedError):
                yield model_id, model_root(store.client, model_id)


def folder_size(folder: Path) -> int:
    """Bytes of the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def delete(store: Store, unneeded: Waste) -> None:
    """Delete runs, models and folders. On a server the runs are marked as deleted: its keeper calls `mlflow gc` there.

    UserError where MLflow could not."""
    try:
        for version in unneeded.versions:
            store.client.delete_model_version(version.name, version.version)
        for model in unneeded.models:
            store.client.delete_logged_model(model)
        for run in unneeded.runs:
            store.client.delete_run(run.info.run_id)
        if not store.is_remote:
            collect = ["gc", "--backend-store-uri", store.uri, "--tracking-uri", store.uri]
            subprocess.run([sys.executable, "-m", "mlflow", *collect], check=True, capture_output=True, text=True)
    except (MlflowException, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or error
        raise UserError(f"not all of it could be deleted ({one_line(Exception(said))}); try again") from error
    for folder in unneeded.folders:
        with alone(folder) as is_alone:  # a stage may have gone on there since
            if is_alone:
                shutil.rmtree(folder, ignore_errors=True)
