#!/usr/bin/env python
"""Convert published weights of a ResNet to the key names of nlse_mm's backbones.

    tools/checkpoint/convert.py seresnet50.safetensors seresnet50.pth
    tools/checkpoint/convert.py timm://legacy_senet154.in1k senet154.pth

SRC is a file (.pth, .bin, .safetensors) or a name behind timm://, mmcls:// or
torchvision://. DST holds the backbone alone, for model.backbone.init_cfg.checkpoint. An
SE backbone converts by itself what its init_cfg names; a file is for everything else.
"""

import argparse
import os
from pathlib import Path

import torch

from nlse_mm.checkpoint.conversion.families import FAMILIES
from nlse_mm.checkpoint.conversion.published import read_published
from nlse_mm.errors import ConfigError
from nlse_mm.training.command_line import make_parser
from nlse_mm.training.user_error import in_one_sentence


def parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("source", metavar="SRC", help="file or name of the weights")
    add("target", metavar="DST", type=Path, help="file to write")
    words = "where the weights come from (told by their keys if not given)"
    add("--from", dest="family", choices=FAMILIES, help=words)
    return parser.parse_args()


@in_one_sentence
def main() -> None:
    args = parse()
    if args.target.exists():
        raise ConfigError(f"{args.target} exists already; nothing was written")
    if not args.target.parent.is_dir():
        raise ConfigError(f"the folder {args.target.parent} of DST does not exist")
    published = read_published(args.source, source=args.family)
    meta = dict(converted_from=published.family)
    unfinished = args.target.with_name(f".{args.target.name}.{os.getpid()}")
    torch.save(dict(state_dict=published.weights, meta=meta), unfinished)
    unfinished.replace(args.target)
    print(
        f"{args.target}: {len(published.weights)} keys from {args.source} "
        f"({published.family}); left out: {', '.join(published.left_over) or 'none'}"
    )


if __name__ == "__main__":
    main()
