"""Where all is kept (`RLMEC_HOME`, default ./mlruns), and the environment that Prefect and MLflow read.

`quieten` must run before Prefect and MLflow are imported: both read the environment only then.
"""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

QUIET = {
    "DO_NOT_TRACK": "1",
    "GIT_PYTHON_REFRESH": "quiet",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # those of transformers, too
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the console only: the Prefect UI keeps its log
    "PREFECT_LOGGING_HANDLERS_CONSOLE_FLOW_RUNS_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",  # into server.log
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}

OF_A_STORE = ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "PREFECT_HOME", "RLMEC_HOME")


def home() -> Path:
    """The folder that holds the store, as an absolute path without links."""
    return Path(os.environ.get("RLMEC_HOME") or "mlruns").expanduser().resolve()


def work(*parts: str) -> Path:
    """A path below RLMEC_HOME/work, where unfinished stages live."""
    return home().joinpath("work", *parts)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock on a file: one process at a time; a killed process holds nothing."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def environment_of(folder: Path, **variables: str) -> dict[str, str]:
    """The environment of a command that keeps all in `folder`, with more variables: this process's, less what names
    another store and the servers of one."""
    inherited = {name: text for name, text in os.environ.items() if name not in OF_A_STORE}
    return {**inherited, "RLMEC_HOME": str(folder), **variables}


def quieten() -> None:
    """Set what keeps library chatter off the terminal and Prefect's own files below RLMEC_HOME."""
    folder = home()
    folder.mkdir(parents=True, exist_ok=True)  # Prefect needs the parent of its home to be there
    os.environ.setdefault("PREFECT_HOME", str(folder / "prefect"))
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    for noisy in ("alembic", "httpx", "huggingface_hub", "mlflow"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
