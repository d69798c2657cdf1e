#!/usr/bin/env python
"""Add a non-local line and an SE line to every config that the toolboxes ship.

    tools/analysis/check_configs.py
    tools/analysis/check_configs.py mmdet/swin mmseg/hrnet

Without arguments all configs of the installed mmdet and mmseg are read, otherwise those
whose TOOLBOX/FOLDER/NAME.py contains one of the words. Each different backbone is built
once, untouched and with both lines, on random weights, and so is each neck behind it:
ResNet, ResNeXt, ResNetV1c and ResNetV1d as nlse_mm.ResNet and so on, all others through
nlse_mm.WithPlugins. A config passes where, in its backbones and necks,

- the lines are accepted, and the backbone's own initialisation too;
- the outputs equal the untouched model's bit for bit, with the same weights;
- no parameter is renamed, and the new ones are all a plugin's;
- gradients reach each plugin in a step of training, from weights that are not zero.

Configs that don't load or build here untouched are not counted, with the reason. The
exit code is 1 where less than 99% of the others pass.
"""

import argparse
import logging
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from mmengine.logging import MMLogger
from rich.console import Console
from rich.progress import track
from rich.table import Table
from shipped.check import BLOCK_BY_BLOCK, NotHereError, check
from shipped.definitions import Definition, collect, leaves

from nlse_mm.registry import installed

ENOUGH = 0.99


@dataclass
class Outcome:
    """What became of the configs.

    Args:
        different: How many different ones each kind (toolbox, part, type) has.
        users: The configs that have each kind.
        reasons: For each kind, the configs that did not pass, and why.
        left_out: The configs that are not counted, and why.
    """

    different: Counter = field(default_factory=Counter)
    users: dict = field(default_factory=lambda: defaultdict(set))
    reasons: dict = field(default_factory=lambda: defaultdict(dict))
    left_out: dict[str, str] = field(default_factory=dict)

    def add(self, definition: Definition) -> None:
        """Check a backbone and the necks behind it, and note the outcome."""
        try:
            reason, necks = check(definition)
        except NotHereError as error:
            for user in definition.users:
                self.left_out[user] = f"untouched, {definition.kind} fails: {error}"
            return
        self._note(definition, definition.toolbox, "backbone", reason)
        for key, neck in definition.necks.items():
            self._note(neck, definition.toolbox, "neck", necks[key])

    def _note(self, item, toolbox: str, part: str, reason: str | None) -> None:
        kind = (toolbox, part, item.kind)
        self.different[kind] += 1
        self.users[kind].update(item.users)
        if reason is not None:
            self.reasons[kind].update(dict.fromkeys(item.users, reason))

    @property
    def counted(self) -> set[str]:
        """The configs that load and have an image backbone."""
        return set().union(*self.users.values()) - self.left_out.keys()

    @property
    def failed(self) -> set[str]:
        """Those of them that did not pass."""
        return set().union(*self.reasons.values()) & self.counted


def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    warnings.filterwarnings("ignore")
    MMLogger.get_instance("check_configs", log_level="ERROR")
    logging.disable(logging.WARNING)
    console = Console(stderr=True)
    configs = [
        (name, path)
        for toolbox in ("mmdet", "mmseg")
        if installed(toolbox)
        for name, path in leaves(toolbox)
        if not args.words or any(word in name for word in args.words)
    ]
    if not configs:
        sys.exit(f"check_configs: no shipped config has {args.words} in its name.")
    definitions, left_out = collect(track(configs, "Read", console=console))
    outcome = Outcome(left_out=left_out)
    for definition in track(definitions, "Backbones", console=console):
        outcome.add(definition)
    report(outcome, len(definitions), Console())
    counted, failed = len(outcome.counted), len(outcome.failed)
    sys.exit(int(counted - failed < ENOUGH * max(counted, 1)))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", help="parts of names, such as mmdet/swin")
    return parser.parse_args(argv)


def report(outcome: Outcome, different: int, console: Console) -> None:
    """Print the table, the reasons, and the sum."""
    table = Table("toolbox", "part", "type", "through", title="Shipped configs")
    for title in ("different", "configs", "passed"):
        table.add_column(title, justify="right")
    for kind in sorted(
        outcome.users, key=lambda k: (k[0], k[1], -len(outcome.users[k]), k)
    ):
        toolbox, part, name = kind
        stock = part == "backbone" and name in BLOCK_BY_BLOCK
        users = outcome.users[kind] - outcome.left_out.keys()
        passed = len(users - outcome.reasons[kind].keys())
        table.add_row(
            toolbox,
            part,
            name,
            f"nlse_mm.{name}" if stock else "WithPlugins",
            *map(str, (outcome.different[kind], len(users), passed)),
        )
    console.print(table)
    failed = {
        user: f"{part} {name}: {reason}"
        for (_, part, name), users in outcome.reasons.items()
        for user, reason in users.items()
        if user in outcome.counted
    }
    print_reasons("Did not pass", failed.items(), console)
    print_reasons("Not counted", outcome.left_out.items(), console)
    counted = len(outcome.counted)
    passed = counted - len(outcome.failed)
    share = f" ({passed / counted:.1%})" if counted else ""
    console.print(
        f"{passed} of {counted} configs with an image backbone that loads pass{share}; "
        f"{different} different backbones, {len(outcome.left_out)} configs not counted."
    )


def print_reasons(
    title: str, pairs: Iterable[tuple[str, str]], console: Console
) -> None:
    """Each reason, the most frequent first, with its number of configs and one."""
    users = defaultdict(list)
    for user, reason in pairs:
        users[reason].append(user)
    if not users:
        return
    table = Table("configs", "one of them", "reason", title=title)
    for reason, names in sorted(users.items(), key=lambda item: -len(item[1])):
        table.add_row(str(len(names)), min(names), reason)
    console.print(table, markup=False)


if __name__ == "__main__":
    main()
