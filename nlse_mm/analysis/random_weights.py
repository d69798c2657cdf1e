"""Give a model random weights with which each of its layers matters."""

from zlib import crc32

import torch
from torch import nn


def fill_with_random_weights(model: nn.Module) -> None:
    """Replace all parameters by random ones that depend on their names only.

    A layer that starts from zero, such as the last one of an attention block, is filled
    too: with it a wrong block would show in no output.
    """
    for name, parameter in model.named_parameters():
        torch.manual_seed(crc32(name.encode()))
        if parameter.ndim > 1:
            # Activations stay within an order of magnitude through R50's 16 blocks.
            nn.init.kaiming_normal_(parameter, nonlinearity="linear")
        else:  # 1 in norms, a block's zero-initialised one too; 0 in biases
            nn.init.constant_(parameter, name.endswith("weight"))
