"""Find left and right in the names of keypoints, however they are written."""

import re
from collections.abc import Sequence

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
_SIDES = {
    **dict.fromkeys(("left", "l", "lt", "lft", "links", "gauche", "左"), "left"),
    **dict.fromkeys(("right", "r", "rt", "rgt", "rechts", "droite", "右"), "right"),
    **dict.fromkeys(("linke", "linker", "linkes"), "left"),
    **dict.fromkeys(("rechte", "rechter", "rechtes", "droit"), "right"),
    **dict.fromkeys(("izquierda", "izquierdo", "sinistra", "sinistro"), "left"),
    **dict.fromkeys(("derecha", "derecho", "destra", "destro"), "right"),
}
_OTHER = {"left": "right", "right": "left"}
# Words that a single letter may precede: lshoulder is left, lip is not.
_BODY = (
    *("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "hand"),
    *("foot", "arm", "leg", "toe", "heel", "thumb", "finger", "paw", "wing"),
)
_BEGINNING = re.compile("(left|right|左|右)(.+)")
_END = re.compile("(.+)(left|right)")
_LETTER = re.compile(f"([lr])((?:{'|'.join(_BODY)})s?)")

Parsed = tuple[tuple[str, ...], tuple[str, ...]]


def side_of(name: str) -> str | None:
    """Return ``'left'``, ``'right'``, or None for the middle.

    ``L_Eye``, ``eyeRight``, ``RShoulder`` and ``lshoulder`` have a side; ``lip``,
    ``upright`` and ``rear`` have none.
    """
    sides, _ = _parse(name, "")
    if not sides and "rear" not in name.lower():
        sides, _ = _parse(name, "letter")
    return sides[0] if sides else None


def other_side(name: str, names: Sequence[str]) -> str | None:
    """Return the one of ``names`` that is ``name`` with left and right exchanged."""
    # The last two readings are of no use without a partner: upright, rear.
    for glue in ("", "end", "letter"):
        sides, rest = _parse(name, glue)
        mirrored = tuple(_OTHER[side] for side in sides), rest
        found = [n for n in names if _parse(n, glue) == mirrored]
        if sides and found:
            return found[0] if len(found) == 1 else None
    return None


def _parse(name: str, glue: str) -> Parsed:
    """Return the sides that a name mentions, in order, and its other words."""
    sides, rest = [], []
    for word in _WORD.findall(name):
        word = word.lower()
        beginning = _BEGINNING.fullmatch(word)
        end = _END.fullmatch(word) if glue == "end" else None
        letter = _LETTER.fullmatch(word) if glue == "letter" else None
        if word in _SIDES:
            sides.append(_SIDES[word])
        elif found := beginning or letter:
            sides.append(_SIDES[found[1]])
            rest.append(found[2])
        elif end:
            sides.append(end[2])
            rest.append(end[1])
        else:
            rest.append(word)
    return tuple(sides), tuple(rest)
