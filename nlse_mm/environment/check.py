"""Check an environment: what is installed and works, and attention's ways."""

from .attention import ways
from .findings import Environment, Finding, Way
from .import_errors import reason
from .openmmlab import openmmlab
from .parts import SECTION, parts
from .versions import versions


def check_environment() -> Environment:
    """Return what is installed here, what works and what doesn't.

    It imports everything of nlse_mm and the toolboxes, which takes some seconds, and
    changes nothing. ``python -m nlse_mm`` prints it.

    Returns:
        ``findings``, each marked ``'ok'``, ``'missing'`` or ``'broken'``, of which
        those of the last kind are ``broken`` too; and the ``ways`` of attention.

    Example:
        >>> import nlse_mm
        >>> [found.name for found in nlse_mm.check_environment().broken]
        []
    """
    findings = [*versions(), *openmmlab(), *parts()]
    taken: tuple[Way, ...] = ()
    try:
        taken = ways()
    except Exception as error:  # an import is a program: anything may come out of it
        findings.append(Finding(SECTION, "broken", "attention", reason(error)))
    return Environment(tuple(findings), taken)
