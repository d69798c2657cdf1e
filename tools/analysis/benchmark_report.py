"""What a benchmark prints and writes: what it ran on, and a table."""

import argparse
import datetime
import platform
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table


class Report:
    """A table: each row on stderr as it comes, then all, and as a Markdown file.

    Args:
        title: What is compared.
        args: The command line, of ``benchmark_parser``.
        doc: The benchmark's docstring.
        columns: Their heads.
        setting: What else the numbers depend on.
    """

    def __init__(
        self,
        title: str,
        args: argparse.Namespace,
        doc: str,
        columns: Sequence[str],
        setting: str,
    ) -> None:
        self.title, self.columns, self.rows = title, columns, []
        common = f"torch {torch.__version__}, {args.rounds} rounds"
        self.setting = f"{machine(args.device)}, {common}, {setting}"
        self.how = doc.strip().split("\n\n")[-1]
        self.output = args.output

    def add(self, *cells: str) -> None:
        """Add a row."""
        self.rows.append(cells)
        print(" | ".join(cells), file=sys.stderr, flush=True)

    def finish(self, *notes: str) -> None:
        """Print the table and the ``notes`` below it, and write them."""
        table = Table(*self.columns, title=f"{self.title}\n{self.setting}")
        for row in self.rows:
            table.add_row(*row)
        Console(width=180).print(table, markup=False)
        print(*notes, sep="\n")
        if not self.output:
            return
        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        rows = [self.columns, ["---"] * len(self.columns), *self.rows]
        parts = [
            f"# {self.title}",
            f"{self.setting}.",
            f"```bash\npython tools/analysis/{command}\n```",
            self.how,
            "\n".join(f"| {' | '.join(row)} |" for row in rows),
            *notes,
        ]
        self.output.parent.mkdir(parents=True, exist_ok=True)
        self.output.write_text("\n\n".join(parts) + "\n")


def machine(device: str) -> str:
    """Return today's date and the processor: ``2026-11-21, <name>, 2 cores``."""
    today = datetime.date.today()
    if device == "cuda":
        return f"{today}, {torch.cuda.get_device_name()}"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            name = line.split(":")[1].strip()
            break
    else:
        name = platform.machine()
    return f"{today}, {name}, {torch.get_num_threads()} cores"
