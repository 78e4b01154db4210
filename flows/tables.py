"""Presets, recipes and settings as TOML tables, before they are a configuration: read, put over each other, checked.

tables = preset_tables("tiny")
apply_recipe(tables, read_recipe("sft"))
apply_setting(tables, "train_policy.updates=300")
"""

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from tasks.errors import UserError
from tasks.nearest import suggestion

HERE = Path(__file__).parent
RECIPE_SECTIONS = (
    "sample", "teach", "train_reward_model", "rewrite", "align", "upstream", "score", "pair", "train_policy",
)  # fmt: skip
Tables = dict[str, Any]


class Recipe(BaseModel, extra="forbid", frozen=True):
    """How the policy is trained: options of the stages, put over those of the preset."""

    name: str
    description: str = ""
    options: dict[str, dict[str, Any]] = Field(default_factory=dict, description="options by stage")


def preset_tables(name: str) -> Tables:
    """The tables of a preset, by name or path, with its name in place of its description."""
    tables = read_toml(name, "presets")
    tables.pop("description", None)
    if "recipe" in tables:
        raise UserError(f"preset {name}: a preset names no recipe; use --recipe")
    return {**tables, "preset": Path(name).stem}


def read_recipe(name: str) -> Recipe:
    """A recipe by name or path: a description, and a table of options for each stage that it settles."""
    tables = read_toml(name, "recipes")
    values = {"name": Path(name).stem, "description": tables.pop("description", ""), "options": tables}
    return checked(Recipe, values, f"recipe {name}: ")


def apply_recipe(tables: Tables, recipe: Recipe) -> None:
    """Put a recipe's options over those of the preset."""
    for stage, options in recipe.options.items():
        if stage not in RECIPE_SECTIONS or not isinstance(options, dict):
            raise UserError(
                f"recipe {recipe.name}: {stage} is no table of a recipe; {suggestion(stage, RECIPE_SECTIONS)}"
            )
        tables.setdefault(stage, {}).update(options)
    tables["recipe"] = recipe.model_dump()


def merged(tables: Tables, over: Mapping[str, Any]) -> Tables:
    """`tables` with the values of `over`, table by table."""
    both = dict(tables)
    for name, value in over.items():
        old = both.get(name)
        both[name] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both


def differing(tables: Tables, base: Mapping[str, Any]) -> Tables:
    """What of `tables` is not the same in `base`, table by table: merged over `base` it gives `tables` again."""
    found = {}
    for name, value in tables.items():
        old = base.get(name)
        if isinstance(value, dict) and isinstance(old, dict):
            found[name] = differing(value, old)
        elif name not in base or value != old:
            found[name] = value
    return found


def undo_recipe(tables: Tables, old: Mapping[str, Any] | None, new: Recipe) -> None:
    """Give the options that an earlier recipe set back the value of their preset, or else their default; so also the
    settings of its credit source, where the new recipe has another one, which has no use for them."""
    if not old:
        return
    try:
        preset = preset_tables(tables["preset"])
    except UserError:  # a preset file of the user's that has gone since
        preset = {}
    for stage, options in old["options"].items():
        undone = list(options)
        if "credit" in options and new.options.get(stage, {}).get("credit") != options["credit"]:
            undone.append("settings")
        for option in undone:
            tables[stage].pop(option, None)
            if option in preset.get(stage, {}):
                tables[stage][option] = preset[stage][option]


def apply_setting(tables: Tables, text: str) -> None:
    """Apply one `section.key=value`; the value is TOML, or else a plain string."""
    path, equals, value = text.partition("=")
    *sections, key = path.strip().split(".")
    if not equals or not key:
        raise UserError(f"--set {text}: write it as section.key=value")
    if path.strip().split(".")[0] in ("preset", "recipe"):
        raise UserError(f"--set {text}: use the PRESET argument or --recipe for that")
    table = tables
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise UserError(f"--set {text}: {section} is no section")
    table[key] = parsed(value.strip())


def parsed(value: str) -> Any:
    """A value as TOML reads it: 3, 0.5, true, [1, 2], "text"; a bare word is a string."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def read_toml(name: str, kind: Literal["presets", "recipes"]) -> Tables:
    """A preset or recipe by its name here or by a path that ends in .toml."""
    path = HERE / kind / f"{name}.toml" if name in names(kind) else Path(name).expanduser()
    if path.suffix != ".toml":
        raise UserError(f"no {kind.removesuffix('s')} {name!r}: {suggestion(name, names(kind))}")
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as TOML ({error})") from error


def names(kind: Literal["presets", "recipes"]) -> list[str]:
    """The presets or recipes that come with the package."""
    return sorted(path.stem for path in (HERE / kind).glob("*.toml"))


def checked(model: type[Any], values: Mapping[str, Any], where: str) -> Any:
    """`values` as an instance of `model`; the first thing wrong becomes one line that names its key."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UserError(where + complaint(model, error.errors()[0])) from error


def complaint(model: type[BaseModel], problem: Mapping[str, Any]) -> str:
    """One line on an error of pydantic's: the key, what is wrong, the nearest name to an unknown one."""
    keys = [str(part) for part in problem["loc"]]
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = fields_at(model, keys[:-1])
        kind = "option" if len(keys) > 1 else "section or option"
        return f"unknown {kind} {'.'.join(keys)}: {suggestion(keys[-1], known)}"
    if problem["type"] == "value_error":  # raised by a check of ours, which says all there is to say
        return ": ".join((*([".".join(keys)] if keys else []), str(problem["ctx"]["error"])))
    given = json.dumps(problem["input"], default=str, ensure_ascii=False)
    return f"{'.'.join(keys)}: {problem['msg'][:1].lower()}{problem['msg'][1:]} (it is {given[:80]})"


def fields_at(model: type[BaseModel], path: Iterable[str]) -> list[str]:
    """The option names of the model that stands at a dotted path below `model`."""
    for key in path:
        field = model.model_fields.get(key)
        kind = field.annotation if field else None
        if is_dataclass(kind):
            return [field.name for field in fields(kind)]
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return []
        model = kind
    return list(model.model_fields)
