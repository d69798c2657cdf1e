#!/usr/bin/env python
"""Run what only a GPU can show, and write it down; see tools/gpu_report.sh."""

import datetime
import importlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from arguments import add_output, make_parser
from gpu_sections import PYTEST, SECTIONS, TOOL, Section

from nlse_mm import __version__
from nlse_mm.environment.operators import run_operator
from nlse_mm.environment.packages import PACKAGES, name_and_version
from nlse_mm.errors import ConfigError
from nlse_mm.toolbox import Toolbox
from nlse_mm.training.user_error import in_one_sentence

ROOT = Path(__file__).parents[2]
PROGRESS = re.compile(r"[.sFE]+ *(\[ *\d+%\])?$")  # pytest's


@in_one_sentence
def main() -> None:
    parser = make_parser(__doc__)
    add_output(parser, help="docs/benchmarks/gpu_CARD.md")
    add = parser.add_argument
    add("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    add("--trial", action="store_true", help="on the CPU, at tiny sizes")
    args = parser.parse_args()
    if not args.trial and not torch.cuda.is_available():
        raise ConfigError(
            "there is no GPU here that PyTorch sees: the report is of one (--trial "
            "runs all of it on the CPU, at tiny sizes)"
        )
    card = "trial" if args.trial else torch.cuda.get_device_name()
    slug = re.sub(r"\W+", "_", card.lower())
    output = args.output or ROOT / "docs" / "benchmarks" / f"gpu_{slug}.md"
    parts = [head(card, args)]
    failed = []
    output.parent.mkdir(parents=True, exist_ok=True)
    for name in args.only:
        print(f"{name} ...", file=sys.stderr, flush=True)
        text, ok = run(SECTIONS[name], args.trial)
        failed += [] if ok else [name]
        parts.append(f"## {SECTIONS[name].title}\n\n{text}")
        # Each time anew, so that what stops the whole report loses one section.
        output.write_text("\n\n".join(parts) + "\n")
    print(output)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
        sys.exit(1)


def head(card: str, args: Namespace) -> str:
    """Return the title, and what the numbers depend on."""
    words = " ".join(["tools/gpu_report.sh", *sys.argv[1:]])
    lines = [f"- {datetime.date.today()}, nlse_mm {__version__}, {commit()}"]
    if not args.trial:
        count = torch.cuda.device_count()
        for i in range(count):
            card_ = torch.cuda.get_device_properties(i)
            gib, capability = card_.total_memory / 2**30, f"{card_.major}.{card_.minor}"
            lines.append(
                f"- {card_.name}, {gib:.0f} GiB, compute capability {capability}"
            )
    python = ".".join(map(str, sys.version_info[:3]))
    cuda = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    lines.append(f"- Python {python}, torch {torch.__version__}, {cuda}")
    lines.append(f"- {', '.join(versions())}")
    fence = f"```bash\n{words}\n```"
    return "\n\n".join([f"# On a GPU: {card}", fence, "\n".join(lines)])


def versions() -> Iterator[str]:
    """Yield the packages that are there, with their versions."""
    for package in PACKAGES:
        yield name_and_version(package) or f"no {package.name}"
    yield f"numpy {np.__version__}"


def commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "commit unknown"
    return f"commit {done.stdout.strip() or 'unknown'}"


def run(section: Section, trial: bool) -> tuple[str, bool]:
    """Return a section's text, and whether nothing in it failed."""
    reason = section.needs and why_missing(section.needs, trial)
    if section.command.startswith(PYTEST) and find_spec("pytest") is None:
        reason = "pytest isn't installed"
    if reason:
        return f"Left out: {reason}", True
    minutes = section.minutes * (10 if trial else 1)  # a CPU may be busy
    words = section.command.split() + (section.trial.split() if trial else [])
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.md"
        is_benchmark = words[0].startswith(TOOL)
        if is_benchmark:
            device = "cpu" if trial else "cuda"
            extra = ["--device", device, "--output", str(table)]
        elif trial:
            extra = ["-m", "not slow and not gpu"]
        else:
            extra = []
        code, seconds, said = ended(words + extra, 60 * minutes)
        text = below_heading(table.read_text()) if table.exists() else ""
    text = text.replace(f" --output {table}", "")
    took = f"{seconds:.0f} s."
    if not is_benchmark:
        text = f"```bash\npython {' '.join(words)}\n```"
    lines = [x for x in said.strip().splitlines() if not PROGRESS.fullmatch(x)][-40:]
    if code == 0:
        shown = "" if is_benchmark else f"{fenced(lines)}\n\n"
        return f"{text}\n\n{shown}{took}", True
    why = f"stopped after {minutes:g} minutes" if code is None else f"code {code}"
    return f"{text}\n\n**Failed** ({why}), {took}\n\n{fenced(lines)}".strip(), False


def ended(words: list[str], limit: float) -> tuple[int | None, float, str]:
    """Run Python; return its exit code (None: out of time), seconds and output."""
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths())}
    how = dict(cwd=ROOT, env=environment, text=True, start_new_session=True)
    both = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    process = subprocess.Popen([sys.executable, *words], **how, **both)
    try:
        said, code = process.communicate(timeout=limit)[0], process.returncode
    except BaseException as error:  # Ctrl-C as well
        # With those that it started, which would keep the card busy.
        os.killpg(process.pid, signal.SIGKILL)
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        said, code = process.communicate()[0], None
    return code, time.perf_counter() - start, said


def paths() -> list[str]:
    """Return the folders to import from: this checkout, though it isn't installed."""
    return [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]


def why_missing(toolbox: Toolbox, trial: bool) -> str:
    """Return why a toolbox can't run here, in a sentence; nothing if it can."""
    try:
        importlib.import_module(toolbox.scope)
        toolbox.module("models")
        run_operator("cpu" if trial else "cuda")
    except Exception as error:  # an import is a program, and so is a kernel
        said = " ".join(str(error).split())
        return (
            f"it needs {toolbox.title} with MMCV's operators compiled for CUDA, and "
            f"here is {type(error).__name__}: {said[:200]}"
        )
    return ""


def below_heading(text: str) -> str:
    """Return a benchmark's file without its title, whose place the section's takes."""
    return text.split("\n", 1)[1].strip()


def fenced(lines: list[str]) -> str:
    return "\n".join(["```text", *lines, "```"])


if __name__ == "__main__":
    main()
