"""A plugin that can't learn, in a training as the launchers start it."""

import pytest

pytest.importorskip("mmdet")
from run import dist_train, finish, train

UNUSED = (
    "backbone.nonlocal_block_output0: no gradient reaches it, since nothing that the "
    "loss is made of uses its output"
)


def test_one_process_warns_of_a_plugin_on_an_unused_output_and_goes_on(tmp_path):
    printed = finish(train(tmp_path, "unused.py"), tmp_path)
    assert printed.count(f"a plugin that does not learn: {UNUSED}\n") == 1
    assert "output3" not in printed.split("a plugin that does not learn")[1]
    assert (tmp_path / "epoch_3.pth").is_file()


def test_two_processes_end_in_a_sentence_that_names_the_plugin(tmp_path):
    printed = finish(dist_train(tmp_path, "unused.py"), tmp_path, exit_code=2)
    assert f"error: a plugin that several processes can't train: {UNUSED}; " in printed
    assert "Expected to have finished reduction" not in printed


def test_two_processes_train_without_it_where_that_is_asked_for(tmp_path):
    options = ("--cfg-options", "find_unused_parameters=True")
    printed = finish(dist_train(tmp_path, "unused.py", *options), tmp_path)
    assert printed.count(f"a plugin that does not learn: {UNUSED}\n") == 1
