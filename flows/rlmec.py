"""RLMEC as one Prefect flow, for deployments and for runs that compute something."""

from prefect import flow

from flows.config import RunConfig
from flows.control import Control
from flows.method import command, method
from flows.pipeline import Outcome, run_method


@flow(name="rlmec")
def rlmec(
    config: RunConfig,
    force: list[str] | None = None,
    only: str | None = None,
    until: str | None = None,
    from_run: str | None = None,
) -> Outcome:
    """The method as a Prefect flow; its controls are parameters, so that a deployment offers them, too."""
    control = Control(tuple(force or ()), only, until, from_run, command(config))
    return run_method(method, config, control)
