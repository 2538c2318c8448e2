"""requirements.txt is the complete set, it resolves as it stands, and the running environment is that set."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]

# What torch's wheel for Linux with CUDA brings along and pins itself; the other wheels of torch have none of it.
TORCH_PLATFORM = re.compile(r"(nvidia|cuda)-.+|triton")
# Not part of the set: the installer that comes with every environment, and the book's own package.
OURS = {"pip", "nbhelpers"}


def lines() -> list[str]:
    text = (ROOT / "requirements.txt").read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def pins() -> dict[str, str]:
    """The pinned version of each package that belongs on this platform."""
    wanted = [Requirement(line) for line in lines()]
    here = [item for item in wanted if item.marker is None or item.marker.evaluate()]
    return {canonicalize_name(item.name): str(item.specifier).removeprefix("==") for item in here}


def public(version: str) -> str:
    """The version without the platform's suffix: 2.13.0 for 2.13.0+cpu."""
    return Version(version).public


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_each_line_is_one_exact_public_version():
    for line in lines():
        item = Requirement(line)
        (specifier,) = item.specifier
        assert specifier.operator == "==", line
        assert "*" not in specifier.version, line
        assert Version(specifier.version).local is None, f"{line}: a local version fits one platform only"
        assert not item.extras, line
        assert item.url is None, line
    names = [canonicalize_name(Requirement(line).name) for line in lines()]
    assert len(names) == len(set(names))


def test_no_package_index_is_named():
    """The reader's own settings say where packages come from."""
    for name in ("requirements.txt", "pyproject.toml", "Makefile", "tools/environment.sh"):
        assert not re.search(r"--(extra-)?index-url|--find-links|^-[fi] ", (ROOT / name).read_text(), re.MULTILINE), (
            name
        )


def test_what_the_issue_fixes_is_fixed():
    assert pins()["jupyter-book"] == "1.0.4.post1"
    assert pins()["torch"] == "2.13.0"
    assert not [name for name in pins() if TORCH_PLATFORM.fullmatch(name)]


def test_the_running_environment_is_the_pinned_set():
    installed = {canonicalize_name(item.name): public(item.version) for item in distributions()}
    installed = {name: version for name, version in installed.items() if not TORCH_PLATFORM.fullmatch(name)}
    extra = {f"{name}=={version}" for name, version in installed.items() if name not in {*pins(), *OURS}}
    wrong = {
        f"{name}: {installed.get(name)}, pinned {pin}" for name, pin in pins().items() if installed.get(name) != pin
    }
    assert (extra, wrong) == (set(), set()), "Run make environment in a folder without .venv to renew it."


def test_pip_finds_no_conflict():
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_a_fresh_environment_resolves_to_exactly_the_pinned_set(tmp_path):
    """A new environment, the installer's own resolution, nothing taken from here."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "new"], check=True)
    report = tmp_path / "report.json"
    install = [
        "install",
        "--quiet",
        "--dry-run",
        "--ignore-installed",
        "--report",
        str(report),
        "-r",
        "requirements.txt",
    ]
    done = subprocess.run(
        [tmp_path / "new/bin/python", "-m", "pip", *install], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    resolved = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    resolved = {canonicalize_name(item["name"]): public(item["version"]) for item in resolved}
    resolved = {name: version for name, version in resolved.items() if not TORCH_PLATFORM.fullmatch(name)}
    assert resolved == pins()


# The package's own bounds.


def test_package_has_lower_bounds_only_and_the_pins_satisfy_them():
    assert project()["requires-python"] == ">=3.11"
    bounds = {canonicalize_name(item.name): item.specifier for item in map(Requirement, project()["dependencies"])}
    assert str(bounds["torch"]) == ">=2.9"
    for name, specifier in bounds.items():
        assert [part.operator for part in specifier] == [">="], name
        assert pins()[name] in specifier, name


IMPORTED_AS = {"IPython": "ipython", "sklearn": "scikit-learn", "yaml": "pyyaml"}


def test_package_asks_for_what_it_imports_and_nothing_else():
    imported = set()
    for path in (ROOT / "nbhelpers").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.split(".")[0])
    imported -= {*sys.stdlib_module_names, "nbhelpers"}
    asked = {canonicalize_name(Requirement(line).name) for line in project()["dependencies"]}
    assert {IMPORTED_AS.get(name, name) for name in imported} == asked


def test_version_comes_from_the_identity():
    from nbhelpers.core.identity import VERSION

    assert project()["dynamic"] == ["version"]
    installed = [item.version for item in distributions() if item.name == "nbhelpers"]
    assert installed in ([], [VERSION])  # none where the tree is on the path without being installed
