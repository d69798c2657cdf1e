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
import itertools
import json
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from arguments import add_cfg_options, make_parser
from comparison.report import as_csv, common_metrics, figure, markdown, tabulate
from comparison.run import Run
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from nlse_mm.errors import ConfigError
from nlse_mm.training.config import load_config
from nlse_mm.training.user_error import in_one_sentence

POLL_SECONDS = 0.3


@in_one_sentence
def main() -> None:
    args = parse()
    runs = plan(args)
    args.work_dir.mkdir(parents=True, exist_ok=True)
    with only_one(args.work_dir):
        try:
            carry_out(runs, args)
        finally:
            report(runs, args)


def parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    number = dict(type=int, default=1)
    add("configs", nargs="+", type=Path, metavar="CONFIG")
    add("--seeds", nargs="+", type=int, default=[0], help="0 or more each (0)")
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
    for wrong, sentence in (
        (len(set(names)) < len(names), f"two configs have the same name: {names}"),
        (min(args.seeds) < 0, f"--seeds {args.seeds}: a seed is 0 or more"),
        (len(set(args.seeds)) < len(args.seeds), f"--seeds {args.seeds} repeats one"),
        (args.gpus < 1, f"--gpus {args.gpus} is not 1 or more"),
        (args.at_once < 1, f"--at-once {args.at_once} is not 1 or more"),
    ):
        if wrong:
            raise ConfigError(sentence)
    environment = {}
    if args.at_once > 1 and not torch.cuda.is_available():
        cores = len(os.sched_getaffinity(0))
        threads = str(max(1, cores // (args.at_once * args.gpus)))
        environment = dict(OMP_NUM_THREADS=threads, MKL_NUM_THREADS=threads)
    settings = {path: read(path, args.cfg_options) for path in args.configs}
    common = (args.cfg_options, args.gpus, environment)
    runs = []
    for seed, path in itertools.product(args.seeds, args.configs):
        folder = args.work_dir / path.stem / f"seed_{seed}"
        runs.append(Run(path, seed, folder, settings[path], *common))
        _ = runs[-1].state  # refuses a folder of other settings
    return runs


def read(path: Path, options: list[str]) -> str:
    """Write all that the config holds, as train.py will read it.

    Raises:
        ConfigError: If it can't be read or has nothing to evaluate with.
    """
    for option in options:
        if "=" not in option:
            raise ConfigError(f"--cfg-options {option} is not KEY=VALUE")
    parser = argparse.ArgumentParser()
    add_cfg_options(parser)
    words = ["--cfg-options", *options] if options else []
    # Whatever the run's folder, its settings are the same.
    common = argparse.Namespace(config=path, work_dir="")
    cfg = load_config(parser.parse_args(words, common))
    if cfg.get("test_evaluator") is None:
        raise ConfigError(f"{path} has no test_evaluator, which gives the metrics")
    return json.dumps(cfg.to_dict(), sort_keys=True, default=repr)


@contextmanager
def only_one(work_dir: Path) -> Iterator[None]:
    """Refuse to work in a folder in which another comparison works."""
    with (work_dir / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"another comparison is working in {work_dir}") from None
        yield


def carry_out(runs: list[Run], args: argparse.Namespace) -> None:
    """Train and evaluate what isn't, ``args.at_once`` beside each other.

    Raises:
        ConfigError: If a run fails, or its metrics lack one that was asked for.
    """
    waiting = [run for run in runs if run.metrics is None]
    finished = [run for run in runs if run.metrics is not None]
    for run in finished:
        check_metrics(run, args.metrics)
    if finished:
        print(f"{len(finished)} of {len(runs)} runs are finished already.", flush=True)
    seconds = [run.state["seconds"] for run in finished]
    active: list[Run] = []
    text = TextColumn("{task.description}")
    columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), text)
    with Progress(*columns) as progress:
        bar = progress.add_task("", total=len(runs), completed=len(finished))
        say = partial(progress.print, markup=False, highlight=False, soft_wrap=True)
        try:
            while waiting or active:
                while waiting and len(active) < args.at_once:
                    active.append(run := waiting.pop(0))
                    say(f"[{runs.index(run) + 1}/{len(runs)}] {run}: training")
                    run.start()
                time.sleep(POLL_SECONDS)
                for run in [run for run in active if run.is_over()]:
                    active.remove(run)
                    check_metrics(run, args.metrics)
                    seconds.append(run.state["seconds"])
                    progress.advance(bar)
                    left = time_left(active, len(waiting), seconds, args.at_once)
                    shown = (
                        f"{name} {value:.3f}" for name, value in run.metrics.items()
                    )
                    say(f"{run}: {', '.join(shown)}; {left or 'nothing left'}")
                left = time_left(active, len(waiting), seconds, args.at_once)
                progress.update(bar, description=left)
        finally:
            for run in active:
                run.stop()


def time_left(
    active: list[Run], waiting: int, seconds: list[float], at_once: int
) -> str:
    """Say how long the rest will take; empty while nothing is known."""
    running = [run.seconds_left() or 0.0 for run in active]
    known = seconds or [
        time.monotonic() - run.started + left
        for run, left in zip(active, running, strict=True)
        if left
    ]
    if not known:
        return ""
    rest = sum(running) + waiting * statistics.fmean(known)
    minutes = rest / min(at_once, max(1, len(active) + waiting)) / 60
    return f"about {minutes:.0f} min left"


def check_metrics(run: Run, wanted: list[str] | None) -> None:
    """Raise ConfigError if the finished run lacks one of the ``wanted``."""
    for name in wanted or []:
        if name not in run.metrics:
            raise ConfigError(
                f"--metrics {name} is not one of {', '.join(run.metrics)}"
            )


def report(runs: list[Run], args: argparse.Namespace) -> None:
    """Write and print the comparison, of those seeds that every config has finished."""
    unfinished = {run.seed for run in runs if run.metrics is None}
    seeds = [seed for seed in args.seeds if seed not in unfinished]
    if not seeds:
        return
    results = {
        path.stem: [r.metrics for r in runs if r.config == path and r.seed in seeds]
        for path in args.configs
    }
    metrics = args.metrics or common_metrics(results)
    if not results[args.configs[0].stem][0].keys() >= set(metrics):
        return  # check_metrics says it
    table = tabulate(results, metrics)
    text = markdown(table)
    (args.work_dir / "comparison.md").write_text(text)
    (args.work_dir / "comparison.csv").write_text(as_csv(table, seeds))
    figure(table, args.work_dir / "comparison.png")
    if unfinished:
        print(f"Not finished: {sorted(unfinished)}; of the other seeds:")
    print(text)


if __name__ == "__main__":
    main()
