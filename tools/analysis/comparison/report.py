"""A comparison as a Markdown table, as CSV and as a picture."""

import csv
import io
import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from .statistics import Summary

Table = dict[str, dict[str, Summary]]
_COLUMNS = 3  # panels beside each other


def markdown(table: Table) -> str:
    """A row a config: mean, ± standard deviation, and p against the first."""
    metrics = list(next(iter(table.values())))
    rows = [["config", "seeds", *metrics], ["---"] * (2 + len(metrics))]
    for config, row in table.items():
        count = len(next(iter(row.values())).values)
        rows.append([config, str(count), *map(_cell, row.values())])
    lines = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return (
        f"{lines}\nMean ± standard deviation over seeds (standard error of the mean); "
        f"p: Welch's t-test against {next(iter(table))}.\n"
    )


def as_csv(table: Table, seeds: list[int]) -> str:
    """A row a config and metric, with the value of each seed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["config", "metric", "mean", "std", "standard_error", "p"]
    writer.writerow(head + [f"seed_{seed}" for seed in seeds])
    for config, row in table.items():
        for metric, s in row.items():
            numbers = (s.mean, s.std, s.error, s.p)
            known = ["" if math.isnan(number) else repr(number) for number in numbers]
            writer.writerow([config, metric, *known, *s.values])
    return text.getvalue()


def picture(table: Table, path: Path) -> None:
    """A panel a metric: a dot a seed, a line at the mean."""
    configs, metrics = list(table), list(next(iter(table.values())))
    columns = min(_COLUMNS, len(metrics))
    rows = math.ceil(len(metrics) / columns)
    size = (2.5 + 3.2 * columns, rows * (1 + 0.35 * len(configs)))  # inches
    figure, axes = plt.subplots(
        rows, columns, figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for axis, metric in zip(axes.flat, metrics, strict=False):
        for place, config in enumerate(configs):
            summary = table[config][metric]
            axis.plot(
                summary.values, [place] * len(summary.values), "o", alpha=0.6, ms=5
            )
            axis.plot([summary.mean] * 2, [place - 0.3, place + 0.3], "k", lw=1.5)
        axis.set_title(metric, fontsize=10)
        axis.grid(axis="x", alpha=0.3)
    for axis in axes.flat[len(metrics) :]:
        axis.remove()
    axes[0, 0].set_yticks(range(len(configs)), configs)
    axes[0, 0].invert_yaxis()  # shared: the first config on top
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _cell(s: Summary) -> str:
    text = f"{s.mean:.3f}"
    if not math.isnan(s.std):
        text += f" ± {s.std:.3f} ({s.error:.3f})"
    if not math.isnan(s.p):
        text += f", p = {s.p:.2g}"
    return text
