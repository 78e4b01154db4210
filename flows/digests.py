"""Content digests: what says that two files, folders or stage outputs are the same, wherever they lie."""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

Manifest = dict[str, dict[str, str]]  # {output: {path below the stage's folder: sha256}}


class DamagedError(Exception):
    """An artifact is not what was written: the message names the file and what is wrong with it."""


@lru_cache(maxsize=4096)
def _digest_at(path: str, size: int, changed: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    status = path.stat()
    return _digest_at(str(path), status.st_size, status.st_mtime_ns)


def files_below(path: Path) -> dict[str, str]:
    """Digest of each file of a folder by its path in it; a single file stands alone, under its name."""
    if path.is_file():
        return {path.name: file_digest(path)}
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): file_digest(file) for file in files}


def combined(digests: Mapping[str, str]) -> str:
    """One digest of several named ones; their order does not matter."""
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def content_digest(path: Path) -> str:
    """The digest of a file's bytes, or of a folder's files and their names: the same wherever it lies."""
    return file_digest(path) if path.is_file() else combined(files_below(path))


def manifest_of(out: Path) -> Manifest:
    """The files of every output in a stage's folder, by path in it, but for names with a dot in front."""
    manifest: Manifest = {}
    for thing in sorted(thing for thing in out.iterdir() if not thing.name.startswith(".")):
        name = thing.name if thing.is_dir() else thing.stem
        if name in manifest:
            raise ValueError(f"{thing}: two outputs are named {name}")
        prefix = f"{name}/" if thing.is_dir() else ""
        manifest[name] = {prefix + path: digest for path, digest in files_below(thing).items()}
    return manifest


def output_digest(name: str, files: Mapping[str, str]) -> str:
    """An output's content digest from its part of the manifest, as `content_digest` gives it for a path."""
    below = {path.removeprefix(f"{name}/"): digest for path, digest in files.items()}
    return combined(below) if below.keys() != files.keys() or not files else next(iter(files.values()))


def stage_digest(manifest: Manifest) -> str:
    """One digest of all that a stage wrote."""
    return combined({name: output_digest(name, files) for name, files in manifest.items()})


def check_whole(root: Path, files: Mapping[str, str]) -> None:
    """Raise DamagedError unless every file lies below `root` with the bytes that its digest says."""
    for path, digest in files.items():
        file = root / path
        if not file.is_file():
            raise DamagedError(f"{path} is missing (it was {file})")
        if file_digest(file) != digest:
            raise DamagedError(f"{path} was altered ({file})")
