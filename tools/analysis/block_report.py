"""What benchmark_blocks.py measured, as a table and as a picture."""

import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

COLUMNS = (
    "mode",
    "positions",
    "channels",
    "forward ms",
    "MMCV's",
    "ratio",
    "training ms",
    "MMCV's",
    "ratio",
    "peak MiB",
    "MMCV's",
    "ratio",
    "MMCV can't",
)


@dataclass
class Case:
    """One mode at one size, and what was measured of each block."""

    mode: str
    height: int
    width: int
    channels: int
    refusal: str = ""
    forward: dict[str, list[float]] = field(default_factory=dict)  # seconds
    training: dict[str, list[float]] = field(default_factory=dict)  # seconds
    peak: dict[str, float] = field(default_factory=dict)  # bytes

    @property
    def positions(self) -> int:
        return self.height * self.width

    def cells(self) -> list[str]:
        """The row of the table, as text."""
        row = [self.mode, f"{self.positions:,}", str(self.channels)]
        for seconds in (self.forward, self.training):
            row += _triple({k: [1e3 * s for s in v] for k, v in seconds.items()}, ".1f")
        row += _triple({k: [v / 2**20] for k, v in self.peak.items()}, ".0f")
        return [*row, self.refusal]


def markdown(cases: list[Case], setting: str, how: str) -> str:
    """The table as a file: setting, command, how it was measured, rows."""
    rows = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    rows += ["| " + " | ".join(case.cells()) + " |" for case in cases]
    command = " ".join(["python tools/analysis/benchmark_blocks.py", *sys.argv[1:]])
    return "\n\n".join(
        [
            "# Non-local blocks beside MMCV's",
            setting + ".",
            f"```bash\n{command}\n```",
            how,
            "\n".join(rows),
            "",
        ]
    )


def plot(cases: list[Case], path: Path) -> None:
    channels = max({c.channels for c in cases}, key=[c.channels for c in cases].count)
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for color, mode in enumerate(dict.fromkeys(c.mode for c in cases)):
        for name, line in (("nlse_mm", "-o"), ("mmcv", "--x")):
            own = [c for c in cases if c.mode == mode and c.channels == channels]
            own = [c for c in own if name in c.training]
            if own:
                at = [c.positions for c in own]
                seconds = [statistics.median(c.training[name]) for c in own]
                mebibytes = [c.peak[name] / 2**20 for c in own]
                style = dict(color=f"C{color}", label=f"{mode}, {name}")
                left.loglog(at, seconds, line, **style)
                right.loglog(at, mebibytes, line, **style)
    left.set(title="training step", xlabel="positions", ylabel="seconds")
    right.set(title="peak memory above the input", xlabel="positions", ylabel="MiB")
    left.legend(fontsize=7)
    figure.suptitle(f"Non-local blocks, {channels} channels: nlse_mm and MMCV")
    figure.savefig(path, dpi=110)


def _triple(values: dict[str, list[float]], form: str) -> list[str]:
    """Ours, MMCV's and the median ratio; a dash for what wasn't measured."""
    ours, peer = values.get("nlse_mm"), values.get("mmcv")
    cells = [format(statistics.median(v), form) if v else "-" for v in (ours, peer)]
    if not (ours and peer and all(peer)):  # so small that no new page was taken
        return [*cells, "-"]
    ratio = statistics.median(a / b for a, b in zip(ours, peer, strict=True))
    return [*cells, f"{ratio:.2f}"]
