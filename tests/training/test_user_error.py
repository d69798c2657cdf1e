"""A user error of every kind ends as its one sentence, wherever it was raised."""

import inspect
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch
from mmengine.registry import MODELS
from torch.utils.data import DataLoader, Dataset

from nlse_mm import errors
from nlse_mm.training.user_error import USER_ERROR, in_one_sentence, user_error
from nlse_mm.validation.class_names import few

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
# A colon after a word, quotes and a backslash: what a traceback or a repr has, too.
SENTENCE = r"data.ann_file: 'C:\coco.json' isn't there; it says \"ValueError: no\""


class Raises(Dataset):
    """Raise when the first sample is read, from another error if there is a cause."""

    def __init__(self, error, cause=None):
        self.error, self.cause = error, cause

    def __len__(self):
        return 1

    def __getitem__(self, index):
        if self.cause is None:
            raise self.error
        try:
            raise self.cause
        except type(self.cause) as cause:
            raise self.error from cause


def raised_in_worker(dataset):
    loader = DataLoader(dataset, num_workers=1, multiprocessing_context="fork")
    with pytest.raises(Exception) as caught:  # noqa: PT011 (its class is checked)
        next(iter(loader))
    assert "DataLoader worker" in str(caught.value)
    return caught.value


def fail(error):
    raise error


def test_the_kinds_are_all_of_them():
    assert {kind.__name__ for kind in KINDS} >= {
        *("ConfigError", "ArgumentError", "CheckpointError", "UnknownNameError"),
        *("MissingFileError", "MissingPackageError"),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_its_str_is_the_sentence(kind):
    assert str(kind(SENTENCE)) == SENTENCE
    assert user_error(kind(SENTENCE)) == SENTENCE


@pytest.mark.parametrize("kind", KINDS)
def test_a_data_workers_is_its_sentence(kind):
    error = raised_in_worker(Raises(kind(SENTENCE)))
    assert type(error) is kind
    assert user_error(error) == SENTENCE


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cause", [ValueError, errors.ConfigError, KeyError])
def test_a_data_workers_is_its_sentence_below_what_caused_it(kind, cause):
    error = raised_in_worker(Raises(kind(SENTENCE), cause("another sentence")))
    assert user_error(error) == SENTENCE


def test_a_data_workers_sentence_of_several_lines_stays_whole():
    error = raised_in_worker(Raises(errors.ConfigError("it says\nOSError: no\nspace")))
    assert user_error(error) == "it says OSError: no space"


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_pools_is_its_sentence(kind):
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, mp_context=fork) as pool:
        error = pool.submit(fail, kind(SENTENCE)).exception()
    assert type(error) is kind
    assert user_error(error) == SENTENCE
    assert user_error(pickle.loads(pickle.dumps(error))) == SENTENCE


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rank", ["0", "1"])
def test_the_first_of_the_launchers_processes_prints_it(kind, rank, monkeypatch, capfd):
    monkeypatch.setenv("LOCAL_RANK", rank)
    monkeypatch.delenv("NLSE_MM_TRACEBACK", raising=False)
    main = in_one_sentence(lambda: fail(kind(SENTENCE)))
    process = multiprocessing.get_context("fork").Process(target=main)
    process.start()
    process.join()
    assert process.exitcode == USER_ERROR
    assert capfd.readouterr().err == f"error: {SENTENCE}\n" * (rank == "0")


def test_each_of_the_launchers_processes_prints_that_of_its_data(monkeypatch, capfd):
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.delenv("NLSE_MM_TRACEBACK", raising=False)
    loader = DataLoader(Raises(errors.ConfigError(SENTENCE)), num_workers=1)
    with pytest.raises(SystemExit) as ended:
        in_one_sentence(lambda: next(iter(loader)))()
    assert ended.value.code == USER_ERROR
    assert capfd.readouterr().err == f"error: {SENTENCE}\n"


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda: fail(ValueError("no")), ValueError),
        (lambda: fail(KeyError("no")), KeyError),
        (lambda: torch.nn.functional.dropout(torch.ones(1), p=2), ValueError),
        (lambda: torch.zeros(2).reshape(3), RuntimeError),
        # A line of ours.
        (lambda: few(None), TypeError),
        (lambda: fail(FileNotFoundError("no")), FileNotFoundError),
    ],
)
def test_a_fault_of_the_program_keeps_its_traceback(function, kind, capfd):
    with pytest.raises(kind) as caught:
        in_one_sentence(function)()
    assert user_error(caught.value) is None
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", [ValueError, KeyError, FileNotFoundError])
def test_a_data_workers_fault_keeps_its_traceback(kind):
    error = raised_in_worker(Raises(kind("no")))
    assert type(error) is kind
    assert user_error(error) is None


def test_a_fault_raised_from_a_user_error_keeps_its_traceback():
    error = raised_in_worker(Raises(ValueError("no"), errors.ConfigError(SENTENCE)))
    assert user_error(error) is None


def test_mmengines_advice_for_an_unknown_name_is_left_out(in_mmdet):
    plain = dict(type="mmdet.ResNet", depth=18, norm_cfg=dict(type="Nope"))
    base = dict(plain, type="nlse_mm.WithPlugins", base="ResNet", plugins=[])
    for config in (dict(type="mmdet.Nope"), base):
        with pytest.raises((KeyError, ValueError)) as caught:
            MODELS.build(config)
        sentence = user_error(caught.value)
        assert "Nope" in sentence
        assert "Please check whether" not in sentence
