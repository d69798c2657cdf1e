"""Left and right are found in names however they are written, and nowhere else."""

import pytest

from nlse_mm.keypoints.metainfo import check_metainfo
from nlse_mm.keypoints.sides import other_side, side_of


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("left_eye", "right_eye"),
        ("Left Shoulder", "Right Shoulder"),
        ("L_Eye", "R_Eye"),
        ("left-ankle", "right-ankle"),
        ("leftEye", "rightEye"),
        ("LShoulder", "RShoulder"),
        ("l.eye", "r.eye"),
        ("EYE_LEFT", "EYE_RIGHT"),
        ("lshoulder", "rshoulder"),
        ("EyeL", "EyeR"),
        ("hand_l1", "hand_r1"),
        ("LEFTEYE", "RIGHTEYE"),
        ("leftear", "rightear"),
        ("upper left", "upper right"),
        ("gauche oeil", "droite oeil"),
        ("oeil_gauche", "oeil_droit"),
        ("linkes Auge", "rechtes Auge"),
        ("左眼", "右眼"),
        ("Left_Elbow", "R elbow"),
        ("rear_left_paw", "rear_right_paw"),
        ("left edge of right eye", "right edge of left eye"),
    ],
)
def test_a_side_and_its_partner_are_found(left, right):
    names = ("nose", right, left, "tail")
    assert (side_of(left), side_of(right)) == ("left", "right")
    assert other_side(left, names) == right
    assert other_side(right, names) == left
    assert other_side("nose", names) is None


def test_a_side_at_the_end_of_a_word_counts_with_its_partner_only():
    names = ("eyeleft", "eyeright", "upright", "cleft")
    assert [other_side(name, names) for name in names] == [
        "eyeright",
        "eyeleft",
        None,
        None,
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("lip", "upright", "bright", "nose", "rear", "tail", "roof", "lash", "cleft"),
        *("Rear_Bumper", "lower lip", "root", "chin_3"),
    ],
)
def test_a_name_without_a_side_has_none(name):
    assert side_of(name) is None
    assert other_side(name, (name, "nose", "tip", "rower lip")) is None


def metainfo(names, pairs):
    return dict(
        keypoints=names, flip_pairs=pairs, skeleton=(), sigmas=(0.05,) * len(names)
    )


@pytest.mark.parametrize(
    ("names", "pairs", "words"),
    [
        (("Left Hip", "Right Hip"), (), r"has no pair \('Left Hip', 'Right Hip'\)"),
        (("R_Eye", "L_Eye", "nose"), (), r"has no pair \('L_Eye', 'R_Eye'\)"),
        (("a-left", "a-right"), (), "has no pair"),
        (
            ("left_eye", "left_ear", "right_eye", "right_ear"),
            (("left_eye", "left_ear"), ("right_eye", "right_ear")),
            r"\('left_eye', 'left_ear'\), which are not left and right of the same",
        ),
        (
            ("L_eye", "L_ear", "R_eye", "R_ear"),
            (("L_eye", "R_ear"), ("L_ear", "R_eye")),
            "'R_eye' is the other side of one",
        ),
        (
            ("left_a", "left_b"),
            (("left_a", "left_b"),),
            "not left and right of the same",
        ),
        (
            ("Left Shoulder", "Rigth Shoulder", "right knee"),
            (),
            "says nothing of 'Left Shoulder', 'right knee': which is whose other side",
        ),
    ],
)
def test_pairs_that_mix_up_sides_are_refused(names, pairs, words):
    with pytest.raises(ValueError, match=words):
        check_metainfo(metainfo(names, pairs))


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (("lip", "upright", "bright"), ()),
        (("L_Eye", "R_Eye"), (("R_Eye", "L_Eye"),)),
        (("left_eye", "nose"), ()),  # the only one of its kind
        (("L1", "L2"), (("L1", "L2"),)),  # lines
        (("L1", "L2", "L3"), ()),  # vertebrae
        (("a", "b"), (("a", "b"),)),
        (("Left", "Right"), None),
        (("port", "starboard"), (("port", "starboard"),)),
    ],
)
def test_right_pairs_are_taken(names, pairs):
    check_metainfo(metainfo(names, pairs))


def test_classes_as_one_string_are_told_of_the_comma():
    meta = metainfo(("a",), ()) | dict(classes="person")
    with pytest.raises(ValueError, match=r"write \('person',\), with a comma"):
        check_metainfo(meta)
