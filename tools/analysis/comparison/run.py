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
from dataclasses import dataclass, field
from pathlib import Path

from nlse_mm.errors import ConfigError
from nlse_mm.training.parent import die_with
from nlse_mm.training.user_error import USER_ERROR

TOOLS = Path(__file__).parents[2]
_ETA = re.compile(r"eta: (?:(\d+) days?, )?(\d+):(\d\d):(\d\d)")
_TAIL = 8192  # bytes of a log that hold its newest lines


@dataclass
class Run:
    """A config with a seed."""

    config: Path
    seed: int
    folder: Path  # where everything of this run goes
    settings: str  # all that its result depends on
    options: list[str] = field(default_factory=list)  # KEY=VALUE for --cfg-options
    processes: int = 1  # tools/train.py, or if more tools/dist_train.sh
    environment: dict[str, str] = field(default_factory=dict)  # beside this process's
    process: subprocess.Popen | None = None
    started: float = 0.0

    def __str__(self) -> str:
        return f"{self.config.stem}, seed {self.seed}"

    @property
    def state(self) -> dict:
        """What is known: ``settings``, ``trained``, ``metrics``, ``seconds``.

        Raises:
            ConfigError: If the folder holds a run of other settings.
        """
        now = hashlib.sha256(f"{self.settings}\n{self.processes}".encode()).hexdigest()
        path = self.folder / "run.json"
        if not path.exists():
            return dict(settings=now, trained=False, metrics=None, seconds=0.0)
        state = json.loads(path.read_text())
        if state["settings"] != now:
            raise ConfigError(
                f"{self.folder} holds a run of {self} with other settings (the config, "
                "--cfg-options or --processes): delete it or name another --work-dir"
            )
        return state

    @property
    def metrics(self) -> dict[str, float] | None:
        """The result, or None if the run isn't finished."""
        return self.state["metrics"]

    def start(self) -> None:
        """Start or resume the training, or the evaluation when that is done."""
        state = self.state
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write(state)
        parent = os.getpid()
        self.started = time.monotonic()
        with (self.folder / "output.log").open("ab") as output:
            self.process = subprocess.Popen(
                self._test() if state["trained"] else self._train(),
                env=os.environ | self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A training that nobody waits for would be resumed by a second one.
                preexec_fn=lambda: die_with(parent),
            )

    def is_over(self) -> bool:
        """Tell whether the run has its metrics; after the training, start evaluating.

        Raises:
            ConfigError: If it failed.
        """
        code = self.process.poll()
        if code is None:
            return False
        self.process = None
        if code:
            raise ConfigError(self._why_it_failed(code))
        state = self.state
        state["seconds"] += time.monotonic() - self.started
        if state["trained"]:
            state["metrics"] = self._read_metrics()
        self._write(state | dict(trained=True))
        if state["metrics"] is None:
            self.start()
        return state["metrics"] is not None

    def stop(self) -> None:
        """End the process; a later run goes on from the last checkpoint."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()

    def seconds_left(self) -> float | None:
        """Read what the training says it still needs; None before it does."""
        with (self.folder / "output.log").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
            found = _ETA.findall(log.read().decode(errors="replace"))
        if not found:
            return None
        days, hours, minutes, seconds = (int(part or 0) for part in found[-1])
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds

    def _train(self) -> list[str]:
        launcher = [sys.executable, TOOLS / "train.py", self.config]
        if self.processes > 1:
            launcher = [TOOLS / "dist_train.sh", self.config, self.processes]
        return self._command(launcher, "train", "--resume")

    def _test(self) -> list[str]:
        note = self.folder / "train" / "last_checkpoint"
        if not note.is_file():
            raise ConfigError(f"the training of {self} wrote no checkpoint {note}")
        shutil.rmtree(self.folder / "test", ignore_errors=True)
        test = [sys.executable, TOOLS / "test.py", self.config]
        return self._command([*test, note.read_text().strip()], "test")

    def _command(self, launcher: list, what: str, *flags: str) -> list[str]:
        options = [*self.options, f"randomness.seed={self.seed}"]
        own = [*flags, "--work-dir", self.folder / what, "--cfg-options", *options]
        return [str(word) for word in (*launcher, *own)]

    def _read_metrics(self) -> dict[str, float]:
        # LoggerHook's {time}/{time}.json holds the metrics and two durations.
        files = sorted((self.folder / "test").glob("*/*.json"))
        numbers = json.loads(files[-1].read_text()) if files else {}
        for duration in ("time", "data_time"):
            numbers.pop(duration, None)
        metrics = {
            k: float(v) for k, v in numbers.items() if isinstance(v, int | float)
        }
        if not metrics:
            raise ConfigError(f"the evaluation of {self} gave no metric")
        return metrics

    def _why_it_failed(self, code: int) -> str:
        log = self.folder / "output.log"
        last = log.read_text(errors="replace").strip().rpartition("\n")[2]
        last = last or "nothing was printed"
        if code == USER_ERROR:
            return f"{self}: {last.removeprefix('error: ')}"
        return f"{self} ended with exit code {code}: {last} (more in {log})"

    def _write(self, state: dict) -> None:
        unfinished = self.folder / ".run.json"
        unfinished.write_text(json.dumps(state, indent=1) + "\n")
        os.replace(unfinished, self.folder / "run.json")
