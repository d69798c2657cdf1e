"""The pins of an extra, whose packages are installed without what they ask for."""

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
# What MMAction2 asks for and can do without.
LEFT_OUT = {"opencv-contrib-python"}


def pins(*files):
    """Return the versions of files of requirements by their distributions' names."""
    lines = "\n".join((ROOT / file).read_text() for file in files).splitlines()
    found = [Requirement(line) for line in lines if re.match(r"[\w-]+==", line)]
    here = [one for one in found if one.marker is None or one.marker.evaluate()]
    return {
        canonicalize_name(one.name): next(iter(one.specifier)).version for one in here
    }


@pytest.mark.parametrize("extra", ["video", "classification"])
def test_what_the_packages_of_an_extra_ask_for_is_pinned_and_fits(extra):
    file = f"requirements-{extra}.txt"
    ours, every = pins(file), pins(file, "requirements.txt")
    there = {canonicalize_name(d.name): d for d in metadata.distributions() if d.name}
    as_pinned = [n for n in every.keys() & there if there[n].version == every[n]]
    if missing := ours.keys() - there.keys():
        pytest.skip(f"not installed: {', '.join(sorted(missing))}")
    for name in as_pinned:
        for text in there[name].requires or ():
            wanted = Requirement(text)
            if wanted.marker and not wanted.marker.evaluate(dict(extra="")):
                continue
            asked = canonicalize_name(wanted.name)
            if name in ours and asked not in LEFT_OUT:
                assert asked in every, f"{name} asks for {wanted}"
            if asked in ours:
                assert wanted.specifier.contains(every[asked]), f"{name}: {wanted}"
