#!/usr/bin/env python
"""Add a non-local and an SE plugin, or yours, to every config that the toolboxes ship.

    tools/analysis/check_configs.py
    tools/analysis/check_configs.py /swin /hrnet
    tools/analysis/check_configs.py --import my_plugins.py --plugin nlse_mm.MyPlugin

Without words all configs of the installed toolboxes are read, otherwise those
whose TOOLBOX/FOLDER/NAME.py contains one of the words. Each different backbone is built
once, untouched and with the plugins, on random weights, and so is each neck behind it:
ResNet, ResNeXt, ResNetV1c and ResNetV1d as nlse_mm.ResNet and so on, all others through
nlse_mm.WithPlugins. A config passes where, in its backbones and necks,

- the plugin entries are accepted, and the backbone's own initialisation too;
- the outputs equal the untouched model's bit for bit, with the same weights;
- no parameter is renamed, and the new ones are all a plugin's;
- gradients reach each plugin in a step of training, from weights that are not zero.

Configs that don't load or build here untouched are not counted, with the reason. The
exit code is 1 where less than 99% of the others pass.
"""

import argparse
import logging
import os
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable

from arguments import make_parser
from mmengine.logging import MMLogger
from rich.console import Console
from rich.progress import track
from rich.table import Table
from shipped.check import BLOCK_BY_BLOCK, PLUGINS, NotHereError, check
from shipped.definitions import Definition, collect, leaves

from nlse_mm.errors import ConfigError, MissingPackageError
from nlse_mm.placement.entries import check_plugin
from nlse_mm.toolbox import TOOLBOXES, import_error, installed
from nlse_mm.training.user_error import in_one_sentence

ENOUGH = 0.99


@in_one_sentence
def main() -> None:
    args = parse()
    warnings.filterwarnings("ignore")
    MMLogger.get_instance("check_configs", log_level="ERROR")
    logging.disable(logging.WARNING)
    stderr = Console(stderr=True)
    configs = [
        (name, path)
        for toolbox in TOOLBOXES
        if installed(toolbox.scope)
        for name, path in leaves(toolbox.scope)
        if not args.words or any(word in name for word in args.words)
    ]
    if not configs:
        raise ConfigError(f"no shipped config has {args.words} in its name")
    definitions, left_out = collect(track(configs, "Read", console=stderr))
    parts: list[Definition] = []
    for definition in track(definitions, "Backbones", console=stderr):
        try:
            check(definition, args.plugins or PLUGINS)
            parts += [definition, *definition.necks.values()]
        except NotHereError as error:
            reason = f"untouched, {definition.type} fails: {error}"
            left_out |= dict.fromkeys(definition.users, reason)
    counted, passed = report(parts, left_out, len(definitions))
    sys.exit(int(passed < ENOUGH * max(counted, 1)))


def parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("words", nargs="*", help="parts of names, such as /swin")
    words = "registered name of a plugin, in place of the two; may be repeated"
    add("--plugin", action="append", metavar="NAME", help=words)
    words = "file or module that registers yours; may be repeated"
    add("--import", dest="files", action="append", metavar="FILE", help=words)
    args = parser.parse_args()
    for name in args.files or ():
        folder, module = os.path.split(name.removesuffix(".py"))
        sys.path.insert(0, os.path.abspath(folder))
        if why := import_error(module):
            raise MissingPackageError(f"--import {name} can't be imported: {why}")
    args.plugins = [dict(type=name) for name in args.plugin or ()]
    for plugin in args.plugins:
        check_plugin(plugin, "--plugin")
    return args


def report(
    parts: list[Definition], left_out: dict[str, str], different: int
) -> tuple[int, int]:
    """Print the table, the reasons and the sum; return how many count, and pass."""
    kinds = defaultdict(list)
    for part in parts:
        kinds[part.toolbox, part.part, part.type].append(part)
    users = {kind: users_of(same) for kind, same in kinds.items()}
    table = Table("toolbox", "part", "type", "through", title="Shipped configs")
    for title in ("different", "configs", "passed"):
        table.add_column(title, justify="right")
    for kind in sorted(users, key=lambda k: (*k[:2], -len(users[k]), k)):
        stock = kind[1] == "backbone" and kind[2] in BLOCK_BY_BLOCK
        through = f"nlse_mm.{kind[2]}" if stock else "WithPlugins"
        counted = users[kind] - left_out.keys()
        passed = counted - users_of(p for p in kinds[kind] if p.reason)
        numbers = (len(kinds[kind]), len(counted), len(passed))
        table.add_row(*kind, through, *map(str, numbers))
    failed = {
        user: f"{p.part} {p.type}: {p.reason}"
        for p in parts
        for user in p.users
        if p.reason and user not in left_out
    }
    console = Console()
    console.print(table)
    print_reasons("Did not pass", failed, console)
    print_reasons("Not counted", left_out, console)
    counted = len(users_of(parts) - left_out.keys())
    passed = counted - len(failed)
    share = f" ({passed / counted:.1%})" if counted else ""
    console.print(
        f"{passed} of {counted} configs with an image backbone that loads pass{share}; "
        f"{different} different backbones, {len(left_out)} configs not counted."
    )
    return counted, passed


def users_of(parts: Iterable[Definition]) -> set[str]:
    return {user for part in parts for user in part.users}


def print_reasons(title: str, reasons: dict[str, str], console: Console) -> None:
    """Print each reason, the most frequent first, with how many configs, and one."""
    table = Table("configs", "one of them", "reason", title=title)
    for reason, number in Counter(reasons.values()).most_common():
        first = min(user for user, why in reasons.items() if why == reason)
        table.add_row(str(number), first, reason)
    if reasons:
        console.print(table, markup=False)


if __name__ == "__main__":
    main()
