"""A machine like Colab's, as far as a chapter can tell: its versions, its module, and the book's public repository.

The repository is a commit of this working tree in a temporary folder, which git takes for the public address.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from nbhelpers.core.identity import REPOSITORY, REVISION
from tools.address import tree_files

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
VENV = ROOT / ".venv-colab"
STUB = HERE / "stub"


@dataclass(frozen=True)
class Machine:
    """`python` is the interpreter with Colab's packages; `settings` the environment that its kernels start in."""

    python: Path
    settings: dict[str, str]

    def packages(self) -> dict[str, str]:
        """The installed packages and their versions."""
        command = [self.python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
        done = subprocess.run(command, env=self.settings, capture_output=True, text=True, check=True)
        return {item["name"]: item["version"] for item in json.loads(done.stdout)}


def make_environment() -> Path:
    """Make .venv-colab from requirements.txt beside this file, unless it is there. Returns its Python."""
    wanted = hashlib.sha256((HERE / "requirements.txt").read_bytes() + sys.version.encode()).hexdigest()
    python, ready = VENV / "bin/python", VENV / ".ready"
    with FileLock(f"{VENV}.lock"):
        if not (ready.exists() and ready.read_text() == wanted):
            shutil.rmtree(VENV, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
            install = [python, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"]
            done = subprocess.run(install, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"The Colab-like environment could not be installed:\n{done.stderr[-2000:]}")
            ready.write_text(wanted)
    return python


def publish(folder: Path) -> Path:
    """Commit the working tree as it is now to a new repository below `folder`, with the book's tag."""
    repository = folder / "repository"
    for path in tree_files(ROOT):
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, repository / path)
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    for step in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-q", "-m", "state"], ["tag", REVISION]):
        subprocess.run(["git", *step], cwd=repository, check=True)
    return repository


def start(folder: Path) -> Machine:
    """Set the machine up below `folder`."""
    python = make_environment()
    repository = publish(folder)
    config = folder / "gitconfig"
    config.write_text(f'[url "file://{repository}"]\n\tinsteadOf = {REPOSITORY}\n')
    startup = folder / "ipython/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "00-colab.py").write_text("import google.colab\n")  # Colab's kernels have it loaded
    (folder / "home").mkdir()
    settings = {
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder / "home"),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(STUB),
        "PYTHONNOUSERSITE": "1",
        "IPYTHONDIR": str(folder / "ipython"),
        "OMP_NUM_THREADS": "1",
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": "file",  # git reaches the repository above and nothing else
    }
    kernel = folder / "kernels/colab-like"
    kernel.mkdir(parents=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Colab-like", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    return Machine(python, settings)
