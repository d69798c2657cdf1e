"""Stands for tools/train.py: notes its start and end, takes TOY_SECONDS, learns naught.

It waits until TOY_PEERS trainings have started, and fails where its config says so. A
work folder in which it was before must come with --resume.
"""

import os
import runpy
import sys
import time
from pathlib import Path


def note(text):
    with open(os.environ["TOY_LOG"], "a") as log:
        log.write(f"{text}\n")


config, words = sys.argv[1], sys.argv[2:]
seed = next(w.split("=")[1] for w in words if w.startswith("randomness.seed="))
folder = Path(words[words.index("--work-dir") + 1])
name = Path(config).stem
note(f"start {name} {seed} {os.getpid()}")
settings = runpy.run_path(config)
if settings.get("fault") or settings.get("fault_of_seed") == int(seed):
    print("error: the toy has a fault")
    sys.exit(settings.get("fault", 1))
resumed = folder.exists() and "--resume" in words
folder.mkdir(parents=True, exist_ok=resumed)
print("Epoch(train) [1][ 50/100]  eta: 0:10:30  time: 0.1", flush=True)
time.sleep(float(os.environ.get("TOY_SECONDS", 0)))
deadline = time.monotonic() + 60
while Path(os.environ["TOY_LOG"]).read_text().count("start") < int(
    os.environ.get("TOY_PEERS", 1)
):
    assert time.monotonic() < deadline, "the other training doesn't start"
    time.sleep(0.02)
(folder / "epoch_1.pth").write_text(name)
(folder / "last_checkpoint").write_text(str(folder / "epoch_1.pth"))
note(f"trained {name} {seed} threads={os.environ.get('OMP_NUM_THREADS')}")
