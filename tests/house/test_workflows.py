"""The workflows are valid, ask for little, and call commands that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
SCRIPTS = [ROOT / ".ci/run", ROOT / ".github/open-issue.sh", *sorted((ROOT / "tools").glob("*.sh"))]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


def steps() -> list[tuple[str, dict]]:
    return [
        (f"{path.name} {name} {number}", step)
        for path in WORKFLOWS
        for name, job in load(path)["jobs"].items()
        for number, step in enumerate(job.get("steps", []))
    ]


def shell_parses(script: str, shell: str) -> str:
    done = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, check=False)
    return done.stderr


def test_the_four_workflows_are_there():
    assert [path.stem for path in WORKFLOWS] == ["links", "publish", "test", "weekly"]


def test_schema():
    """GitHub's own schema, vendored by check-jsonschema: no network."""
    import sys

    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*command, *WORKFLOWS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("where", "step"), [pair for pair in steps() if "run" in pair[1]], ids=lambda value: str(value)[:40]
)
def test_run_blocks_parse_and_call_what_exists(where, step):
    # An expression is replaced before the shell sees it; here a word stands in for it.
    script = re.sub(r"\$\{\{.*?\}\}", "expression", step["run"])
    assert shell_parses(script, "bash") == ""
    for target in re.findall(r"(?m)^\s*make ([a-z]+)", script):
        assert target in TARGETS, f"{where}: there is no make {target}"
    for program in re.findall(r"(?m)^\s*(\.(?:ci|github)/\S+)", script):
        assert (ROOT / program).stat().st_mode & 0o111, f"{where}: {program} cannot be run"
    # What others write (titles, branch names) must not be pasted into a shell.
    assert not re.search(r"\$\{\{\s*github\.(event|head_ref|ref_name)", step["run"]), where


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse_and_can_be_run(path):
    shell = "bash" if path.read_text().startswith("#!/bin/bash") else "sh"
    assert shell_parses(path.read_text(), shell) == ""
    assert path.stat().st_mode & 0o111


def test_a_broken_block_would_be_seen():
    assert shell_parses("if true; then\n  echo\n", "bash") != ""


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_permissions_are_minimal_and_runs_do_not_pile_up(path):
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert "group" in workflow["concurrency"]
    allowed = {
        ("publish.yml", "tag"): {"contents"},
        ("publish.yml", "deploy"): {"pages", "id-token"},
        ("weekly.yml", "colab"): {"issues"},
        ("links.yml", "links"): {"issues"},
    }
    for name, job in workflow["jobs"].items():
        writes = {scope for scope, level in job.get("permissions", {}).items() if level == "write"}
        assert writes == allowed.get((path.name, name), set()), f"{path.name} {name}"
        assert "timeout-minutes" in job or "uses" in job


def test_actions_are_pinned_to_a_major_version():
    used = [step["uses"] for _, step in steps() if "uses" in step]
    assert used
    for action in used:
        assert re.fullmatch(r"actions/[a-z-]+@v\d+", action), action


def test_publishing_waits_for_the_tests_and_the_tag():
    jobs = load(ROOT / ".github/workflows/publish.yml")["jobs"]
    assert jobs["test"]["uses"] == "./.github/workflows/test.yml"
    assert jobs["tag"]["needs"] == "test"
    assert jobs["deploy"]["needs"] == "tag"
    assert jobs["deploy"]["if"] == "needs.tag.outputs.publish == 'true'"
    # In YAML 1.1 the key "on" reads as true.
    assert "workflow_call" in load(ROOT / ".github/workflows/test.yml")[True]
    assert ".ci/run" in [step.get("run") for step in load(ROOT / ".github/workflows/test.yml")["jobs"]["test"]["steps"]]


# The step that creates the tag, run for real against a repository on disk.


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone, with an identity, of an empty repository."""

    def git(*arguments: str, where: Path = tmp_path) -> None:
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=where, check=True, capture_output=True)

    git("init", "--bare", "--initial-branch=main", "origin")
    git("clone", "origin", "clone")
    folder = tmp_path / "clone"
    (folder / "nbhelpers/core").mkdir(parents=True)
    (folder / "nbhelpers/__init__.py").write_text("")
    (folder / "nbhelpers/core/__init__.py").write_text("")
    shutil.copy(ROOT / "nbhelpers/core/identity.py", folder / "nbhelpers/core/identity.py")
    for _ in range(2):
        git("add", "-A", where=folder)
        git("commit", "--allow-empty", "-m", "state", where=folder)
    return folder


def run_tag_step(clone: Path, commit: str) -> tuple[str, str]:
    script = load(ROOT / ".github/workflows/publish.yml")["jobs"]["tag"]["steps"][-1]["run"]
    sha = subprocess.run(["git", "rev-parse", commit], cwd=clone, check=True, capture_output=True, text=True)
    output = clone.parent / "output"
    output.write_text("")
    environment = {"PATH": "/usr/bin:/bin", "GITHUB_SHA": sha.stdout.strip(), "GITHUB_OUTPUT": str(output)}
    python = {"PATH": f"{Path(shutil.which('python3')).parent}:{environment['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=clone, env=environment | python, capture_output=True, text=True, check=True
    )
    return output.read_text().strip(), done.stdout


def test_tag_is_created_once_and_guards_the_next_commit(clone):
    assert run_tag_step(clone, "HEAD~1")[0] == "publish=true"  # new: created
    assert run_tag_step(clone, "HEAD~1")[0] == "publish=true"  # the same commit again: published again
    published, said = run_tag_step(clone, "HEAD")  # another commit under the same version
    assert published == "publish=false"
    assert "make version VERSION=" in said


def run_deploy_check(folder: Path) -> int:
    steps = load(ROOT / ".github/workflows/publish.yml")["jobs"]["deploy"]["steps"]
    script = next(step["run"] for step in steps if step.get("name") == "These are the pages of this commit")
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env={"PATH": "/usr/bin:/bin", "GITHUB_SHA": "0a1b"}, check=False
    )
    return done.returncode


def test_deploy_refuses_pages_of_another_commit(tmp_path):
    assert run_deploy_check(tmp_path) == 1  # no page
    (tmp_path / "book").mkdir()
    (tmp_path / "book/index.html").write_text('<meta name="revision" content="ffff">')
    assert run_deploy_check(tmp_path) == 1
    (tmp_path / "book/index.html").write_text('<meta name="revision" content="0a1b">')
    assert run_deploy_check(tmp_path) == 0
