"""Find OpenMMLab's packages, stock or forks, and whether they can be imported."""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

from .findings import Finding, Mark
from .import_errors import reason
from .operators import compiled_cuda, has_gpu, missing_operators, why_not_on_gpu
from .packages import (
    MMCV,
    MMENGINE,
    TOOLBOXES,
    Package,
    name_and_version,
    pip_install,
    too_old,
    two_sets,
)
from .stand_in import install_stand_ins, what_stands_in

SECTION = "OpenMMLab"
_OPERATORS = "mmcv operators"


def openmmlab() -> Iterator[Finding]:
    """Yield MMEngine, MMCV, its operators and the toolboxes, of which one is needed."""
    if why := two_sets():
        yield Finding(SECTION, "broken", "distributions", why)
    for package in (MMENGINE, MMCV):
        yield _package(package, (package.name,))
        if package is MMCV and find_spec("mmcv"):
            yield _operators()
    install_stand_ins()
    found = {t: _package(t, _modules(t)) for t in TOOLBOXES}
    yield from found.values()
    extended = [t for t in TOOLBOXES if t.extended]
    if all(found[t].mark == "missing" for t in extended):
        stock = [f"{t.title} ({pip_install(t)})" for t in extended]
        text = f"none is installed; nlse_mm extends {' or '.join(stock)}"
        yield Finding(SECTION, "broken", "toolboxes", text)


def _modules(toolbox: Package) -> tuple[str, ...]:
    # MMEngine imports what is called utils before it looks for a toolbox's names.
    return toolbox.name, f"{toolbox.name}.utils", f"{toolbox.name}.models"


def _package(package: Package, modules: tuple[str, ...]) -> Finding:
    known = name_and_version(package)
    mark: Mark
    if not find_spec(package.name):
        install = pip_install(package)
        if known:
            text = f"{known} is listed, and its files aren't there: {install}"
            return Finding(SECTION, "broken", package.name, text)
        mark = "missing" if package in TOOLBOXES else "broken"
        text = f"not installed, needed for {package.needed_for}: {install}"
        return Finding(SECTION, mark, package.name, text)
    for module in modules:
        try:
            import_module(module)
        except Exception as error:  # an import is a program: anything may come of it
            text = f"{known or package.title}: {module} can't be imported"
            # What nothing of ours extends breaks nothing of ours.
            extra = package in TOOLBOXES and not package.extended
            mark = "missing" if extra else "broken"
            return Finding(SECTION, mark, package.name, f"{text}: {reason(error)}")
    if known is None:
        version = getattr(import_module(package.name), "__version__", "")
        known = f"{package.name} {version}, not installed by pip"
    if why := too_old(package):
        return Finding(SECTION, "broken", package.name, f"{known}: {why}")
    if stands_in := what_stands_in(package):
        known += f"; {stands_in}"
    return Finding(SECTION, "ok", package.name, known)


def _operators() -> Finding:
    try:
        missing = missing_operators()
        why = why_not_on_gpu() if has_gpu() else None
        text = "run on the GPU" if has_gpu() else _compiled_for()
    except Exception as error:
        return Finding(SECTION, "broken", _OPERATORS, reason(error))
    if why:
        return Finding(SECTION, "broken", _OPERATORS, why)
    if missing:
        text += f", without {', '.join(missing)}"
    return Finding(SECTION, "ok", _OPERATORS, text)


def _compiled_for() -> str:
    cuda = compiled_cuda()
    return f"compiled for {cuda}" if cuda else "compiled for the CPU only"
