"""Hold what ``check_environment`` finds."""

from dataclasses import dataclass
from typing import Literal

Mark = Literal["ok", "missing", "broken"]


@dataclass(frozen=True)
class Finding:
    """Say of one thing whether it works here.

    Args:
        section: The heading that it belongs under.
        mark: ``'ok'``; ``'missing'``, which hurts only who needs it; or ``'broken'``,
            which has to be mended.
        name: What it is, such as ``'mmcv operators'``.
        text: Its version or what it has, or what is wrong and what to do.
    """

    section: str
    mark: Mark
    name: str
    text: str


@dataclass(frozen=True)
class Way:
    """Say which way softmax attention takes for one shape.

    Args:
        shape: What has that shape, with its sizes.
        device: ``'cpu'`` or ``'cuda'``.
        bits: Of a number: ``'32 bit'`` or ``'16 bit'``, as under AMP.
        way: The way, in words.
    """

    shape: str
    device: str
    bits: str
    way: str


@dataclass(frozen=True)
class Environment:
    """Hold the whole of what was found.

    Args:
        findings: In the order in which the page prints them.
        ways: Of attention; none where it can't be imported.
    """

    findings: tuple[Finding, ...]
    ways: tuple[Way, ...]

    @property
    def broken(self) -> tuple[Finding, ...]:
        """Return what has to be mended."""
        return tuple(f for f in self.findings if f.mark == "broken")
