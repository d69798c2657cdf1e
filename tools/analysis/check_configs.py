#!/usr/bin/env python
"""Add a non-local and an SE plugin to every config that the toolboxes ship.

    tools/analysis/check_configs.py
    tools/analysis/check_configs.py mmdet/swin mmseg/hrnet

Without arguments all configs of the installed mmdet and mmseg are read, otherwise those
whose TOOLBOX/FOLDER/NAME.py contains one of the words. Each different backbone is built
once, untouched and with both plugins, on random weights, and so is each neck behind it:
ResNet, ResNeXt, ResNetV1c and ResNetV1d as nlse_mm.ResNet and so on, all others through
nlse_mm.WithPlugins. A config passes where, in its backbones and necks,

- the plugin entries are accepted, and the backbone's own initialisation too;
- the outputs equal the untouched model's bit for bit, with the same weights;
- no parameter is renamed, and the new ones are all a plugin's;
- gradients reach each plugin in a step of training, from weights that are not zero.

Configs that don't load or build here untouched are not counted, with the reason. The
exit code is 1 where less than 99% of the others pass.
"""

import logging
import sys
import warnings
from collections import defaultdict
from typing import NamedTuple

from arguments import make_parser
from mmengine.logging import MMLogger
from rich.console import Console
from rich.progress import track
from rich.table import Table
from shipped.check import BLOCK_BY_BLOCK, NotHereError, check
from shipped.definitions import Definition, collect, leaves

from nlse_mm.toolbox import installed

ENOUGH = 0.99


class Result(NamedTuple):
    """A backbone or neck, the configs that have it, and why it didn't pass, if so."""

    toolbox: str
    part: str
    type: str
    users: list[str]
    reason: str | None


def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("words", nargs="*", help="parts of names, such as mmdet/swin")
    words = parser.parse_args(argv).words
    warnings.filterwarnings("ignore")
    MMLogger.get_instance("check_configs", log_level="ERROR")
    logging.disable(logging.WARNING)
    stderr = Console(stderr=True)
    configs = [
        (name, path)
        for toolbox in ("mmdet", "mmseg")
        if installed(toolbox)
        for name, path in leaves(toolbox)
        if not words or any(word in name for word in words)
    ]
    if not configs:
        sys.exit(f"check_configs: no shipped config has {words} in its name.")
    definitions, left_out = collect(track(configs, "Read", console=stderr))
    results = []
    for definition in track(definitions, "Backbones", console=stderr):
        try:
            results += check_parts(definition)
        except NotHereError as error:
            reason = f"untouched, {definition.type} fails: {error}"
            left_out |= dict.fromkeys(definition.users, reason)
    counted, passed = report(results, left_out, len(definitions))
    sys.exit(int(passed < ENOUGH * max(counted, 1)))


def check_parts(definition: Definition) -> list[Result]:
    """Check a backbone and the necks behind it."""
    reason, necks = check(definition)
    parts = [("backbone", definition, reason)]
    parts += [("neck", neck, necks[key]) for key, neck in definition.necks.items()]
    return [
        Result(definition.toolbox, part, item.type, item.users, reason)
        for part, item, reason in parts
    ]


def report(
    results: list[Result], left_out: dict[str, str], different: int
) -> tuple[int, int]:
    """Print the table, the reasons and the sum; return how many count, and pass."""
    kinds, failed = defaultdict(list), {}
    for result in results:
        kinds[result[:3]].append(result)
        if result.reason is not None:
            reason = f"{result.part} {result.type}: {result.reason}"
            failed |= dict.fromkeys(set(result.users) - left_out.keys(), reason)
    users = {k: {u for r in rs for u in r.users} for k, rs in kinds.items()}
    table = Table("toolbox", "part", "type", "through", title="Shipped configs")
    for title in ("different", "configs", "passed"):
        table.add_column(title, justify="right")
    for kind in sorted(users, key=lambda k: (*k[:2], -len(users[k]), k)):
        toolbox, part, name = kind
        stock = part == "backbone" and name in BLOCK_BY_BLOCK
        counted = users[kind] - left_out.keys()
        bad = {u for r in kinds[kind] if r.reason is not None for u in r.users}
        numbers = (len(kinds[kind]), len(counted), len(counted - bad))
        through = f"nlse_mm.{name}" if stock else "WithPlugins"
        table.add_row(toolbox, part, name, through, *map(str, numbers))
    console = Console()
    console.print(table)
    print_reasons("Did not pass", failed, console)
    print_reasons("Not counted", left_out, console)
    counted = len(set().union(*users.values()) - left_out.keys())
    passed = counted - len(failed)
    share = f" ({passed / counted:.1%})" if counted else ""
    console.print(
        f"{passed} of {counted} configs with an image backbone that loads pass{share}; "
        f"{different} different backbones, {len(left_out)} configs not counted."
    )
    return counted, passed


def print_reasons(title: str, reasons: dict[str, str], console: Console) -> None:
    """Print each reason, the most frequent first, with how many configs, and one."""
    users = defaultdict(list)
    for user, reason in reasons.items():
        users[reason].append(user)
    table = Table("configs", "one of them", "reason", title=title)
    for reason, names in sorted(users.items(), key=lambda item: -len(item[1])):
        table.add_row(str(len(names)), min(names), reason)
    if users:
        console.print(table, markup=False)


if __name__ == "__main__":
    main()
