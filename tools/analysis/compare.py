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
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from comparison.report import as_csv, markdown, picture
from comparison.run import Run
from comparison.statistics import common_metrics, tabulate
from mmengine.config import DictAction
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from nlse_mm.engine.config import load_config
from nlse_mm.engine.user_error import UserError, in_one_sentence

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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("configs", nargs="+", type=Path, metavar="CONFIG")
    add("--seeds", nargs="+", type=int, default=[0], help="0 or more each (0)")
    add("--work-dir", type=Path, default=Path("work_dirs/compare"))
    add(
        "--gpus",
        "--processes",
        dest="processes",
        type=int,
        default=1,
        help="GPUs, or without one processes, of each training (1)",
    )
    add(
        "--at-once",
        type=int,
        default=1,
        help="trainings beside each other; on a CPU of two cores, 2 is the fastest (1)",
    )
    add(
        "--metrics",
        nargs="+",
        help="those to report, such as coco/bbox_mAP; all by default",
    )
    add(
        "--cfg-options",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="replace settings of every config, as in tools/train.py",
    )
    return parser.parse_args()


def plan(args: argparse.Namespace) -> list[Run]:
    """The runs, seed by seed: stopped early, it leaves a comparison of all configs.

    Raises:
        UserError: For what can be seen to be wrong before any training.
    """
    names = [path.stem for path in args.configs]
    for wrong, sentence in (
        (len(set(names)) < len(names), f"two configs have the same name: {names}"),
        (min(args.seeds) < 0, f"--seeds {args.seeds}: a seed is 0 or more"),
        (len(set(args.seeds)) < len(args.seeds), f"--seeds {args.seeds} repeats one"),
        (args.processes < 1, f"--gpus {args.processes} is not 1 or more"),
        (args.at_once < 1, f"--at-once {args.at_once} is not 1 or more"),
    ):
        if wrong:
            raise UserError(sentence)
    settings = [read(path, args.cfg_options) for path in args.configs]
    runs = [
        Run(
            config=path,
            seed=seed,
            folder=args.work_dir / path.stem / f"seed_{seed}",
            settings=text,
            options=args.cfg_options,
            processes=args.processes,
        )
        for seed in args.seeds
        for path, text in zip(args.configs, settings, strict=True)
    ]
    for run in runs:
        _ = run.state  # refuses a folder of other settings
    return runs


def read(path: Path, options: list[str]) -> str:
    """All that the config holds, as train.py will read it.

    Raises:
        UserError: If it can't be read or has nothing to evaluate with.
    """
    for option in options:
        if "=" not in option:
            raise UserError(f"--cfg-options {option} is not KEY=VALUE")
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, default={})
    words = ["--cfg-options", *options] if options else []
    common = argparse.Namespace(
        config=path,
        cfg_options=parser.parse_args(words).cfg_options,
        local_rank=0,
        launcher="none",
        work_dir="",
    )
    cfg = load_config(common)
    if cfg.get("test_evaluator") is None:
        raise UserError(f"{path} has no test_evaluator, which gives the metrics")
    return json.dumps(cfg.to_dict(), sort_keys=True, default=repr)


@contextmanager
def only_one(work_dir: Path) -> Iterator[None]:
    """Refuse to work in a folder in which another comparison works."""
    with (work_dir / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another comparison is working in {work_dir}") from None
        yield


def carry_out(runs: list[Run], args: argparse.Namespace) -> None:
    """Train and evaluate what isn't, ``args.at_once`` beside each other.

    Raises:
        UserError: If a run fails, or its metrics lack one that was asked for.
    """
    at_once = args.at_once
    waiting = [run for run in runs if run.metrics is None]
    ready = len(runs) - len(waiting)
    for run in runs:
        check_metrics(run, args.metrics)
    if ready:
        print(f"{ready} of {len(runs)} runs are finished already.", flush=True)
    threads = None
    if at_once > 1 and not torch.cuda.is_available():
        processes = at_once * runs[0].processes
        threads = max(1, len(os.sched_getaffinity(0)) // processes)
    active: list[Run] = []
    seconds = [run.state["seconds"] for run in runs if run.metrics is not None]
    columns = [TextColumn("runs"), BarColumn(), MofNCompleteColumn()]
    columns.append(TextColumn("{task.description}"))
    with Progress(*columns) as progress:
        bar = progress.add_task("", total=len(runs), completed=ready)
        say = partial(progress.print, markup=False, highlight=False, soft_wrap=True)
        try:
            while waiting or active:
                while waiting and len(active) < at_once:
                    run = waiting.pop(0)
                    say(f"[{runs.index(run) + 1}/{len(runs)}] {run}: training")
                    run.start(threads)
                    active.append(run)
                time.sleep(POLL_SECONDS)
                for run in [run for run in active if run.is_over()]:
                    if run.metrics is None:
                        run.start(threads)  # trained; now the evaluation
                        continue
                    active.remove(run)
                    check_metrics(run, args.metrics)
                    seconds.append(run.state["seconds"])
                    progress.advance(bar)
                    left = time_left(active, len(waiting), seconds, at_once)
                    say(f"{run}: {shown(run.metrics)}; {left or 'nothing left'}")
                left = time_left(active, len(waiting), seconds, at_once)
                progress.update(bar, description=left)
        finally:
            for run in active:
                run.stop()


def time_left(
    active: list[Run], waiting: int, seconds: list[float], at_once: int
) -> str:
    """How long the rest will take, as text; empty while nothing is known."""
    running = [run.seconds_left() or 0.0 for run in active]
    whole = [
        time.monotonic() - run.started + left
        for run, left in zip(active, running, strict=True)
        if left
    ]
    known = seconds or whole
    if not known:
        return ""
    rest = sum(running) + waiting * sum(known) / len(known)
    minutes = rest / min(at_once, max(1, len(active) + waiting)) / 60
    return f"about {minutes:.0f} min left"


def shown(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in metrics.items())


def check_metrics(run: Run, wanted: list[str] | None) -> None:
    """UserError if the run is finished and lacks one of the ``wanted``."""
    for name in wanted or []:
        if run.metrics is not None and name not in run.metrics:
            raise UserError(f"--metrics {name} is not one of {', '.join(run.metrics)}")


def report(runs: list[Run], args: argparse.Namespace) -> None:
    """Write and print the comparison, of those seeds that every config has finished."""
    unfinished = {run.seed for run in runs if run.metrics is None}
    finished = [run for run in runs if run.seed not in unfinished]
    if not finished:
        return
    results = {
        path.stem: [run.metrics for run in finished if run.config == path]
        for path in args.configs
    }
    metrics = args.metrics or common_metrics(results)
    if not finished[0].metrics.keys() >= set(metrics):
        return  # check_metrics says it
    table = tabulate(results, metrics)
    seeds = [seed for seed in args.seeds if seed not in unfinished]
    text = markdown(table)
    (args.work_dir / "comparison.md").write_text(text)
    (args.work_dir / "comparison.csv").write_text(as_csv(table, seeds))
    picture(table, args.work_dir / "comparison.png")
    if unfinished:
        print(f"Not finished: {sorted(unfinished)}; of the other seeds:")
    print(text)


if __name__ == "__main__":
    main()
