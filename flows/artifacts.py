"""What a stage wrote: its outputs, the digests that say they are whole, and how they enter and leave MLflow.

A stage writes files into a folder; each thing directly in it is one output, named by its stem. On commit the
files become artifacts of the stage's run, the folder `model` becomes a LoggedModel, and `manifest.json`
({output: {path: sha256}}) is written last. An output is read only after its files were compared with it.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from mlflow.exceptions import MlflowException

from flows.digests import (
    DamagedError,
    Manifest,
    check_whole,
    content_digest,
    manifest_of,
    output_digest,
    stage_digest,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

MANIFEST = "manifest.json"
MODEL = "model"


@dataclass(frozen=True)
class Output:
    """One output of a stage, or a folder of the user's. `path` is None for one that lies on a server."""

    path: Path | None
    digest: str
    run_id: str  # "" for a folder of the user's
    stage: str = ""
    name: str = ""
    model_id: str = ""
    file: str = ""  # its path among the run's artifacts


@dataclass(frozen=True)
class StageRun:
    """A finished stage: its run, what it depended on, what it wrote, and how long that took."""

    run_id: str
    stage: str
    key: str
    digest: str
    seconds: float
    outputs: Mapping[str, Output]


def local_path(uri: str) -> Path | None:
    """The path that a file:// address names; None for an address on a server."""
    parsed = urlparse(uri)
    return Path(unquote(parsed.path)) if parsed.scheme in ("", "file") else None


def commit(client: "MlflowClient", run: "Run", out: Path) -> tuple[Manifest, str]:
    """Log what a stage wrote; return the manifest and the id of its LoggedModel ("" without one)."""
    manifest, run_id, model_id = manifest_of(out), run.info.run_id, ""
    for thing in sorted(thing for thing in out.iterdir() if not thing.name.startswith(".")):
        if thing.name == MODEL and thing.is_dir():
            model_id = log_model(client, run, thing)
        elif thing.is_dir():
            client.log_artifacts(run_id, str(thing), thing.name)
        else:
            client.log_artifact(run_id, str(thing))
    client.log_dict(run_id, manifest, MANIFEST)
    return manifest, model_id


def log_model(client: "MlflowClient", run: "Run", folder: Path) -> str:
    """Make a LoggedModel of a save_pretrained folder, as an output of the run; return its id."""
    from mlflow.entities import LoggedModelOutput

    name = run.info.run_name or MODEL
    model = client.create_logged_model(run.info.experiment_id, name=name, source_run_id=run.info.run_id)
    try:
        client.log_model_artifacts(model.model_id, str(folder))
    except BaseException:
        client.finalize_logged_model(model.model_id, "FAILED")
        raise
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, 0)])
    return model.model_id


def load(client: "MlflowClient", run: "Run", cache: Path) -> StageRun:
    """The outputs of a finished run after checking that they are all there and whole; DamagedError otherwise.

    In a store on a server only the presence of the files is checked here, their bytes by `fetch`.
    """
    tags = run.data.tags
    manifest = read_manifest(client, run, cache)
    if stage_digest(manifest) != tags["rlmec.digest"]:
        raise DamagedError(f"{MANIFEST} was altered")
    outputs = {}
    for name, files in manifest.items():
        model_id = tags.get("rlmec.model", "") if name == MODEL else ""
        path = checked_path(client, run, name, files, model_id)
        file = name if next(iter(files), "").startswith(f"{name}/") else next(iter(files), name)
        outputs[name] = Output(
            path, output_digest(name, files), run.info.run_id, tags["rlmec.stage"], name, model_id, file
        )
    return StageRun(
        run.info.run_id,
        tags["rlmec.stage"],
        tags["rlmec.key"],
        tags["rlmec.digest"],
        float(tags["rlmec.seconds"]),
        outputs,
    )


def read_manifest(client: "MlflowClient", run: "Run", cache: Path) -> Manifest:
    """The manifest of a run; DamagedError where it cannot be read."""
    root = local_path(run.info.artifact_uri)
    try:
        if root is None:
            cache.mkdir(parents=True, exist_ok=True)
            root = Path(client.download_artifacts(run.info.run_id, MANIFEST, str(cache))).parent
        manifest: Manifest = json.loads((root / MANIFEST).read_text())
    except (OSError, ValueError, MlflowException) as error:
        raise DamagedError(f"{MANIFEST} cannot be read ({type(error).__name__})") from error
    for path in (path for name, files in manifest.items() for path in (name, *files)):
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise DamagedError(f"{MANIFEST} names {path!r}, which lies outside of the run's artifacts")
    return manifest


def checked_path(client: "MlflowClient", run: "Run", name: str, files: Mapping[str, str], model_id: str) -> Path | None:
    """Where an output lies after its check: a path, or None in a store on a server."""
    root = local_path(run.info.artifact_uri)
    if model_id:
        root = model_root(client, model_id)
        files = {path.removeprefix(f"{name}/"): digest for path, digest in files.items()}
    if root is None:
        listed = remote_files(client, run.info.run_id, model_id)
        missing = sorted(set(files) - listed)
        if missing:
            raise DamagedError(f"{missing[0]} is missing on the server")
        return None
    check_whole(root, files)
    if model_id:
        return root
    return root / name if (root / name).is_dir() else root / next(iter(files))


def model_root(client: "MlflowClient", model_id: str) -> Path | None:
    """The folder of a LoggedModel, None on a server; DamagedError where it was deleted."""
    try:
        return local_path(client.get_logged_model(model_id).artifact_location)
    except MlflowException as error:
        raise DamagedError(f"the logged model {model_id} was deleted") from error


def remote_files(client: "MlflowClient", run_id: str, model_id: str) -> set[str]:
    """Every file of a run's artifacts, or of a LoggedModel, on a server."""
    waiting: list[str | None] = [None]
    found = set()
    while waiting:
        folder = waiting.pop()
        entries = (
            client.list_logged_model_artifacts(model_id, folder) if model_id else client.list_artifacts(run_id, folder)
        )
        waiting += [entry.path for entry in entries if entry.is_dir]
        found |= {entry.path for entry in entries if not entry.is_dir}
    return found


def fetch(output: Output, cache: Path, tracking_uri: str) -> Path:
    """A local path of an output. One on a server is downloaded into `cache` and checked, once."""
    if output.path is not None:
        return output.path
    place = cache / output.digest
    if place.is_dir():
        found = next(place.iterdir())
        if content_digest(found) == output.digest:
            return found
        shutil.rmtree(place)  # a copy is no loss
    partial = cache / f".{output.digest}.{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        download(output, partial, tracking_uri)
        found = next(partial.iterdir())
        if content_digest(found) != output.digest:
            raise DamagedError(f"{output.file or output.name} was altered on the server, in run {output.run_id}")
        put(partial, place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return place / found.name


def put(partial: Path, place: Path) -> None:
    """Give a folder that is whole its name, unless another process was quicker: then what is there stays."""
    try:
        os.replace(partial, place)
    except OSError:
        if not place.is_dir():
            raise
        shutil.rmtree(partial)


def download(output: Output, folder: Path, tracking_uri: str) -> None:
    """Download one output into an empty folder."""
    from mlflow.artifacts import download_artifacts

    source = f"models:/{output.model_id}" if output.model_id else f"runs:/{output.run_id}/{output.file}"
    target = folder / output.name if output.model_id else folder
    download_artifacts(artifact_uri=source, dst_path=str(target), tracking_uri=tracking_uri)
