"""What a training that was killed is resumed from."""

import os

import pytest
import torch

from nlse_mm.checkpoint import is_complete, latest_complete


@pytest.fixture
def folder(tmp_path):
    """Writes checkpoints, oldest first, a second apart; returns the folder."""

    def fill(*names, note=None):
        for second, name in enumerate(names):
            number = int("".join(c for c in name if c.isdigit()))
            torch.save(dict(meta=dict(iter=number)), tmp_path / name)
            os.utime(tmp_path / name, (second, second))
        if note:
            (tmp_path / "last_checkpoint").write_text(str(tmp_path / note))
            wrote = (tmp_path / note).stat().st_mtime + 0.5
            os.utime(tmp_path / "last_checkpoint", (wrote, wrote))
        return tmp_path

    return fill


def cut(path, keep=0.9):
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])


def latest(folder):
    found = latest_complete(folder)
    return found and os.path.basename(found)


def test_a_real_checkpoint_is_complete_and_no_beginning_of_it_is(
    tmp_path, real_checkpoint
):
    assert is_complete(real_checkpoint)
    data = real_checkpoint.read_bytes()
    path = tmp_path / "epoch_1.pth"
    for length in (0, 3, 100, len(data) // 2, len(data) - 22, len(data) - 1):
        path.write_bytes(data[:length])
        assert not is_complete(path), length


def test_a_changed_byte_makes_it_incomplete(tmp_path):
    path = tmp_path / "epoch_1.pth"
    torch.save(dict(w=torch.ones(1000)), path)
    assert is_complete(path)
    data = bytearray(path.read_bytes())
    data[data.index(torch.ones(4).numpy().tobytes()) + 400] ^= 1
    path.write_bytes(data)
    assert not is_complete(path)


def test_other_zip_files_and_missing_ones_are_incomplete(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "epoch_1.pth", "w") as file:
        file.writestr("a/readme", "hello")
    assert not is_complete(tmp_path / "epoch_1.pth")
    assert not is_complete(tmp_path / "epoch_2.pth")


@pytest.mark.parametrize(
    ("names", "newest"),
    [
        (["epoch_9.pth", "epoch_10.pth"], "epoch_10.pth"),
        (["iter_9000.pth", "iter_10000.pth"], "iter_10000.pth"),
        (["epoch_10.pth", "epoch_9.pth"], "epoch_10.pth"),
        # Which is further is in the files: iteration 12 and iteration 500.
        (["epoch_12.pth", "iter_500.pth"], "iter_500.pth"),
        (["iter_4.pth", "epoch_12.pth"], "epoch_12.pth"),
        (["best_acc_epoch_3.pth", "epoch_2.pth.half-written"], None),
        ([], None),
    ],
)
def test_the_furthest_is_taken(folder, names, newest):
    assert latest(folder(*names)) == newest


def test_half_written_ones_are_skipped_and_named(folder, log):
    path = folder("epoch_1.pth", "epoch_2.pth", "epoch_3.pth", note="epoch_3.pth")
    cut(path / "epoch_3.pth")
    cut(path / "epoch_2.pth", keep=0)
    assert latest(path) == "epoch_1.pth"
    assert [line.split()[0] for line in log] == [
        str(path / "epoch_3.pth"),
        str(path / "epoch_2.pth"),
    ]


def test_none_is_returned_if_all_are_half_written(folder, log):
    path = folder("epoch_1.pth")
    cut(path / "epoch_1.pth")
    assert latest_complete(path) is None
    assert len(log) == 1


def test_one_written_after_the_note_counts(folder):
    assert latest(folder("epoch_1.pth", "epoch_2.pth", note="epoch_1.pth")) == (
        "epoch_2.pth"
    )


def test_one_left_over_from_a_longer_training_does_not(folder):
    names = ("epoch_11.pth", "epoch_12.pth", "epoch_1.pth", "epoch_2.pth")
    path = folder(*names, note="epoch_2.pth")
    assert latest(path) == "epoch_2.pth"
    cut(path / "epoch_2.pth")
    assert latest(path) == "epoch_1.pth"


def test_the_note_may_be_torn_or_name_a_deleted_file(folder):
    path = folder("epoch_1.pth")
    for text in ("", "work_dirs/gone/epoch_2.pth", str(path / "epoch_3.pth")):
        (path / "last_checkpoint").write_text(text)
        assert latest(path) == "epoch_1.pth"


def test_checkpoints_outside_the_work_folder_are_found(folder, tmp_path):
    elsewhere = folder("epoch_1.pth", "epoch_2.pth")
    cut(elsewhere / "epoch_2.pth")
    work_dir = tmp_path / "work"
    work_dir.mkdir()
    (work_dir / "last_checkpoint").write_text(str(elsewhere / "epoch_2.pth"))
    assert latest_complete(work_dir) == str(elsewhere / "epoch_1.pth")


def test_one_on_a_remote_store_is_left_to_mmengine(tmp_path):
    (tmp_path / "last_checkpoint").write_text("s3://bucket/epoch_2.pth")
    assert latest_complete(tmp_path) == "s3://bucket/epoch_2.pth"


def test_a_folder_that_does_not_exist_has_none(tmp_path):
    assert latest_complete(tmp_path / "nowhere") is None
