"""Imports go flows → tasks → models and never back, and each layer keeps to its libraries."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tasks

ROOT = Path(tasks.__file__).parents[1]
FILES = {package: sorted((ROOT / package).rglob("*.py")) for package in ("flows", "tasks", "models")}
# tokenizers comes with transformers
MODELS_MAY_IMPORT = {"torch", "transformers", "tokenizers", "safetensors", "peft", "models"}


def imported(path: Path) -> set[str]:
    """The top-level names that a file imports, wherever it does."""
    names = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", FILES["tasks"], ids=lambda path: str(path.relative_to(ROOT)))
def test_tasks_know_nothing_of_flows_prefect_or_mlflow(path):
    assert not imported(path) & {"flows", "prefect", "mlflow"}


@pytest.mark.parametrize("path", FILES["models"], ids=lambda path: str(path.relative_to(ROOT)))
def test_models_import_only_what_a_gpu_box_has(path):
    assert imported(path) <= MODELS_MAY_IMPORT | sys.stdlib_module_names


def test_the_packages_are_those_of_this_repository():
    assert (ROOT / "pyproject.toml").is_file()
    assert all(FILES.values())


def test_what_finds_a_run_in_the_store_imports_nothing_that_takes_seconds_and_is_not_needed():
    program = (
        "import sys, flows.method, flows.evaluate, flows.report\n"
        "from flows.config import load_config\nfrom flows.listing import described\n"
        "for recipe, _ in described('recipes'): load_config('smoke', recipe, sets=['sample.samples_per_problem=4'])\n"
        "heavy = {'accelerate', 'datasets', 'math_verify', 'prefect', 'scipy.stats', 'torch', 'transformers'}\n"
        "print(heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
