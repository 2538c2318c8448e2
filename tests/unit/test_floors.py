"""The floors of ``nbhelpers``: a file imports from its own package or from floors below; importing is cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "nbhelpers"
FLOORS = {
    "core": 0,
    "symbolic": 1,
    "data": 1,
    "memory": 2,
    "levels": 2,
    "optim": 3,
    "ops": 3,
    "layers": 4,
    "models": 5,
    "training": 6,
    "evaluation": 6,
    "personal": 6,
    "notebook": 7,
    "testing": 7,
}
HEAVY = ("torch", "numpy", "sympy", "matplotlib", "ipywidgets", "IPython", "sklearn", "yaml")


def module_name(file: Path, root: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, module: str, *, is_package: bool = False) -> set[str]:
    """Return the modules of ours that a file imports anywhere, inside functions too.

    Parameters
    ----------
    source: the file's text.
    module: its dotted name, against which relative imports are resolved.
    is_package: True for an ``__init__.py``.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")[: None if is_package and node.level == 1 else -(node.level - is_package)]
                base = ".".join([*above, *([node.module] if node.module else [])])
            # `from nbhelpers import core` names a package; `from nbhelpers.core import seeds` may name a module.
            found.update(f"{base}.{alias.name}" for alias in node.names)
            found.add(base)
        elif isinstance(node, ast.Call) and _called(node) in {"import_module", "__import__"}:
            found.update(a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str))
    return {name for name in found if name.split(".")[0] == PACKAGE and name != PACKAGE}


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def package_of(module: str) -> str:
    return module.split(".")[1]


def breaches(module: str, imported: set[str]) -> list[str]:
    """Return each import that climbs or stays level with another package."""
    own = package_of(module)
    return [
        f"{module} (floor {FLOORS[own]}) imports {other} (floor {FLOORS.get(package_of(other), '?')})"
        for other in sorted(imported)
        if package_of(other) != own and FLOORS.get(package_of(other), 99) >= FLOORS[own]
    ]


def files() -> dict[str, Path]:
    """Return the files of the package by module name, without the door ``nbhelpers/__init__.py``."""
    found = {module_name(file, ROOT): file for file in sorted((ROOT / PACKAGE).rglob("*.py"))}
    found.pop(PACKAGE)
    return found


def test_every_package_has_a_floor():
    folders = {package_of(module) for module in files()}
    assert folders, "there is nothing to check"
    assert folders <= set(FLOORS), f"no floor for {sorted(folders - set(FLOORS))}: see the floors of the design"


def test_no_module_lies_between_the_packages():
    loose = [name for name, file in files().items() if name.count(".") == 1 and file.name != "__init__.py"]
    assert loose == [], "put it into the package of its floor"


@pytest.mark.parametrize("module", files())
def test_imports_only_from_below(module):
    file = files()[module]
    found = imports(file.read_text(encoding="utf-8"), module, is_package=file.name == "__init__.py")
    assert breaches(module, found) == []


def test_modules_import_each_other_in_one_direction():
    known = files()
    graph = {
        module: {
            target
            for name in top_level_imports(file, module)
            for target in [name if name in known else name.rpartition(".")[0]]
            if target in known and target != module
        }
        for module, file in known.items()
    }
    assert cycle(graph) == []


def top_level_imports(file: Path, module: str) -> set[str]:
    """Return the imports that run when the module is loaded; those inside functions cannot lock two modules."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    kept = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    source = "\n".join(ast.unparse(node) for node in kept)
    return imports(source, module, is_package=file.name == "__init__.py") - {module}


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of one circle of imports, or an empty list."""
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for other in sorted(graph.get(module, ())):
            # A package's own __init__ gathers its modules; that they name the package is no circle.
            if module.startswith(f"{other}."):
                continue
            if found := walk(other, [*path, module]):
                return found
        done.add(module)
        return []

    for start in sorted(graph):
        if found := walk(start, []):
            return found
    return []


def test_import_is_light():
    code = f"import sys, {PACKAGE}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [], "import nbhelpers loads what a reader may not need yet"


def test_the_door_opens_on_every_name():
    code = f"import {PACKAGE} as door; print(*[name for name in door.__all__ if getattr(door, name, None) is None])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("module", "source", "climbs"),
    [
        ("nbhelpers.core.seeds", "from nbhelpers.notebook import figures", True),
        ("nbhelpers.core.seeds", "def f():\n    import nbhelpers.data.digits", True),
        ("nbhelpers.core.seeds", "from importlib import import_module\nimport_module('nbhelpers.data.digits')", True),
        ("nbhelpers.symbolic.calculus", "from nbhelpers.data import digits", True),
        ("nbhelpers.ops.delta", "from nbhelpers import optim", True),
        ("nbhelpers.ops.delta", "from ..optim import base", True),
        ("nbhelpers.ops.delta", "from nbhelpers.unheard_of import x", True),
        ("nbhelpers.ops.delta", "from . import linear\nfrom .chunk import f\nfrom nbhelpers.core import seeds", False),
        ("nbhelpers.notebook.setup", "import torch\nfrom nbhelpers.ops.delta import step", False),
    ],
)
def test_the_search_for_breaches(module, source, climbs):
    assert bool(breaches(module, imports(source, module))) == climbs


def test_the_search_for_circles():
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
