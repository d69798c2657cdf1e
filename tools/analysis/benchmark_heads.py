#!/usr/bin/env python
"""Time and memory of our NLHead beside MMSegmentation's attention heads.

    tools/analysis/benchmark_heads.py
    tools/analysis/benchmark_heads.py --sizes 1024x2048 --heads fcn nl stock_nl
    tools/analysis/benchmark_heads.py --memory-limit 11

Inference of MMSegmentation's Cityscapes models, R50 at stride 8, one image, fp32, each
model in its own process. The table is Markdown:

- peak: the most memory that the process held, in MiB (on a GPU: that PyTorch did);
- x FCN: peak over that of plain FCN;
- head: milliseconds of the head alone, the fastest of --repeats runs (on a CPU the
  processor's time, on one thread: other jobs on the machine don't lengthen it);
- over FCN: head less FCN's head, in milliseconds;
- below: where ours and the stock NLHead, with the same weights, disagree.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.progress import track

HEADS = {  # the folder of MMSegmentation's configs, and the file's first word
    "fcn": ("fcn", "fcn"),
    "nl": ("nonlocal_net", "nonlocal"),
    "stock_nl": ("nonlocal_net", "nonlocal"),
    "cc": ("ccnet", "ccnet"),
    "ann": ("ann", "ann"),
    "ema": ("emanet", "emanet"),
    "gc": ("gcnet", "gcnet"),
    "dnl": ("dnlnet", "dnl"),
}
TITLES = {"fcn": "FCN", "nl": "NLHead (ours)", "stock_nl": "NLHead (stock)"}
OUT_OF_MEMORY = 9  # exit code of a child


def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    if args.child:
        measure(args)
        return
    rows = {}
    jobs = [(size, head) for size in args.sizes for head in args.heads]
    with tempfile.TemporaryDirectory() as folder:
        for size, head in track(jobs, "Heads", console=_stderr()):
            rows[size, head] = run_child(args, size, head, folder)
        print_tables(args, rows, folder)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--heads", nargs="+", choices=HEADS, default=list(HEADS), metavar="HEAD")
    add("--sizes", nargs="+", default=["512x1024", "769x769", "1024x2048"])
    add("--repeats", type=int, default=3, help="runs of each head (3)")
    add("--device", default="cpu", help="cpu or cuda")
    add("--memory-limit", type=float, help="GiB of address space a process may have")
    add("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    for size in args.sizes:
        if len(size.split("x")) != 2 or not size.replace("x", "").isdigit():
            parser.error(f"--sizes {size} is not HxW, such as 512x1024")
    if args.repeats < 1:
        parser.error(f"--repeats {args.repeats} is not 1 or more")
    return args


def run_child(args: argparse.Namespace, size: str, head: str, folder: str) -> dict:
    """The measurements of one model, or an empty dict where memory didn't suffice."""
    command = [sys.executable, __file__, "--child", size, head, folder]
    command += ["--repeats", str(args.repeats), "--device", args.device]
    if args.memory_limit:
        command += ["--memory-limit", str(args.memory_limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode in (OUT_OF_MEMORY, -OUT_OF_MEMORY):  # -9: the kernel's doing
        return {}
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def measure(args: argparse.Namespace) -> None:
    """In the child: one inference of the model, then the head alone, as JSON."""
    size, head, folder = args.child
    height, width = map(int, size.split("x"))
    if args.memory_limit:
        import resource

        limit = int(args.memory_limit * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    import numpy as np
    import torch

    torch.set_num_threads(1)
    model = build(head).to(args.device)
    image = torch.randn(
        1, 3, height, width, generator=torch.Generator().manual_seed(0)
    ).to(args.device)
    head_ms = []
    try:
        with torch.no_grad():
            features = model.backbone(image)
            for _ in range(args.repeats):
                ms, logits = timed(model.decode_head, features)
                head_ms.append(ms)
            shape = dict(img_shape=(height, width))
            mask = model.decode_head.predict_by_feat(logits, [shape]).argmax(1)
            peak = peak_mib(args.device)
    except (RuntimeError, MemoryError) as error:
        if "alloc" in str(error) or "out of memory" in str(error):
            sys.exit(OUT_OF_MEMORY)
        raise
    np.savez(
        Path(folder, f"{size}-{head}.npz"),
        logits=logits.cpu().numpy(),
        mask=mask.cpu().numpy().astype(np.uint8),
    )
    print(json.dumps(dict(peak=peak, head_ms=min(head_ms))))


def build(head: str):
    """The model, with weights that depend on the names of its parameters only."""
    import warnings
    from zlib import crc32

    import torch
    from mmengine.hub import get_config
    from mmengine.model import revert_sync_batchnorm
    from mmengine.registry import MODELS, DefaultScope
    from torch import nn

    warnings.filterwarnings("ignore")
    folder, word = HEADS[head]
    config = get_config(
        f"mmseg::{folder}/{word}_r50-d8_4xb2-80k_cityscapes-512x1024.py"
    )
    config.model.pretrained = config.model.auxiliary_head = None
    if head == "nl":
        config.model.decode_head.type = "nlse_mm.NLHead"
    with DefaultScope.overwrite_default_scope("mmseg"):
        model = revert_sync_batchnorm(MODELS.build(config.model)).eval()
    for name, parameter in model.named_parameters():
        torch.manual_seed(crc32(name.encode()))
        if parameter.ndim > 1:
            # Activations stay within an order of magnitude through R50's 16 blocks.
            nn.init.kaiming_normal_(parameter, nonlinearity="linear")
        elif name.endswith("weight"):  # norms, and a block's zero-initialised one too
            nn.init.ones_(parameter)
        else:
            nn.init.zeros_(parameter)
    return model


def peak_mib(device: str) -> float:
    if device == "cpu":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    import torch

    return torch.cuda.max_memory_allocated() / 2**20


def timed(head, features) -> tuple[float, Any]:
    """Milliseconds of one run of the head, and its logits."""
    import torch

    on_gpu = features[0].is_cuda
    clock = time.perf_counter if on_gpu else time.process_time
    start = clock()
    logits = head(features)
    if on_gpu:
        torch.cuda.synchronize()
    return 1000 * (clock() - start), logits


def print_tables(args: argparse.Namespace, rows: dict, folder: str) -> None:
    for size in args.sizes:
        print(f"\n## {size}\n")
        print("| head | peak MiB | x FCN | head ms | over FCN ms |")
        print("|---|---|---|---|---|")
        fcn = rows.get((size, "fcn"))
        for head in args.heads:
            cells = numbers(rows[size, head], fcn)
            print(
                f"| {TITLES.get(head, f'{head.upper()}Head')} | {' | '.join(cells)} |"
            )
        if rows.get((size, "nl")) and rows.get((size, "stock_nl")):
            print(f"\n{differences(folder, size)}")


def numbers(row: dict, fcn: dict | None) -> list[str]:
    if not row:
        return ["out of memory", "", "", ""]
    peak, head_ms = row["peak"], row["head_ms"]
    beside = ["", ""]
    if fcn:
        beside = [f"{peak / fcn['peak']:.2f}", f"{head_ms - fcn['head_ms']:.0f}"]
    return [f"{peak:.0f}", beside[0], f"{head_ms:.0f}", beside[1]]


def differences(folder: str, size: str) -> str:
    import numpy as np

    ours, stock = (
        np.load(Path(folder, f"{size}-{head}.npz")) for head in ("nl", "stock_nl")
    )
    largest = np.abs(stock["logits"]).max()
    error = np.abs(ours["logits"] - stock["logits"]).max() / largest
    wrong = np.count_nonzero(ours["mask"] != stock["mask"])
    return (
        f"Ours and the stock NLHead: logits differ by at most {error:.1e} of the "
        f"largest; masks in {wrong} of {stock['mask'].size} pixels, of "
        f"{len(np.unique(stock['mask']))} classes."
    )


def _stderr():
    from rich.console import Console

    return Console(stderr=True)


if __name__ == "__main__":
    main()
