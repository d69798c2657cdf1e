"""Mean, spread and significance of a metric over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

# What COCO's evaluation writes where there is nothing to evaluate (no large boxes).
NOTHING = -1.0


@dataclass(frozen=True)
class Summary:
    """One metric of one config.

    Args:
        values: The metric for each seed.
        mean: Their mean.
        std: Their standard deviation (of a sample: n - 1); NaN for one seed.
        error: The standard error of the mean, std / sqrt(n).
        p: Probability of a difference of means at least this large from the first
            config's if both had the same; NaN for the first config, for one seed and
            where no value differs from its mean.
    """

    values: tuple[float, ...]
    mean: float
    std: float
    error: float
    p: float


def summarise(values: Sequence[float], first: Sequence[float] | None) -> Summary:
    """The statistics of ``values``, compared to those of the ``first`` config.

    The test is Welch's, two-sided: the configs' spreads may differ, and seeds are not
    paired, since a block that draws its own weights changes all later random numbers.
    """
    mean, std, n = moments(values)
    p = float("nan")
    if (
        first is not None
        and min(n, len(first)) > 1
        and (np.ptp(values) or np.ptp(first))
    ):
        other = moments(first)
        p = float(stats.ttest_ind_from_stats(mean, std, n, *other, False).pvalue)
    return Summary(tuple(values), mean, std, std / float(np.sqrt(n)), p)


def moments(values: Sequence[float]) -> tuple[float, float, int]:
    """Mean, standard deviation of a sample (NaN of one value) and how many."""
    n = len(values)
    std = float(np.std(values, ddof=1)) if n > 1 else float("nan")
    return float(np.mean(values)), std, n


def tabulate(
    results: dict[str, list[dict[str, float]]], metrics: Sequence[str]
) -> dict[str, dict[str, Summary]]:
    """``results[config][seed][metric]`` to ``{config: {metric: Summary}}``."""
    table: dict[str, dict[str, Summary]] = {}
    first = next(iter(results.values()))
    for config, runs in results.items():
        table[config] = {}
        for metric in metrics:
            base = None if runs is first else [run[metric] for run in first]
            table[config][metric] = summarise([run[metric] for run in runs], base)
    return table


def common_metrics(results: dict[str, list[dict[str, float]]]) -> list[str]:
    """The metrics that every run has and that say something in at least one."""
    runs = [run for of_config in results.values() for run in of_config]
    return [
        name
        for name in runs[0]
        if all(name in run for run in runs) and any(r[name] != NOTHING for r in runs)
    ]
