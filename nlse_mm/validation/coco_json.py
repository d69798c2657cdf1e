"""Read COCO's JSON files, or say in one sentence why one can't be read."""

import json
import os
import reprlib
from collections.abc import Sequence
from typing import Any

from nlse_mm.errors import ConfigError, MissingFileError

LISTS = ("images", "annotations", "categories")
# Parsing takes about 4 s and 600 MB of memory for each 100 MB of file.
SMALL = 64 << 20

_COMPRESSED = {b"\x1f\x8b": "gzip", b"PK": "zip", b"BZ": "bzip2", b"\xfd7zXZ": "xz"}
_CHUNK = 1 << 24


def read_coco(
    path: str, name: str | None = None, required: Sequence[str] = LISTS
) -> dict[str, Any]:
    """Read an annotation file, whose parts are then lists of objects.

    UTF-8 with a byte-order mark is read, and UTF-16 and UTF-32 are.

    Args:
        path: The file.
        name: What messages call it; None: ``path``.
        required: Which of ``images``, ``annotations`` and ``categories`` must be
            there; the others become empty lists.

    Raises:
        ConfigError: If it isn't such a file, saying in what.
        MissingFileError: If there is no such file.
    """
    name = name or path
    return check_lists(read_object(path, name), name, required)


def read_object(path: str, name: str) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        ConfigError: If it doesn't, saying what it is.
        MissingFileError: If there is no such file.
    """
    content = _bytes(path, name)
    try:
        # Strict, unlike json.loads(bytes), which lets lone surrogates pass.
        found = json.loads(content.decode(json.detect_encoding(content)))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{name} {_why(content, error)}") from None
    if not isinstance(found, dict):
        raise ConfigError(
            f"{name} holds {kind(found)}, not COCO's object with the lists "
            f"{', '.join(LISTS)}"
        )
    return found


def check_lists(
    content: dict[str, Any], name: str, required: Sequence[str]
) -> dict[str, Any]:
    """Check that images, annotations and categories are lists of objects.

    Returns:
        A copy in which lists that are absent and not required are empty.

    Raises:
        ConfigError: Naming the file, the list and the entry.
    """
    lists = {key: content.get(key) for key in LISTS}
    for key, entries in lists.items():
        if entries is None and key in required:
            raise ConfigError(
                f"{name} has no {key}: its keys are {short(list(content))}"
            )
        if entries is None:
            lists[key] = entries = []
        if not isinstance(entries, list):
            raise ConfigError(
                f"{name}: {key} is {kind(entries)}, not a list of objects"
            )
        if not entries and key == "images" and key in required:
            raise ConfigError(f"{name}: images is empty")
        for i, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise ConfigError(f"{name}: {key}[{i}] is {kind(entry)}, not an object")
    return content | lists


def check_large(path: str, required: Sequence[str] = LISTS) -> None:
    """Check a file that is too large to be parsed twice: its ends, keys and brackets.

    A file that is cut short has brackets that nothing closes. Where their numbers
    differ, which brackets in texts can do too, the file is parsed after all.

    Raises:
        ConfigError: As ``read_coco``.
    """
    counts = dict.fromkeys((b"{", b"}", b"[", b"]"), 0)
    keys = {f'"{key}"'.encode() for key in required}
    tail = b""
    with open(path, "rb") as file:
        head = file.read(1)
        file.seek(0)
        while chunk := file.read(_CHUNK):
            for bracket in counts:
                counts[bracket] += chunk.count(bracket)
            tail = tail[-64:] + chunk
            keys = {key for key in keys if key not in tail}
    balanced = counts[b"{"] == counts[b"}"] and counts[b"["] == counts[b"]"]
    if head != b"{" or not tail.rstrip().endswith(b"}") or keys or not balanced:
        read_coco(path, required=required)


def kind(value: Any) -> str:
    """Name the JSON type of a value, with its article."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return "null" if value is None else names.get(type(value), "a number")


def short(value: Any) -> str:
    """Show a value in a message, without what would be too much of it."""
    shown = reprlib.Repr()
    shown.maxlist, shown.maxdict, shown.maxother = 8, 8, 60
    return shown.repr(value)


def _bytes(path: str, name: str) -> bytes:
    if not path:
        raise ConfigError("ann_file='' is not the path of an annotation file")
    if os.path.isdir(path):
        raise ConfigError(f"{name} is a folder, not an annotation file")
    if not os.path.exists(path):
        raise MissingFileError(f"{name} does not exist (seen from {os.getcwd()})")
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"{name} can't be read: {error.strerror}") from None


def _why(content: bytes, error: Exception) -> str:
    """Say what is wrong with a file that isn't JSON."""
    text = content.strip(b"\xef\xbb\xbf \t\r\n\0")
    for start, packed in _COMPRESSED.items():
        if content.startswith(start):
            return f"is compressed ({packed}): unpack it"
    if not text:
        return "is empty"
    if text.startswith(b"version https://git-lfs"):
        return "is Git LFS's pointer to the file, not the file: git lfs pull"
    if isinstance(error, UnicodeDecodeError):
        return f"is not a text in UTF-8 (byte {error.start})"
    if isinstance(error, RecursionError):
        return "is not an annotation file: its lists or objects are nested too deeply"
    if text.startswith((b"{", b"[")) and not text.endswith((b"}", b"]")):
        return "is cut short: the JSON isn't complete"
    if not isinstance(error, json.JSONDecodeError):
        return "holds a whole number of thousands of digits"
    if error.pos >= len(error.doc.rstrip()):
        return "is cut short: the JSON isn't complete"
    where = f"line {error.lineno}, column {error.colno}"
    return f"is not JSON: {error.msg[0].lower()}{error.msg[1:]} at {where}"
