#!/usr/bin/env python
"""Train and evaluate several configs over several seeds, and say which differ.

    tools/analysis/compare.py BASELINE.py OTHER.py --seeds 0 1 2
    tools/analysis/compare.py BASELINE.py ONE.py TWO.py --seeds 0 1 2 3 4 --gpus 8

The first config is what the others are compared to. Each run goes through the launchers
(tools/train.py, or tools/dist_train.sh with --gpus; then tools/test.py on its last
checkpoint) and has its folder, WORK_DIR/NAME-OF-THE-CONFIG/seed_N. Start the same
command again to go on where it was stopped: what is finished is not repeated, what is
half finished is resumed. Writes comparison.md, comparison.csv and comparison.png into
WORK_DIR, and prints the table; stopped early, of those seeds that all configs have.
"""

import argparse
import fcntl
import json
import os
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing
from itertools import product
from pathlib import Path
from statistics import fmean

import torch
from arguments import add_cfg_options, at_least, make_parser
from comparison.report import tabulate, write
from comparison.run import Run
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from nlse_mm.errors import ConfigError
from nlse_mm.training.config import load_config, parser_with_common_arguments
from nlse_mm.training.user_error import in_one_sentence

POLL_SECONDS = 0.3


@in_one_sentence
def main() -> None:
    args = parse()
    runs = plan(args)
    args.work_dir.mkdir(parents=True, exist_ok=True)
    with (args.work_dir / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another comparison is working in {args.work_dir}"
            ) from None
        try:
            carry_out(runs, args)
        finally:
            report(runs, args)


def parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    number = dict(type=at_least(1), default=1)
    add("configs", nargs="+", type=Path, metavar="CONFIG")
    add("--seeds", nargs="+", type=at_least(0), default=[0], help="0 or more each (0)")
    add("--work-dir", type=Path, default=Path("work_dirs/compare"))
    add("--gpus", "--processes", **number, help="or CPU processes, of a training (1)")
    add("--at-once", **number, help="trainings; 2 is fastest on two CPU cores (1)")
    add("--metrics", nargs="+", help="to report, such as coco/bbox_mAP (all)")
    add_cfg_options(parser, action=None)  # the launchers read them
    return parser.parse_args()


def plan(args: argparse.Namespace) -> list[Run]:
    """List the runs, seed by seed: stopped early, it compares all configs.

    Raises:
        ConfigError: For what can be seen to be wrong before any training.
    """
    names = [path.stem for path in args.configs]
    if len(set(names)) < len(names):
        raise ConfigError(f"two configs have the same name: {names}")
    if len(set(args.seeds)) < len(args.seeds):
        raise ConfigError(f"--seeds {args.seeds} repeats one")
    settings = {path: read(path, args.cfg_options) for path in args.configs}
    if args.at_once > 1 and not torch.cuda.is_available():
        cores = len(os.sched_getaffinity(0)) // (args.at_once * args.gpus)
        for library in ("OMP", "MKL"):
            os.environ[f"{library}_NUM_THREADS"] = str(max(1, cores))
    pairs = product(args.seeds, args.configs)
    return [Run(path, seed, args, settings[path]) for seed, path in pairs]


def read(path: Path, options: list[str]) -> str:
    """Write all that the config holds, as train.py will read it."""
    # Whatever the run's folder, its settings are the same.
    words = [str(path), "--work-dir", "", *(options and ["--cfg-options", *options])]
    cfg = load_config(parser_with_common_arguments("").parse_args(words))
    if cfg.get("test_evaluator") is None:
        raise ConfigError(f"{path} has no test_evaluator, which gives the metrics")
    return json.dumps(cfg.to_dict(), sort_keys=True, default=repr)


def carry_out(runs: list[Run], args: argparse.Namespace) -> None:
    """Train and evaluate what isn't, ``args.at_once`` beside each other."""
    check_metrics(runs, args.metrics)
    waiting = [run for run in runs if run.metrics is None]
    active: dict[Run, Iterator[None]] = {}
    if finished := len(runs) - len(waiting):
        print(f"{finished} of {len(runs)} runs are finished already.", flush=True)
    text = TextColumn("{task.description}")
    columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), text)
    console = Console(markup=False, highlight=False, soft_wrap=True)
    with Progress(*columns, console=console) as bar, ExitStack() as processes:
        task = bar.add_task("", total=len(runs), completed=finished)
        while waiting or active:
            while waiting and len(active) < args.at_once:
                run = waiting.pop(0)
                bar.print(f"[{runs.index(run) + 1}/{len(runs)}] {run}: training")
                active[run] = processes.enter_context(closing(run.work()))
                next(active[run], None)  # starts it, and with it its log
            for run, work in list(active.items()):
                next(work, None)
                if run.metrics is not None:
                    del active[run]
                    check_metrics([run], args.metrics)
                    bar.advance(task)
                    shown = (f"{name} {v:.3f}" for name, v in run.metrics.items())
                    left = time_left(runs, active, args.at_once) or "nothing left"
                    bar.print(f"{run}: {', '.join(shown)}; {left}")
            bar.update(task, description=time_left(runs, active, args.at_once))
            time.sleep(POLL_SECONDS)


def check_metrics(runs: list[Run], wanted: list[str] | None) -> None:
    """Raise ConfigError if a finished run lacks one of the ``wanted``."""
    finished = [run.metrics for run in runs if run.metrics is not None]
    for metrics, name in product(finished, wanted or []):
        if name not in metrics:
            raise ConfigError(f"--metrics {name} is not one of {', '.join(metrics)}")


def time_left(runs: list[Run], active: Collection[Run], at_once: int) -> str:
    """Say how long the rest will take; empty while nothing is known."""
    left = {run: run.seconds_left() or 0.0 for run in active}
    known = [run.state["seconds"] for run in runs if run.metrics is not None]
    known = known or [time.monotonic() - r.started + s for r, s in left.items() if s]
    if not known:
        return ""
    unfinished = sum(run.metrics is None for run in runs)
    rest = sum(left.values()) + (unfinished - len(left)) * fmean(known)
    return f"about {rest / min(at_once, max(1, unfinished)) / 60:.0f} min left"


def report(runs: list[Run], args: argparse.Namespace) -> None:
    """Write and print the comparison, of those seeds that every config has finished."""
    unfinished = {run.seed for run in runs if run.metrics is None}
    seeds = [seed for seed in args.seeds if seed not in unfinished]
    results = {
        path.stem: [r.metrics for r in runs if r.config == path and r.seed in seeds]
        for path in args.configs
    }
    if (
        not seeds
        or not {*(args.metrics or [])} <= results[args.configs[0].stem][0].keys()
    ):
        return  # check_metrics says it
    text = write(tabulate(results, args.metrics), seeds, args.work_dir)
    if unfinished:
        print(f"Not finished: {sorted(unfinished)}; of the other seeds:")
    print(text)


if __name__ == "__main__":
    main()
