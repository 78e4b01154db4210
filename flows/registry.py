"""The trained policies in MLflow's model registry: `rlmec-<preset>`, each version with its scores. Alias `candidate` is
the latest, `champion` the one that the recurring flow starts from."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mlflow.exceptions import MlflowException

from flows.artifacts import Output, StageRun
from flows.digests import DamagedError
from flows.home import home, locked
from flows.store import Store, use_as_default
from tasks.errors import UserError


def registered_name(preset: str) -> str:
    """The registered model of a preset; a character that an address cannot hold becomes a dash."""
    return f"rlmec-{re.sub(r'[^A-Za-z0-9_.-]', '-', preset)}"


def register_policy(store: Store, trained: StageRun, summary: dict[str, Any]) -> str:
    """Register the policy that `train_policy` made, once, and point `candidate` at it; return its version."""
    model = trained.outputs["model"]
    name = registered_name(summary["preset"])
    use_as_default(store)
    version = existing_version(store, name, model.model_id)
    if version is None:
        try:
            store.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source = f"models:/{model.model_id}"
        made = store.client.create_model_version(name, source, trained.run_id, model_id=model.model_id)
        version = str(made.version)
    for tag, text in version_tags(summary).items():
        store.client.set_model_version_tag(name, version, tag, text)
    store.client.set_registered_model_alias(name, "candidate", version)
    return version


CHAMPIONS = "rlmec.champions"  # a tag of the registered model: the versions that were champion, the last of them now


def champion(store: Store, name: str) -> str | None:
    """The version of a registered model that is champion, where there is one."""
    try:
        return str(store.client.get_model_version_by_alias(name, "champion").version)
    except MlflowException:
        return None


@contextmanager
def registry_lock() -> Iterator[None]:
    """Around what reads who is champion and then changes it: of this machine's processes one does so at a time."""
    with locked(home() / ".registry.lock"):
        yield


def promote(store: Store, name: str, version: str) -> None:
    """Make a version the champion, and remember those before it. Call it under `registry_lock`."""
    before = champions(store, name)
    if before[-1:] != [version]:
        set_champions(store, name, [*before, version])


def rollback(store: Store, name: str) -> tuple[str, str]:
    """Make the champion before this one champion again; both versions. UserError where there was none before."""
    use_as_default(store)
    with registry_lock():
        try:
            *before, now = champions(store, name)
        except (MlflowException, ValueError) as error:
            raise UserError(f"{name} has no champion: `rlmec improve` makes the first") from error
        if not before:
            raise UserError(f"{name}: version {now} was the first champion, and there is none before it to go back to")
        set_champions(store, name, before)
    return now, before[-1]


def champions(store: Store, name: str) -> list[str]:
    """The versions that were champion, in order."""
    found: list[str] = json.loads(store.client.get_registered_model(name).tags.get(CHAMPIONS, "[]"))
    return found


def set_champions(store: Store, name: str, versions: list[str]) -> None:
    """Remember the champions, and point the alias at the last."""
    store.client.set_registered_model_tag(name, CHAMPIONS, json.dumps(versions))
    store.client.set_registered_model_alias(name, "champion", versions[-1])


def registered_model(store: Store, address: str) -> Output:
    """The model that `models:/NAME@ALIAS` or `models:/NAME/VERSION` means, as the output of the stage that trained it;
    UserError where the registry has none, or where it is not whole."""
    name, separator, which = re.fullmatch(r"models:/([^@/]*)([@/]?)(.*)", address).groups()  # type: ignore[union-attr]
    use_as_default(store)
    try:
        found = (
            store.client.get_model_version_by_alias(name, which)
            if separator == "@"
            else store.client.get_model_version(name, which)
        )
    except MlflowException as error:
        known = [
            f"models:/{model.name}@{alias}"
            for model in store.client.search_registered_models()
            for alias in model.aliases
        ]
        raise UserError(f"{address}: no such registered model; there are: {', '.join(known) or 'none'}") from error
    try:
        return store.stage_run(str(found.run_id)).outputs["model"]
    except DamagedError as error:
        raise UserError(f"{address}: {error} in run {found.run_id}") from error


def existing_version(store: Store, name: str, model_id: str) -> str | None:
    """The version that a LoggedModel was registered as before, if it was."""
    for version in store.client.search_model_versions(f"name = '{name}'"):
        if version.model_id == model_id or version.source == f"models:/{model_id}":
            return str(version.version)
    return None


def version_tags(summary: dict[str, Any]) -> dict[str, str]:
    """The recipe, the seed and the accuracy after training, as tags of a model version."""
    after = {
        f"accuracy.{benchmark}": f"{sides['after']['rate']:.4f}"
        for benchmark, sides in summary["accuracy"].items()
        if "after" in sides
    }
    return {"recipe": summary["recipe"], "seed": str(summary["seed"]), **after}
