"""The first call of a chapter and the set-up cell before it."""

import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from nbhelpers import setup
from nbhelpers.core.identity import REPOSITORY, REVISION, VERSION
from nbhelpers.core.preset import choose_preset
from nbhelpers.core.seeds import seed_everything
from nbhelpers.notebook.checks import check
from nbhelpers.notebook.setup_cell import SETUP_CELL


@pytest.fixture(autouse=True)
def no_preset(monkeypatch):
    monkeypatch.delenv("NBHELPERS_PRESET", raising=False)


def test_setup_prints_one_line_and_says_what_will_run(capsys):
    run = setup("two-clocks", "quick", seed=3)
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    for part in ("two-clocks", "quick preset on", " GB", "seed 3", VERSION, torch.__version__):
        assert part in line
    assert (run.preset, run.seed, run.pick(quick=1, full=2)) == ("quick", 3, 1)


def test_a_planned_chapter_can_be_written_before_it_is_measured(capsys):
    setup("the-amnesiac-again", "quick")
    assert "not measured yet" in capsys.readouterr().out


def test_setup_starts_the_count_of_checks_anew():
    check.true("left over", True)
    setup("two-clocks", "quick")
    assert check.count == 0


def test_an_unknown_chapter_lists_the_plan():
    with pytest.raises(ValueError, match="the plan has: .*two-clocks"):
        setup("two-clock")


def test_the_preset_comes_from_the_page_then_the_environment_then_the_machine(monkeypatch):
    assert choose_preset() == "quick"
    assert choose_preset(has_gpu=True) == "full"
    monkeypatch.setenv("NBHELPERS_PRESET", "quick")
    assert choose_preset(has_gpu=True) == "quick"
    assert choose_preset("full") == "full"


def test_an_unknown_preset_is_named_with_where_it_came_from(monkeypatch):
    with pytest.raises(ValueError, match='PRESET is "fast"; it can be "quick" or "full"'):
        choose_preset("fast")
    monkeypatch.setenv("NBHELPERS_PRESET", "huge")
    with pytest.raises(ValueError, match='NBHELPERS_PRESET is "huge"'):
        choose_preset()


def draws():
    return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002


def test_one_seed_repeats_every_generator():
    seed_everything(5)
    first = draws()
    seed_everything(5)
    assert draws() == first
    seed_everything(6)
    assert all(a != b for a, b in zip(draws(), first, strict=True))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_an_impossible_seed_is_refused(seed):
    with pytest.raises(ValueError, match="whole number"):
        seed_everything(seed)


def test_the_set_up_cell_names_the_address_and_tag_of_the_book():
    assert f'"{REPOSITORY}"' in SETUP_CELL and f'"{REVISION}"' in SETUP_CELL
    assert f"v{VERSION}" == REVISION


def test_outside_colab_the_set_up_cell_does_nothing(tmp_path):
    program = (
        "import subprocess, sys\nbefore = list(sys.path)\n"
        "def never(*a, **k): raise AssertionError('ran a command')\n"
        f"subprocess.run = never\n{SETUP_CELL}\nassert sys.path == before and PRESET is None\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    assert not list(tmp_path.iterdir())


def test_importing_the_package_loads_nothing_heavy():
    program = "import sys, nbhelpers; print([m for m in ('torch', 'numpy', 'matplotlib') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_an_unknown_name_lists_what_the_package_has():
    import nbhelpers

    with pytest.raises(AttributeError, match="has no 'chek'; it has: .*check"):
        nbhelpers.chek  # noqa: B018
