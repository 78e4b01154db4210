"""The MLflow store, the only memory of finished work: runs are started, ended, found again and swept here.

The store is RLMEC_HOME/mlflow.db with artifacts beside it, or the server that MLFLOW_TRACKING_URI names. All
goes through a client and explicit run ids; MLflow's fluent active run is thread-local and is never used.

    store = open_store()
    found, problems = store.find(key)
"""

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow
import psutil
from mlflow import MlflowClient
from mlflow.artifacts import load_dict
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput, Run, RunTag
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from flows import artifacts
from flows.artifacts import Output, StageRun
from flows.digests import DamagedError, stage_digest
from flows.home import home, locked
from flows.metrics import log_params
from tasks.errors import UserError

EXPERIMENT = "rlmec"
DATABASE, LATEST = "mlflow.db", "latest"
ABOUT = {  # tags of the experiment; by the first MLflow's page shows runs and charts, not traces and judges
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": "A pipeline, a comparison and a round of `rlmec improve` are parents with their stages or "
    "pipelines below them; each has a description, and its artifact report.html shows what came out.",
}
STARTS_APART = 2.0  # seconds by which two readings of one process's start may differ


def store_uri(folder: Path) -> str:
    """The store's address: a server's where MLFLOW_TRACKING_URI names one, else the database in `folder`. UserError
    where the address holds a password, for addresses are shown and stored."""
    named = os.environ.get("MLFLOW_TRACKING_URI", "")
    if urlsplit(named).password:
        raise UserError(
            "MLFLOW_TRACKING_URI holds a password: take it out, and set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD"
        )
    return named if named.startswith(("http://", "https://")) else sqlite(folder / DATABASE)


def sqlite(path: Path) -> str:
    """The address of a database file."""
    return f"sqlite:///{path}"


def make_database(path: Path) -> None:
    """Make MLflow's database where there is none, under a temporary name: MLflow cannot open one whose tables were
    half made when its process was killed."""
    if not path.exists():
        partial = path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        MlflowClient(sqlite(partial)).search_experiments()
        os.replace(partial, path)


def open_store() -> "Store":
    """The store of this RLMEC_HOME, opened once a process."""
    folder = home()
    return _opened(folder, store_uri(folder))


@lru_cache(maxsize=8)
def _opened(folder: Path, uri: str) -> "Store":
    return Store(folder, uri)


def process_identity() -> str:
    """Which process this is, also after its number was given to another: host, number and start."""
    me = psutil.Process()
    return json.dumps({"host": socket.gethostname(), "pid": me.pid, "started": me.create_time()})


