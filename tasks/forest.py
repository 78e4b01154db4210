"""A forest plot: every recipe's paired difference to a baseline with its 95 % interval, a panel a benchmark."""

from pathlib import Path

import polars as pl

OURS, OTHERS = "#0072b2", "#555555"  # colours that colour-blind readers can tell apart


def forest(differences: pl.DataFrame, path: Path) -> None:
    """differences: the table of `tasks/compare_recipes.py`. Writes a PNG; a row of panels for each baseline."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = (differences[name].unique(maintain_order=True).to_list() for name in ("against", "benchmark", "recipe"))
    baselines, benchmarks, recipes = names
    size = (2 + 3.2 * len(benchmarks), (0.9 + 0.32 * len(recipes)) * len(baselines))
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(baselines), len(benchmarks), squeeze=False, sharex="col")
    for line, base in zip(panels, baselines, strict=True):
        for place, (panel, benchmark) in enumerate(zip(line, benchmarks, strict=True)):
            rows = differences.filter(pl.col("against") == base, pl.col("benchmark") == benchmark).reverse()
            for height, row in enumerate(rows.iter_rows(named=True)):
                colour = OURS if row["recipe"].startswith("rlmec") else OTHERS
                panel.plot([100 * row["low"], 100 * row["high"]], [height, height], color=colour)
                panel.plot([100 * row["difference"]], [height], marker="o", color=colour)
            panel.axvline(0, color="black", linewidth=0.8)
            panel.set_yticks(range(len(rows)), rows["recipe"].to_list() if place == 0 else [""] * len(rows))
            panel.set_title(f"{benchmark}: difference to {base}, points", fontsize=9)
            panel.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=120)
