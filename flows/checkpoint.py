"""Checkpoints that come from outside a run: a registered model, a local folder, a model on the Hugging Face hub.

    checkpoint(store, "Qwen/Qwen3-0.6B")                          asked through its chat template
    checkpoint(store, "Qwen/Qwen3-0.6B-Base", chat_template=False)  in plain text

A checkpoint's own tokenizer says how it is asked, in every stage, and in the policies trained from it. So to ask in
plain text is to start from a copy without the template (of links: the weights are not copied).
"""

import json
import os
import shutil
from pathlib import Path

from flows.artifacts import Output, put
from flows.digests import content_digest
from flows.registry import registered_model
from flows.store import Store
from tasks.errors import UserError

TEMPLATES = ("chat_template.jinja", "chat_template.json")
CONFIG, KEY = "tokenizer_config.json", "chat_template"
PLAIN = " without its chat template"  # behind the name of such a copy


def checkpoint(store: Store, name: str, chat_template: bool = True) -> Output:
    """A checkpoint by models:/NAME@ALIAS, models:/NAME/VERSION, folder or hub id; weights are safetensors."""
    if name.startswith("models:/"):
        found = registered_model(store, name)
    else:
        path = Path(name).expanduser()
        if not path.is_dir():
            path = downloaded(name)
        check_safetensors(name, path)
        found = Output(path, content_digest(path), "", name=name)
    return found if chat_template else without_chat_template(store, found)


def without_chat_template(store: Store, given: Output) -> Output:
    """The same checkpoint without its tokenizer's chat template; itself where there is none."""
    folder, place = store.fetch(given), store.folder / "work/cache" / f"plain-{given.digest}"
    config = json.loads((folder / CONFIG).read_text()) if (folder / CONFIG).is_file() else {}
    if KEY not in config and not any((folder / name).exists() for name in TEMPLATES):
        return given
    if not place.is_dir():
        partial = place.with_name(f".{place.name}.{os.getpid()}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for file in folder.iterdir():
            if file.is_file() and file.name not in (*TEMPLATES, CONFIG):
                (partial / file.name).symlink_to(file.resolve())
        (partial / CONFIG).write_text(json.dumps({name: value for name, value in config.items() if name != KEY}))
        put(partial, place)
    return Output(place, content_digest(place), given.run_id, name=f"{given.name}{PLAIN}")


def downloaded(name: str) -> Path:
    """The local snapshot of a checkpoint on the hub; UserError where there is none."""
    from huggingface_hub import snapshot_download

    wanted = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
    try:
        path = Path(snapshot_download(name, allow_patterns=wanted))
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        raise UserError(
            f"checkpoint {name!r} is no local folder and could not be had from the hub ({reason})"
        ) from error
    return path


def check_safetensors(name: str, path: Path) -> None:
    """UserError where a checkpoint's folder holds no safetensors weights."""
    if not any(path.glob("*.safetensors")):
        raise UserError(f"checkpoint {name!r} has no .safetensors file; pickled weights are not read")
