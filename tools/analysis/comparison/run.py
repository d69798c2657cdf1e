"""One training of one config with one seed, and its evaluation, through the launchers.

A run has a folder: ``run.json`` says what it is and how far it came, and is replaced in
one step; ``output.log`` is what the launchers printed.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from nlse_mm.errors import ConfigError
from nlse_mm.training.parent import die_with
from nlse_mm.training.user_error import USER_ERROR

TOOLS = Path(__file__).parents[2]
_ETA = re.compile(r"eta: (?:(\d+) days?, )?(\d+):(\d\d):(\d\d)")


class Run:
    """A config with a seed, by the arguments of the command line.

    Args:
        settings: All that the result depends on, but for the seed and the processes.

    Raises:
        ConfigError: If the run's folder holds one of other settings.
    """

    def __init__(self, config: Path, seed: int, args: Namespace, settings: str) -> None:
        self.config, self.seed, self.args = config, seed, args
        self.folder = args.work_dir / config.stem / f"seed_{seed}"
        self.started = 0.0  # by time.monotonic, of the process that runs
        now = hashlib.sha256(f"{settings}\n{args.gpus}".encode()).hexdigest()
        self.state = dict(settings=now, trained=False, metrics=None, seconds=0.0)
        if (self.folder / "run.json").exists():
            self.state = json.loads((self.folder / "run.json").read_text())
        if self.state["settings"] != now:
            raise ConfigError(
                f"{self.folder} holds a run of {self} with other settings (the config, "
                "--cfg-options or --processes): delete it or name another --work-dir"
            )

    def __str__(self) -> str:
        return f"{self.config.stem}, seed {self.seed}"

    @property
    def metrics(self) -> dict[str, float] | None:
        """The result, or None if the run isn't finished."""
        return self.state["metrics"]

    def work(self) -> Iterator[None]:
        """Train, unless that is done, and evaluate, while somebody iterates.

        Closed early, it ends the process; the next ``work`` resumes the training.

        Raises:
            ConfigError: If a launcher fails, or doesn't write what it should.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._note()
        note, test = self.folder / "train" / "last_checkpoint", self.folder / "test"
        if not self.state["trained"]:
            launcher = [sys.executable, TOOLS / "train.py", self.config]
            if self.args.gpus > 1:
                launcher = [TOOLS / "dist_train.sh", self.config, self.args.gpus]
            yield from self._launch(*launcher, "--resume", folder=note.parent)
            self._note(trained=True)
        if not note.is_file():
            raise ConfigError(f"the training of {self} wrote no checkpoint {note}")
        shutil.rmtree(test, ignore_errors=True)
        launcher = [sys.executable, TOOLS / "test.py", self.config]
        yield from self._launch(*launcher, note.read_text().strip(), folder=test)
        self._note(metrics=_read_metrics(test) or None)
        if self.metrics is None:
            raise ConfigError(f"the evaluation of {self} gave no metric")

    def _launch(self, *launcher: object, folder: Path) -> Iterator[None]:
        options = [*self.args.cfg_options, f"randomness.seed={self.seed}"]
        command = [*launcher, "--work-dir", folder, "--cfg-options", *options]
        log, parent = self.folder / "output.log", os.getpid()
        self.started = time.monotonic()
        with log.open("ab") as output:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdout=output,
                stderr=subprocess.STDOUT,
                # A training that nobody waits for would be resumed by a second one.
                preexec_fn=lambda: die_with(parent),
            )
        try:
            while (code := process.poll()) is None:
                yield
        finally:
            process.terminate()
            process.wait()
        self.state["seconds"] += time.monotonic() - self.started
        if code:
            last = log.read_text(errors="replace").strip().rpartition("\n")[2]
            if code == USER_ERROR:
                raise ConfigError(f"{self}: {last.removeprefix('error: ')}")
            last = f"{last or 'nothing was printed'} (more in {log})"
            raise ConfigError(f"{self} ended with exit code {code}: {last}")

    def seconds_left(self) -> float | None:
        """Read what the training says it still needs; None before it does."""
        newest = (
            (self.folder / "output.log").read_bytes()[-8192:].decode(errors="replace")
        )
        if not (found := _ETA.findall(newest)):
            return None
        days, hours, minutes, seconds = (int(part or 0) for part in found[-1])
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds

    def _note(self, **news: object) -> None:
        self.state |= news
        unfinished = self.folder / ".run.json"
        unfinished.write_text(json.dumps(self.state, indent=1) + "\n")
        unfinished.replace(self.folder / "run.json")


def _read_metrics(folder: Path) -> dict[str, float]:
    # LoggerHook's {time}/{time}.json holds the metrics and two durations.
    logs = [json.loads(path.read_text()) for path in sorted(folder.glob("*/*.json"))]
    numbers = {k: v for k, v in dict(*logs[-1:]).items() if isinstance(v, int | float)}
    return {k: float(v) for k, v in numbers.items() if k not in ("time", "data_time")}
