"""The fenced blocks of README and docs, and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "configs" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def snippets(language: str) -> Iterator[tuple[str, str]]:
    """The name and the text of every block that begins with three ticks, language."""
    for path in DOCUMENTS:
        found = re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)
        for number, body in enumerate(found):
            yield f"{path.relative_to(ROOT).with_suffix('')}-{number}", body


def commands() -> Iterator[tuple[str, list[str]]]:
    """The name and the words of every line of every bash block.

    A backslash at the end of a line joins it with the next; comments are left out.
    """
    for name, body in snippets("bash"):
        for number, line in enumerate(body.replace("\\\n", " ").splitlines()):
            if words := shlex.split(line, comments=True):
                yield f"{name}-{number}", words
