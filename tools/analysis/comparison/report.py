"""Statistics of metrics over seeds, as a Markdown table, as CSV and as a figure."""

import csv
from math import ceil, isnan, nan, sqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import ttest_ind_from_stats

# What COCO's evaluation writes where there is nothing to evaluate (no large boxes).
NOTHING = -1.0
COLUMNS = 3  # of the figure's panels
Results = dict[str, list[dict[str, float]]]  # by config, seed and metric


class Table(NamedTuple):
    """The ``values`` (configs, metrics, seeds), and what sums them up over the seeds.

    NaN where it isn't defined. ``std`` is that of a sample (n - 1), ``error`` the
    standard error of the mean. ``p`` is the probability of a difference of means at
    least this large from the first config's if both had the same: Welch's two-sided
    test, for the spreads may differ, and seeds are not paired, since a block that draws
    its own weights changes all later random numbers.
    """

    configs: list[str]
    metrics: list[str]
    values: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    error: np.ndarray
    p: np.ndarray


def tabulate(results: Results, metrics: list[str] | None = None) -> Table:
    """Sum up the ``metrics``, or those that all runs have and that say something."""
    runs = [run for of_config in results.values() for run in of_config]
    metrics = metrics or [
        name
        for name in runs[0]
        if all(name in run for run in runs)
        and any(run[name] != NOTHING for run in runs)
    ]
    values = np.array(
        [
            [[run[m] for run in of_config] for m in metrics]
            for of_config in results.values()
        ]
    )
    n = values.shape[2]
    mean = values.mean(2)
    std = values.std(2, ddof=1) if n > 1 else np.full_like(mean, nan)
    with np.errstate(all="ignore"):
        p = ttest_ind_from_stats(
            mean, std, n, mean[0], std[0], n, equal_var=False
        ).pvalue
    spread = np.ptp(values, 2) + np.ptp(values[0], 1)
    p = np.where(spread > 0, p, nan)
    p[0] = nan
    return Table([*results], metrics, values, mean, std, std / sqrt(n), p)


def write(table: Table, seeds: list[int], folder: Path) -> str:
    """Write comparison.md, comparison.csv and comparison.png; return the Markdown."""
    text = markdown(table)
    (folder / "comparison.md").write_text(text)
    write_csv(table, seeds, folder / "comparison.csv")
    figure(table, folder / "comparison.png")
    return text


def markdown(table: Table) -> str:
    """Write a row a config: mean, ± standard deviation, and p against the first."""
    rows = [["config", "seeds", *table.metrics], ["---"] * (2 + len(table.metrics))]
    for config, values, *numbers in zip(table.configs, *table[2:], strict=True):
        cells = [_cell(*cell) for cell in zip(*numbers, strict=True)]
        rows.append([config, str(values.shape[1]), *cells])
    lines = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return (
        f"{lines}\nMean ± standard deviation over seeds (standard error of the mean); "
        f"p: Welch's t-test against {table.configs[0]}.\n"
    )


def _cell(mean: float, std: float, error: float, p: float) -> str:
    text = f"{mean:.3f}" if isnan(std) else f"{mean:.3f} ± {std:.3f} ({error:.3f})"
    return text if isnan(p) else f"{text}, p = {p:.2g}"


def write_csv(table: Table, seeds: list[int], path: Path) -> None:
    """Write a row a config and metric, with the value of each seed."""
    with path.open("w") as file:
        write = csv.writer(file, lineterminator="\n").writerow
        head = ["config", "metric", "mean", "std", "standard_error", "p"]
        write(head + [f"seed_{seed}" for seed in seeds])
        for i, j in np.ndindex(table.mean.shape):
            numbers = [float(number[i, j]) for number in table[3:]]
            known = ["" if isnan(number) else number for number in numbers]
            write([table.configs[i], table.metrics[j], *known, *table.values[i, j]])


def figure(table: Table, path: Path) -> None:
    """Draw a panel a metric: a dot a seed, a line at the mean."""
    places = np.arange(len(table.configs))
    columns = min(COLUMNS, len(table.metrics))
    rows = ceil(len(table.metrics) / columns)
    size = (2.5 + 3.2 * columns, rows * (1 + 0.35 * len(places)))  # inches
    drawn = Figure(size, layout="constrained")
    axes = drawn.subplots(rows, columns, sharey=True, squeeze=False)
    for j, metric in enumerate(table.metrics):
        axis, dots = axes.flat[j], table.values[:, j].T  # (seeds, configs)
        axis.plot(dots, np.broadcast_to(places, dots.shape), "o", alpha=0.6, ms=5)
        axis.plot([table.mean[:, j]] * 2, [places - 0.3, places + 0.3], "k", lw=1.5)
        axis.set_title(metric, fontsize=10)
        axis.grid(axis="x", alpha=0.3)
    for axis in axes.flat[len(table.metrics) :]:
        axis.remove()
    axes[0, 0].set_yticks(places, table.configs)
    axes[0, 0].invert_yaxis()  # shared: the first config on top
    drawn.savefig(path, dpi=120)
