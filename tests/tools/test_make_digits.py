"""The folder of digits is a split of scikit-learn's, the same for the same seed."""

import sys
from collections import Counter

import cv2
import make_digits
import numpy as np
import pytest

from nlse_mm.errors import ConfigError, MissingPackageError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    pytest.importorskip("sklearn")
    root = tmp_path_factory.mktemp("data") / "digits"
    make_digits.main([str(root)])
    return root


def files(root, split="*"):
    return sorted(p.relative_to(root) for p in root.glob(f"{split}/*/*.png"))


def test_every_image_is_there_once_with_its_pixels_in_its_class(made):
    digits = make_digits.load()
    assert sorted(int(p.stem) for p in files(made)) == list(range(1797))
    for path in files(made):
        number = int(path.stem)
        assert path.parent.name == str(digits.target[number])
        image = cv2.imread(str(made / path), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(np.rint(image / 255 * 16), digits.images[number])


def test_each_digit_has_the_same_share_of_both_splits(made):
    train, test = (
        Counter(p.parent.name for p in files(made, split))
        for split in ("train", "test")
    )
    assert train.total() == 1437
    assert test.total() == 360
    for digit, count in train.items():
        assert abs(test[digit] - (count + test[digit]) * 360 / 1797) <= 1


def test_the_same_seed_gives_the_same_split_and_another_seed_another(made, capsys):
    make_digits.main([str(made)])
    assert "nothing to do" in capsys.readouterr().out
    target = make_digits.load().target
    first, again, other = (make_digits.splits(target, s)["test"] for s in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()
    assert first.tolist() == sorted(int(p.stem) for p in files(made, "test"))


def test_a_folder_made_with_another_seed_is_refused(made):
    with pytest.raises(ConfigError, match="delete it or name another folder"):
        make_digits.main([str(made), "--seed", "1"])


def test_without_scikit_learn_it_ends_in_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingPackageError, match="pip install scikit-learn"):
        make_digits.main([str(tmp_path / "digits")])
    assert not list(tmp_path.iterdir())
