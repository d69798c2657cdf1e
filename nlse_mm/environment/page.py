"""Print what ``check_environment`` found, as a page with marks, or as plain lines."""

import sys
from importlib.util import find_spec
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from .findings import Environment, Finding, Way

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_SIGNS = {"ok": ("\N{CHECK MARK}", "green"), "missing": ("-", "yellow")}
_BROKEN = ("\N{BALLOT X}", "bold red")


def show(found: Environment) -> None:
    """Print the page: with colours in a terminal, else one line a finding."""
    if find_spec("rich") is None or not sys.stdout.isatty():
        print("\n".join(plain_lines(found)))
        return
    from rich.console import Console

    print_page(found, Console())


def plain_lines(found: Environment) -> list[str]:
    """Return the page as lines that begin with their mark."""
    lines = []
    for section, findings in groupby(found.findings, attrgetter("section")):
        lines += [
            section,
            *(f"  {f.mark:8} {f.name:14} {f.text}" for f in findings),
            "",
        ]
    lines += [_heading(found.ways)] if found.ways else []
    for shape, ways in groupby(found.ways, attrgetter("shape")):
        taken = "; ".join(f"{way.bits} {way.way}" for way in ways)
        lines.append(f"  {shape}: {taken}")
    return [*lines, "", summary(found)]


def print_page(found: Environment, console: "Console") -> None:
    """Print the page by rich, whose tables wrap long texts in their own column."""
    for section, findings in groupby(found.findings, attrgetter("section")):
        console.print(f"\n[bold]{section}[/]")
        console.print(_rows(list(findings), console.encoding))
    if found.ways:
        console.print(f"\n[bold]{_heading(found.ways)}[/]")
        console.print(_ways(found.ways))
    style = "bold red" if found.broken else "bold green"
    console.print(f"\n{summary(found)}\n", style=style, highlight=False, markup=False)


def summary(found: Environment) -> str:
    """Return in one line whether the environment works."""
    if not found.broken:
        return "Everything here works."
    names = ", ".join(dict.fromkeys(f.name for f in found.broken))
    return f"Broken: {names}."


def _heading(ways: tuple[Way, ...]) -> str:
    device = {"cuda": "the GPU", "cpu": "the CPU"}[ways[0].device]
    return f"Softmax attention in training, on {device}"


def _rows(findings: list[Finding], encoding: str) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    for _ in range(3):
        table.add_column()
    table.columns[1].min_width = 14
    for finding in findings:
        sign, style = _SIGNS.get(finding.mark, _BROKEN)
        if not encoding.startswith("utf"):
            sign = finding.mark
        text = Text(finding.text, style="" if finding.mark == "ok" else style)
        table.add_row(Text(f"  {sign}", style), Text(finding.name), text)
    return table


def _ways(ways: tuple[Way, ...]) -> "RenderableType":
    from rich.table import Table

    bits = dict.fromkeys(way.bits for way in ways)
    table = Table("", *bits, box=None, padding=(0, 2), header_style="dim")
    for shape, of_shape in groupby(ways, attrgetter("shape")):
        table.add_row(shape, *(way.way for way in of_shape))
    return table
