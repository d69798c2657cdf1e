"""Print what is installed here, what works and what doesn't, as one page.

python -m nlse_mm

Marks: ok, missing (hurts only who needs it), broken. The exit code is 1 where something
is broken, else 0.
"""

import argparse
import contextlib
import io
import logging
import sys
import warnings

from nlse_mm.environment import check_environment
from nlse_mm.environment.page import show


def main() -> int:
    """Print the page; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m nlse_mm",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    # What packages print and log while they are imported isn't part of the page.
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        found = check_environment()
    show(found)
    return 1 if found.broken else 0


if __name__ == "__main__":
    sys.exit(main())
