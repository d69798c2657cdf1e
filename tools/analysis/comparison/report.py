"""Statistics of metrics over seeds, as a Markdown table, as CSV and as a figure."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

# What COCO's evaluation writes where there is nothing to evaluate (no large boxes).
NOTHING = -1.0
_COLUMNS = 3  # panels beside each other


class Summary(NamedTuple):
    """One metric of one config over seeds; NaN where it isn't defined.

    ``std`` is that of a sample (n - 1), ``error`` the standard error of the mean. ``p``
    is the probability of a difference of means at least this large from the first
    config's if both had the same.
    """

    values: tuple[float, ...]
    mean: float
    std: float
    error: float
    p: float


Table = dict[str, dict[str, Summary]]  # by config and metric


def summarise(values: Sequence[float], first: Sequence[float] | None) -> Summary:
    """Summarise ``values``, compared to those of the ``first`` config.

    The test is Welch's, two-sided: the configs' spreads may differ, and seeds are not
    paired, since a block that draws its own weights changes all later random numbers.
    """
    mean, std, n = _moments(values)
    p = math.nan
    if first and min(n, len(first)) > 1 and (np.ptp(values) or np.ptp(first)):
        other = _moments(first)
        p = float(stats.ttest_ind_from_stats(mean, std, n, *other, False).pvalue)
    return Summary(tuple(values), mean, std, std / math.sqrt(n), p)


def _moments(values: Sequence[float]) -> tuple[float, float, int]:
    std = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return float(np.mean(values)), std, len(values)


def tabulate(
    results: dict[str, list[dict[str, float]]], metrics: Sequence[str]
) -> Table:
    """Summarise ``results[config][seed][metric]`` by config and metric."""
    baseline = next(iter(results.values()))

    def cell(runs: list[dict[str, float]], metric: str) -> Summary:
        first = None if runs is baseline else [run[metric] for run in baseline]
        return summarise([run[metric] for run in runs], first)

    return {c: {m: cell(runs, m) for m in metrics} for c, runs in results.items()}


def common_metrics(results: dict[str, list[dict[str, float]]]) -> list[str]:
    """Name the metrics that every run has and that say something in at least one."""
    runs = [run for of_config in results.values() for run in of_config]
    common = [name for name in runs[0] if all(name in run for run in runs)]
    return [name for name in common if any(run[name] != NOTHING for run in runs)]


def markdown(table: Table) -> str:
    """Write a row a config: mean, ± standard deviation, and p against the first."""
    metrics = list(next(iter(table.values())))
    rows = [["config", "seeds", *metrics], ["---"] * (2 + len(metrics))]
    for config, row in table.items():
        seeds = len(row[metrics[0]].values)
        rows.append([config, str(seeds), *map(_cell, row.values())])
    lines = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return (
        f"{lines}\nMean ± standard deviation over seeds (standard error of the mean); "
        f"p: Welch's t-test against {next(iter(table))}.\n"
    )


def _cell(s: Summary) -> str:
    text = f"{s.mean:.3f}"
    if not math.isnan(s.std):
        text += f" ± {s.std:.3f} ({s.error:.3f})"
    return text if math.isnan(s.p) else f"{text}, p = {s.p:.2g}"


def as_csv(table: Table, seeds: list[int]) -> str:
    """Write a row a config and metric, with the value of each seed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["config", "metric", "mean", "std", "standard_error", "p"]
    writer.writerow(head + [f"seed_{seed}" for seed in seeds])
    for config, row in table.items():
        for metric, (values, *numbers) in row.items():
            known = ["" if math.isnan(n) else repr(n) for n in numbers]
            writer.writerow([config, metric, *known, *values])
    return text.getvalue()


def figure(table: Table, path: Path) -> None:
    """Draw a panel a metric: a dot a seed, a line at the mean."""
    configs, metrics = list(table), list(next(iter(table.values())))
    columns = min(_COLUMNS, len(metrics))
    rows = math.ceil(len(metrics) / columns)
    size = (2.5 + 3.2 * columns, rows * (1 + 0.35 * len(configs)))  # inches
    drawn = Figure(size, layout="constrained")
    axes = drawn.subplots(rows, columns, sharey=True, squeeze=False)
    for axis, metric in zip(axes.flat, metrics, strict=False):
        for place, config in enumerate(configs):
            s = table[config][metric]
            axis.plot(s.values, [place] * len(s.values), "o", alpha=0.6, ms=5)
            axis.plot([s.mean] * 2, [place - 0.3, place + 0.3], "k", lw=1.5)
        axis.set_title(metric, fontsize=10)
        axis.grid(axis="x", alpha=0.3)
    for axis in axes.flat[len(metrics) :]:
        axis.remove()
    axes[0, 0].set_yticks(range(len(configs)), configs)
    axes[0, 0].invert_yaxis()  # shared: the first config on top
    drawn.savefig(path, dpi=120)