def is_gone(identity: str) -> bool:
    """Whether the process of an identity is known to have ended; False for one on another machine."""
    process = json.loads(identity)
    if process["host"] != socket.gethostname():
        return False
    try:
        now = psutil.Process(process["pid"])
        is_other = abs(now.create_time() - process["started"]) > STARTS_APART
        return is_other or now.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Store:
    """One MLflow store with its one experiment `rlmec`."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder, self.uri = folder, uri
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with locked(folder / ".lock"):  # two processes that made the database at once would both fail
                if not self.is_remote:
                    make_database(folder / DATABASE)
                self.client = MlflowClient(uri)
                self.experiment = self._experiment()
        except (MlflowException, SQLAlchemyError) as error:
            raise UserError(f"the store cannot be opened: {uri} ({one_line(error)})") from error

    @property
    def is_remote(self) -> bool:
        """Whether it is a server's, whose artifacts do not lie on this machine."""
        return self.uri.startswith("http")

    def _experiment(self) -> str:
        """The experiment's id; UserError where the store was made in another folder than it lies in."""
        wanted = self.folder / "artifacts"
        found = self.client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            return self.client.create_experiment(EXPERIMENT, None if self.is_remote else wanted.as_uri(), ABOUT)
        place = artifacts.local_path(found.artifact_location)
        if not self.is_remote and place is not None and place.resolve() != wanted:
            raise UserError(
                f"the store in {self.folder} was made in {place.parent}, and MLflow keeps that path: move it "
                f"back there, or set RLMEC_HOME to a new folder to start another store"
            )
        return found.experiment_id

    def start(self, name: str, tags: Mapping[str, str], parent: str | None = None) -> Run:
        """Start a run, marked with this process so that a later start can see whether it still lives."""
        nested = {"mlflow.parentRunId": parent} if parent else {}
        process = {"rlmec.process": process_identity(), "mlflow.source.name": "rlmec"}
        return self.client.create_run(
            self.experiment, run_name=name, tags={**tags, **nested, **process, "mlflow.user": user()}
        )

    @contextmanager
    def running(self, name: str, tags: Mapping[str, str], parent: str | None = None) -> Iterator[str]:
        """A run around a body, by its id: FINISHED after it, FAILED or KILLED where it raised."""
        run_id: str = self.start(name, tags, parent).info.run_id
        try:
            yield run_id
            self.end(run_id, "FINISHED")
        except Exception:
            self.end(run_id, "FAILED")
            raise
        except BaseException:  # Ctrl-C or SIGTERM
            self.end(run_id, "KILLED")
            raise

    def end(self, run_id: str, status: str) -> None:
        """End a run: FINISHED (the commit mark), FAILED or KILLED."""
        self.client.set_terminated(run_id, status)

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        self.client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def params(self, run_id: str, values: Mapping[str, object]) -> None:
        """Log nested options as parameters."""
        log_params(self.client, run_id, values)

    def inputs(self, run_id: str, inputs: Mapping[str, Output]) -> None:
        """Log what a run read: each input as a dataset (digest and source), a model also as a model."""
        datasets = [
            DatasetInput(
                Dataset(
                    name=name,
                    digest=output.digest[:36],
                    source_type="local",
                    source=json.dumps({"uri": str(output.path or f"runs:/{output.run_id}/{output.file}")}),
                ),
                tags=[InputTag("mlflow.data.context", name), InputTag("rlmec.run", output.run_id or "none")],
            )
            for name, output in inputs.items()
        ]
        models = [LoggedModelInput(output.model_id) for output in inputs.values() if output.model_id]
        if datasets:
            self.client.log_inputs(run_id, datasets, models)

    def commit(self, run: Run, out: Path, seconds: float) -> StageRun:
        """Log what a stage wrote, then mark its run FINISHED: the mark means that all of it is there."""
        manifest, model_id = artifacts.commit(self.client, run, out)
        tags = {"rlmec.digest": stage_digest(manifest), "rlmec.seconds": f"{seconds:.3f}"}
        self.tag(run.info.run_id, {**tags, **({"rlmec.model": model_id} if model_id else {})})
        self.end(run.info.run_id, "FINISHED")
        return self.stage_run(run.info.run_id)

    def find(self, key: str) -> tuple[StageRun | None, list[str]]:
        """The newest finished run with a key that is whole, and what was wrong with newer ones."""
        problems: list[str] = []
        for run in self.search(f"tags.`rlmec.key` = '{key}' and attributes.status = 'FINISHED'"):
            try:
                return self._stage_run(run), problems
            except DamagedError as error:
                problems.append(f"{error} in run {run.info.run_id}")
        return None, problems

    def from_other_code(self, label: str, settings: str, code: str) -> str | None:
        """The id of a finished run of a stage with these options and this seed that other code computed, or None."""
        where = f"tags.`rlmec.settings` = '{settings}' and attributes.status = 'FINISHED'"
        for run in self.search(where):
            if run.info.run_name == label and run.data.tags.get("rlmec.code") != code:
                return run.info.run_id
        return None

    def stage_run(self, run_id: str) -> StageRun:
        """A finished run's outputs after their check; DamagedError names a file that is not whole."""
        return self._stage_run(self.client.get_run(run_id))

    def _stage_run(self, run: Run) -> StageRun:
        return artifacts.load(self.client, run, self.folder / "work/cache" / run.info.run_id)

    def fetch(self, output: Output) -> Path:
        """A local path of an output's files."""
        return artifacts.fetch(output, self.folder / "work/cache", self.uri)

    def search(self, where: str) -> Iterator[Run]:
        """All runs that match, newest first."""
        order = ["attributes.start_time DESC"]
        return paged(lambda token: self.client.search_runs([self.experiment], where, order_by=order, page_token=token))

    def pipeline(self, text: str) -> Run:
        """The pipeline that an id, the unique beginning of one, a name, or `latest` means; UserError otherwise."""
        return self.named(text, "pipeline")

    def named(self, text: str, *kinds: str) -> Run:
        """The run of one of these kinds that an id, the beginning of one, a name, or `latest` means; UserError
        otherwise."""
        runs = [run for kind in kinds for run in self.search(f"tags.`rlmec.kind` = '{kind}'")]
        if text == LATEST and runs:
            tops = [
                run for run in runs if "mlflow.parentRunId" not in run.data.tags
            ]  # rather than a comparison's parts
            return max(tops or runs, key=lambda run: run.info.start_time)
        found = [run for run in runs if run.info.run_name == text or run.info.run_id == text]
        found = found or [run for run in runs if text and run.info.run_id.startswith(text)]
        what = " or ".join(kinds)
        if not found:
            latest = f"the latest is {runs[0].info.run_name} ({runs[0].info.run_id})" if runs else "there is none"
            raise UserError(f"no {what} run is called {text!r} in {self.uri}: {latest}")
        if len(found) > 1:
            ids = ", ".join(run.info.run_id for run in found[:5])
            raise UserError(f"{text!r} means {len(found)} {what} runs: give one of the ids {ids}")
        return found[0]

    def config_of(self, text: str) -> dict[str, Any]:
        """The configuration that a pipeline ran with, from its config.json."""
        run = self.pipeline(text)
        try:
            return dict(load_dict(f"{run.info.artifact_uri}/config.json"))
        except (MlflowException, OSError, ValueError) as error:
            raise UserError(f"the configuration of run {run.info.run_name} cannot be read: name a PRESET") from error

    def sweep(self) -> list[str]:
        """Mark runs KILLED whose process is gone; return their names."""
        swept = []
        for run in list(self.search("attributes.status = 'RUNNING'")):
            identity = run.data.tags.get("rlmec.process")
            if identity and is_gone(identity):
                self.end(run.info.run_id, "KILLED")
                swept.append(run.info.run_name)
        return swept


def paged(page_of: Callable[[str | None], Any]) -> Iterator[Any]:
    """Every item of what MLflow lists page by page. page_of: the page that a token, or None at first, asks for."""
    token = None
    while True:
        page = page_of(token)
        yield from page
        token = page.token
        if not token:
            return


def user() -> str:
    """The name under which runs are shown."""
    return os.environ.get("USER") or os.environ.get("LOGNAME") or "unknown"


def one_line(error: BaseException) -> str:
    """An exception's text as one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def use_as_default(store: Store) -> None:
    """Tell MLflow's own code which store is meant: its model registry asks for the default one."""
    mlflow.set_tracking_uri(store.uri)
