"""The fenced blocks of README and docs, and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMED = ("README.md", "CONTRIBUTING.md", "configs/README.md")
DOCUMENTS = [*(ROOT / name for name in NAMED), *ROOT.glob("docs/**/*.md")]


def snippets(language: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of every block that begins with three ticks and language."""
    for path in DOCUMENTS:
        found = re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)
        for number, body in enumerate(found):
            yield f"{path.relative_to(ROOT).with_suffix('')}-{number}", body


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield name and words of every command of every bash block, comments left out."""
    for name, body in snippets("bash"):
        for number, line in enumerate(body.replace("\\\n", " ").splitlines()):
            if words := shlex.split(line, comments=True):
                yield f"{name}-{number}", words
