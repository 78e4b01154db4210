"""The key of a stage: what its result depends on, and nothing else, as one hash.

    key = stage_key("score", code_digest("score", options), options, seed, {"samples": "6f1e…"})

Code counts as syntax trees without docstrings and comments: a better comment reruns nothing. A stage's code
is its module and every module of `tasks/` and `models/` that it imports, also within functions, or that its
options name through `parts()`, where a path names a file of the user's. Files outside the store that they name
through `files()` count by content.
"""

import ast
import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from flows.digests import content_digest
from tasks.errors import UserError

ROOTS = ("tasks", "models")


def digest_of(value: object) -> str:
    """32 hexadecimal digits of a JSON value; the order of its keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


def stage_seed(seed: int, stage: str) -> int:
    """The seed of a stage, from the run's seed and the stage's name alone; in 0..2³¹−1."""
    return int(hashlib.sha256(f"{seed}/{stage}".encode()).hexdigest()[:8], 16) & 0x7FFFFFFF


def settings(options: BaseModel, seed: int | None) -> str:
    """The hash of a stage's options and seed only; seed is None for a stage that uses none. Options that change no
    result may be named by `unkeyed`, and do not count."""
    aside = getattr(options, "unkeyed", None)
    return digest_of({"options": options.model_dump(mode="json", exclude=aside), "seed": seed})


def stage_key(stage: str, code: str, options: BaseModel, seed: int | None, inputs: Mapping[str, str]) -> str:
    """The key: equal keys mean equal results. `inputs` holds the content digest of each input."""
    return digest_of(
        {
            "stage": stage,
            "code": code,
            "settings": settings(options, seed),
            "inputs": dict(inputs),
            "files": named_files(options),
        }
    )


def named_files(options: BaseModel) -> dict[str, str]:
    """Content digests of the files that the options name, so that a changed file is seen."""
    paths: Iterable[Path | str] = getattr(options, "files", list)()
    digests = {}
    for path in map(Path, paths):
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
        digests[str(path)] = content_digest(path)
    return digests


def roots_of(package: str) -> tuple[str, ...]:
    """The packages whose modules are a stage's code, where stages are in `package`."""
    return ROOTS if package == "tasks" else (package,)


def code_digest(module: str, options: BaseModel, roots: tuple[str, ...] = ROOTS) -> str:
    """The hash of the code that stage module `module` runs with these options."""
    return digest_of({name: tree_digest(path) for name, path in code_of(module, options, roots).items()})


def check_unedited(module: str, options: BaseModel, roots: tuple[str, ...], elsewhere: bool) -> None:
    """UserError where a file of a stage's code was edited since its key was made and will be read only now, in this
    process or (`elsewhere`) in a new one: what would run is not what the key says."""
    for name, path in code_of(module, options, roots).items():
        is_loaded = not elsewhere and (name in sys.modules or name.endswith(".py"))
        if not is_loaded and (not path.is_file() or read.__wrapped__(path).digest != tree_digest(path)):
            raise UserError(f"{path} was edited while this run was at work: give the same command again")


def code_of(module: str, options: BaseModel, roots: tuple[str, ...]) -> dict[str, Path]:
    """The files that stage module `module` runs with these options, by the names of their modules."""
    named: list[str] = getattr(options, "parts", list)()
    return sources([module, *named], roots)


def sources(start: Iterable[str], roots: tuple[str, ...] = ROOTS) -> dict[str, Path]:
    """The files of the modules in `start`, of their packages and of all that they import, by name."""
    waiting, found = list(start), dict[str, Path]()
    while waiting:
        name = waiting.pop()
        parents = [name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)]
        path = None if name in found else locate(name, roots)
        if path is not None:
            found[name] = path
            waiting += [*parents, *imports(path, name)]
    return dict(sorted(found.items()))


def locate(name: str, roots: tuple[str, ...]) -> Path | None:
    """The source file of a module below one of the root packages, found without importing it, or a user's own file,
    which is named by its path; else None."""
    if name.endswith(".py"):
        return Path(name)
    root, *rest = name.split(".")
    spec = importlib.util.find_spec(root) if root in roots else None
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder, *rest)
        for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
            if file.is_file():
                return file
    return None


def imports(path: Path, name: str) -> tuple[str, ...]:
    """Every name that could be a module in the import statements of a file, wherever they stand."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    names: list[str] = []
    for node in read(path).imports:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        else:
            source = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(source, package) if node.level else source
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(names)


def tree_digest(path: Path) -> str:
    """The hash of a file's syntax tree without docstrings, comments and line numbers."""
    return read(path).digest


class Source(NamedTuple):
    """What a key needs of a file."""

    digest: str
    imports: tuple[ast.Import | ast.ImportFrom, ...]


# Read once a process: an edit made while a pipeline runs must not reach the keys of code loaded before it.
@cache
def read(path: Path) -> Source:
    """A file's digest and import statements."""
    tree = ast.parse(path.read_bytes())
    found = tuple(node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    text: list[str] = []
    write_shape(tree, text)
    return Source(hashlib.sha256("".join(text).encode()).hexdigest(), found)


def write_shape(node: object, text: list[str]) -> None:
    """Append a syntax tree as text. Unlike `ast.dump` it leaves out empty fields, which differ between Pythons."""
    if isinstance(node, ast.AST):
        text.append(f"({type(node).__name__}")
        for field, value in ast.iter_fields(node):
            if field == "body" and isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                value = without_docstring(value)
            if value is not None and value != [] and field != "kind":
                text.append(f" {field}=")
                write_shape(value, text)
        text.append(")")
    elif isinstance(node, list):
        text.append("[")
        for item in node:
            write_shape(item, text)
            text.append(",")
        text.append("]")
    else:
        text.append(repr(node))


def without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements of a body but for a docstring at their head."""
    first = body[0] if body else None
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return body[1:] if is_text and isinstance(first.value.value, str) else body  # type: ignore[union-attr]
