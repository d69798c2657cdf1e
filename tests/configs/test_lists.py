"""The README lists the configs that exist, and no others."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
LEAVES = sorted(
    p.relative_to(ROOT).as_posix()
    for p in CONFIGS.rglob("*.py")
    if "_base_" not in p.parts
)


def test_the_readme_has_a_row_for_each_config():
    rows = re.findall(
        r"^\| \[(\S+)\]\((\S+)\.py\) \|.* (\S.*) \|$",
        (CONFIGS / "README.md").read_text(),
        re.MULTILINE,
    )
    assert all(shown == path for shown, path, _ in rows)
    assert sorted(f"configs/{path}.py" for _, path, _ in rows) == LEAVES


def test_the_readme_explains_each_word_of_a_name():
    """Those of the ResNet configs; test_names.py compares them with the content."""
    text = (CONFIGS / "README.md").read_text()
    grammar = text.split("## Names")[1].split("## ")[0]
    known = set(re.findall(r"`([\w-]+)`", grammar)) | {"r4", "r8"}  # r2 to r32
    known |= {"res4"}  # res2 to res5
    for path in CONFIGS.glob("*.py"):
        name = path.stem
        algorithm = next(a for a in known if name.startswith(f"{a}_"))
        assert set(name.removeprefix(f"{algorithm}_").split("_")) <= known, name
