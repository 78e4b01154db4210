"""The page of a comparison, from its comparison.json and the runs below it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.control import stage_runs
from flows.digests import DamagedError
from flows.notes import caveats
from flows.page import charts, render
from flows.page.rows import MOST_BYTES, fitting
from flows.store import Store
from tasks.page_answers import counts, disagreements, duel_rows

EACH = 8  # problems shown for each pair of recipes and each benchmark, where there are as many
COSTS = {"seconds": 1.0, "million tokens": 1e-6}


def comparison_page(store: Store, run_id: str, result: Mapping[str, Any]) -> str:
    """The page of a comparison. result: its comparison.json."""
    parent = store.client.get_run(run_id)
    recipes = result["recipes"]
    benchmarks = benchmarks_of(result)
    panels = charts.forest(result["differences"])
    bases = list(dict.fromkeys(panel["against"] for panel in panels))
    data, there_are = duels(store, run_id, list(recipes))
    parts = [("recipes", "Recipes"), ("differences", "Paired differences"), ("compute", "Accuracy against compute")]
    return render(
        "comparison", title=parent.info.run_name, eyebrow="RLMEC comparison", lead=lead(result), run_id=run_id,
        facts=[("preset", result["preset"]), ("seeds", ", ".join(map(str, result["seeds"]))), ("MLflow run", run_id)],
        parts=[*parts, *([("problems", "One right, the other wrong")] if data["rows"] else [])],
        recipes={name: rated(found, benchmarks) for name, found in recipes.items()}, benchmarks=benchmarks,
        notes=caveats(result),
        forests=[(base, [panel for panel in panels if panel["against"] == base]) for base in bases],
        scatters=[{"benchmark": name, "charts": scatters(recipes, name)} for name in benchmarks],
        data=data, there_are=there_are,
    )  # fmt: skip


def lead(result: Mapping[str, Any]) -> str:
    """What was compared, as a sentence."""
    seeds = result["seeds"]
    under = f"{len(seeds)} seeds" if len(seeds) > 1 else "one seed"
    return f"{len(result['recipes'])} recipes on the same problems and samples, each under {under}."


def benchmarks_of(result: Mapping[str, Any]) -> list[str]:
    """The benchmarks that a comparison measured on."""
    return [name for name, found in next(iter(result["recipes"].values())).items() if isinstance(found, dict)]


def rated(found: Mapping[str, Any], benchmarks: list[str]) -> dict[str, Any]:
    """A recipe's figures with its mean accuracies under the name that a share has elsewhere."""
    return {**found, **{name: {**found[name], "rate": found[name]["mean"]} for name in benchmarks}}


def scatters(recipes: Mapping[str, Mapping[str, Any]], benchmark: str) -> list[dict[str, Any]]:
    """Accuracy on a benchmark against each cost."""
    drawn = []
    for unit, factor in COSTS.items():
        points = [
            {"name": name, "cost": found[unit.split()[-1]] * factor, **found[benchmark]}
            for name, found in recipes.items()
        ]
        drawn.append(charts.scatter(points, unit))
    return drawn


def duels(store: Store, run_id: str, recipes: list[str]) -> tuple[dict[str, Any], int]:
    """The page's data, and of how many problems its rows are a part; no rows where predictions are gone."""
    predictions, problems = predictions_below(store, run_id)
    if problems is None or {recipe for recipe, _ in predictions} != set(recipes):
        return {"rows": []}, 0
    found = disagreements(predictions)
    rows = fitting(duel_rows(predictions, problems, recipes, EACH), MOST_BYTES)
    base = next((recipes.index(name) for name in ("sft",) if name in recipes), 0)
    first = recipes.index("rlmec") if "rlmec" in recipes else int(base == 0)
    data = {"rows": rows, "recipes": recipes, "pair": [first, base], "counts": counts(found, recipes)}
    return data, len(found)


def predictions_below(store: Store, run_id: str) -> tuple[dict[tuple[str, int], Path], Path | None]:
    """The predictions of each recipe and seed of a comparison, and the problems that they are about."""
    where = f"tags.`mlflow.parentRunId` = '{run_id}' and tags.`rlmec.purpose` = 'compared'"
    predictions: dict[tuple[str, int], Path] = {}
    problems = None
    for run in store.search(where):
        tags, linked = run.data.tags, stage_runs(run)
        try:
            after = store.stage_run(linked["evaluate-after"]).outputs["predictions"]
            asked = store.stage_run(linked["prepare"]).outputs["benchmarks"]
        except (DamagedError, KeyError):
            return {}, None
        predictions[tags["rlmec.recipe"], int(tags["rlmec.seed"])] = store.fetch(after)
        problems = store.fetch(asked)
    return predictions, problems
