"""Every command of README and docs is run, on a few pictures or at a small size."""

import contextlib
import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from documented.fences import ROOT, commands
from documented.folder import Template
from documented.small import (
    LEFT_OUT,
    RULES,
    SETTINGS,
    config_of,
    is_left_out,
    missing,
    reduced,
    rule_of,
    settings_of,
)

SECONDS = 600  # for a command, on a machine that does other things as well
ALL = dict(commands())
RUN = {name: words for name, words in ALL.items() if not is_left_out(words)}
# Each text once, under the name of the first command that becomes it.
SMALL = {
    shlex.join(reduced(words, ROOT)): name
    for name, words in reversed(RUN.items())
    if not missing(words, ROOT)
}


@pytest.mark.parametrize("words", RUN.values(), ids=RUN)
def test_there_is_a_rule_for_the_command(words):
    assert not missing(words, ROOT), missing(words, ROOT)


def test_every_rule_is_of_a_documented_command():
    texts = [" ".join(words) for words in ALL.values()]
    unused = [
        start for start in LEFT_OUT if not any(t.startswith(start) for t in texts)
    ]
    unused += RULES.keys() - {rule_of(words) for words in RUN.values()}
    small = [shlex.split(text) for text in SMALL]
    settings = {settings_of(words) for words in small if RULES[rule_of(words)].settings}
    unused += SETTINGS.keys() - settings
    assert not unused, f"no document has a command for {unused}: remove them"


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    return Template(tmp_path_factory.mktemp("documented"))


@pytest.fixture
def folder(template):
    """A fresh copy, gone after the test: a checkpoint of R50 has 350 MB."""
    with tempfile.TemporaryDirectory() as parent:
        path = Path(parent) / "nlse_mm"
        shutil.copytree(template.checkout, path)
        yield path


@pytest.mark.documented
@pytest.mark.parametrize("text", sorted(SMALL, key=SMALL.get), ids=SMALL.get)
def test_the_command_runs(text, template, folder):
    words = shlex.split(text)
    rule = RULES[rule_of(words)]
    if rule.without:
        shutil.rmtree(folder / rule.without)
    for name, old, new in rule.edits:
        before = (folder / name).read_text()
        assert old in before, f"{name} has no {old!r}: change its rule"
        (folder / name).write_text(before.replace(old, new))
    for word in words:
        if word.startswith("work_dirs/") and word.endswith(".pth"):
            (folder / word).parent.mkdir(parents=True, exist_ok=True)
            (folder / word).symlink_to(template.checkpoint(config_of(words)))
    if rule.beside:
        text = f"{text.replace(*rule.beside)} & {text} && wait $!"
    code, output = run(text, folder, template.environment(folder))
    end = "\n".join(output.splitlines()[-25:])
    if rule.package and importlib.util.find_spec(rule.package) is None:
        assert f"pip install {rule.package}" in end
        pytest.skip(end)
    assert code == 0, f"{text}\nended with {code}:\n{end}"


def run(text, folder, environment):
    """The exit code of a command, None if it took too long, and what it printed."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            ["bash", "-c", text],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with contextlib.suppress(ProcessLookupError):  # what it left behind
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        return code, output.read()
