"""Check whether a checkpoint is of this model, by what loading it would leave out."""

import logging
from collections.abc import Collection, Iterable, Mapping, Set
from typing import Any

from mmengine.logging import print_log
from torch import Tensor, nn

from nlse_mm.errors import CheckpointError

from . import counted_keys as counted
from .dry_load import DryLoad, dry_load, own_state, unwrapped
from .hints import hint, listing
from .weights import weights_of

# Less than this share of the keys, and it is another model. Another number of classes
# leaves 98% of Mask R-CNN R50's keys as they are, R101 for R50 leaves 55%.
_SHARE = 0.9
_WAY_ROUND = "--cfg-options check_weights=False goes on with a warning"


def check_coverage(
    model: nn.Module,
    state_dict: Mapping[str, Any],
    path: str,
    *,
    testing: bool = False,
    resuming: bool = False,
) -> None:
    """Log how many keys of ``model`` the checkpoint fills; refuse another model's.

    The model's own loading hooks rename what they rename, on copies. What counts are
    the keys of its parameters and running statistics. The keys of a plugin are left out
    if all are missing (a baseline's checkpoint in a model with plugins), and in a test
    those of a part that only training uses (``auxiliary_head``). Prefixes of wrappers
    (``module.``, ``_orig_mod.``) don't matter; ``weights_of`` takes them off for
    loading, too. The rule:

    - A training that starts from the checkpoint is refused if no key is filled. For
      everything else there is a warning, as MMEngine has it.
    - A test is refused if all keys of a part of the model are missing (two levels down,
      such as ``roi_head.keypoint_head``), if fewer than 90% of the keys are
      filled, if one has another shape, or if one is missing that starts at random, a
      plugin's that changes what it is given included.
    - A training that is resumed is refused if a part or 90% of the keys are not there,
      if one has another shape, or if a parameter is missing, a plugin's included: the
      optimizer's state is of other weights.
    - Keys that the model lacks are a reason, in a test and in a resumed training, where
      they are more than a tenth: then they show a larger model of which this one is a
      part. R101's checkpoint fills all of R50. Those under a name of their own at the
      first or second level are left out: EMA copies, a teacher, another head.

    Args:
        model: The built model, wrapped for distributed training or not. Its values stay
            as they are.
        state_dict: The weights, or the checkpoint that holds them.
        path: The checkpoint's name, for the messages.
        testing: Whether nothing will train what is left as it is.
        resuming: Whether the optimizer's state will be loaded, too.

    Raises:
        CheckpointError: By that rule; or if there are no weights in it.
    """
    model = unwrapped(model)
    own = {k: v for k, v in own_state(model) if not counted.is_counter(k)}
    weights = weights_of(state_dict, path, own)
    found = dry_load(model, weights)
    missing = counted.unfilled(own, found.missing | found.foreign.keys())
    plugins = counted.new_plugins(model, own, missing)
    of_plugins = {key for keys in plugins.values() for key in keys}
    rest = own.keys() - of_plugins
    fitting = rest - missing - found.reshaped.keys()
    count = f"{len(fitting)} of the model's {len(rest)} keys match"

    needed = {k: own[k] for k in rest if counted.is_trained(k, own[k])}
    if testing:
        needed = {k: v for k, v in needed.items() if not counted.is_unused(k, model)}
    absent = counted.absent_parts(needed.keys(), missing, 2 if testing else 1)
    filled = fitting & needed.keys()
    if absent or len(filled) < _SHARE * len(needed):
        reason = count + _lack(absent, needed.keys() & missing, found.reshaped)
        reason += hint(own, weights)
        if testing or resuming or not filled:
            _refuse(f"{path} is a checkpoint of another model: {reason}")
        _log(f"{path}: only {reason}; what is left is trained from its start", bad=True)
    else:
        _log(f"{path}: {count}")
    if testing or resuming:
        _check_surplus(path, counted.surplus(found.unexpected, own), fitting, count)
        _check_each(path, needed, missing & needed.keys(), found, resuming)
    if plugins:
        _check_plugins(path, model, plugins, testing, resuming)
    _warn(path, "missing keys", missing - of_plugins)
    _warn(path, "keys of another shape", found.reshaped)
    _warn(path, "unexpected keys", found.unexpected)


def _lack(absent: Set[str], missing: Set[str], reshaped: Collection[str]) -> str:
    """Return the end of a sentence that names what is wrong, the largest first."""
    if absent:
        return f"; missing keys: all of {listing(absent)}"
    if missing:
        return f"; missing keys: {listing(missing)}"
    return f"; keys of another shape: {listing(reshaped)}"


def _check_surplus(
    path: str, surplus: list[str], fitting: Collection[str], count: str
) -> None:
    """Refuse the checkpoint of a larger model, whose keys fill all of a smaller one."""
    if len(fitting) < _SHARE * (len(fitting) + len(surplus)):
        _refuse(
            f"{path} is a checkpoint of another model: {count}, and {len(surplus)} of "
            f"its own are of layers that the model lacks, such as {surplus[0]}"
        )


def _check_each(
    path: str,
    needed: Mapping[str, Tensor],
    missing: Set[str],
    found: DryLoad,
    resuming: bool,
) -> None:
    """Refuse weights of which a few would stay as they are."""
    for key in sorted(found.foreign.keys() & needed.keys()):
        _refuse(f"{path} has a {found.foreign[key]} as {key}, not a tensor")
    for key in sorted(found.reshaped.keys() & needed.keys()):
        _refuse(
            f"{path} is of a model with another number of classes or channels: its "
            f"{key} is {tuple(found.reshaped[key])}, the model's is "
            f"{tuple(needed[key].shape)}"
        )
    parameters = [k for k in missing if isinstance(needed[k], nn.Parameter)]
    if resuming and parameters:
        _refuse(
            f"{path} can't be resumed, for its optimizer's state is of other weights: "
            f"missing keys: {listing(parameters)}; load_from=PATH starts a training "
            "from it"
        )
    random = [key for key in missing if counted.is_random(needed[key])]
    if random:
        _refuse(
            f"{path} would leave {len(random)} of the model's {len(needed)} keys "
            f"untrained: missing keys: {listing(random)}"
        )


def _check_plugins(
    path: str,
    model: nn.Module,
    plugins: Mapping[str, Collection[str]],
    testing: bool,
    resuming: bool,
) -> None:
    """Log the plugins whose keys are missing; refuse what they would spoil."""
    named = listing(f"{name} ({len(keys)} keys)" for name, keys in plugins.items())
    if resuming:
        _refuse(
            f"{path} can't be resumed, for its optimizer's state is of other weights: "
            f"missing keys: all of these plugins: {named}; load_from=PATH starts a "
            "training from it"
        )
    changing = [n for n in plugins if not counted.is_identity(model.get_submodule(n))]
    if testing and changing:
        _refuse(
            f"{path}: missing keys: all of these plugins, which at random change what "
            f"the rest computes: {listing(changing)}"
        )
    _log(f"{path}: missing keys: all of these plugins: {named}")


def _refuse(sentence: str) -> None:
    raise CheckpointError(f"{sentence} ({_WAY_ROUND})")


def _warn(path: str, what: str, keys: Iterable[str]) -> None:
    keys = [key for key in keys if not counted.is_counter(key)]
    if keys:
        _log(f"{path}: {what}: {listing(keys)}", bad=True)


def _log(sentence: str, bad: bool = False) -> None:
    level = logging.WARNING if bad else logging.INFO
    print_log(sentence, logger="current", level=level)
