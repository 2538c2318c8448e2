"""The loader that takes definitions out of notebooks, so that they can be compared with the package."""

from __future__ import annotations

import pytest

from tests.notebooks.definitions import DefinitionError, definitions_of, load_definitions
from tests.notebooks.samples import chapter, code

CELLS = {
    "imports": "import math\nimport os.path as path\n\nfrom nbhelpers import check",
    "constants": "HALF = 0.5\nOTHER = check",
    "helper": "def helper(x):\n    return HALF * math.sqrt(x)",
    "gain": "def gain(x, scale=HALF):\n    shadowed = 2\n    return sum(helper(x) * scale * shadowed for _ in 'a')",
    "shadow": "shadowed = check",
    "class": "class Box:\n    side = HALF\n\n    def volume(self):\n        return self.side**3",
    "leans": "def leans(x):\n    return check.close(x)",
    "leans-far": "def leans_far(x):\n    return leans(x)",
    "leans-inside": "def leans_inside():\n    from nbhelpers.ops import delta\n\n    return delta",
    "twice": "def twice():\n    return 1",
    "twice-again": "def twice():\n    return 2",
    "loop": "for step in range(3):\n    pass\n\n\ndef loops():\n    return step",
    "lost": "def lost():\n    return nowhere",
    "costly": "raise RuntimeError('a cell that must not run')",
}


@pytest.fixture
def notebook():
    sample = chapter()
    sample.node.cells = [code(identity, source) for identity, source in CELLS.items()]
    return sample


def test_takes_a_definition_with_what_it_needs(notebook):
    found = definitions_of(notebook, "gain", "Box")
    assert found.gain(16.0) == 2.0
    assert found.gain(16.0, scale=1) == 4.0
    assert found.Box().volume() == 0.125
    assert not hasattr(found, "helper"), "only what was asked for"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("leans", "leans on nbhelpers"),
        ("leans_far", "leans_far → leans → check leans on nbhelpers"),
        ("leans_inside", "leans on nbhelpers"),
        ("twice", "more than once (cells twice, twice-again)"),
        ("loops", "bound inside another statement"),
        ("lost", "lost → nowhere is bound nowhere"),
        ("HALF", "defines no HALF"),
        ("absent", "defines no absent; it defines: Box, gain"),
    ],
)
def test_refuses(notebook, name, says):
    with pytest.raises(DefinitionError) as refusal:
        definitions_of(notebook, name)
    assert says in str(refusal.value)


def test_reads_a_file(tmp_path, notebook):
    import nbformat

    path = tmp_path / "a-chapter.ipynb"
    nbformat.write(notebook.node, path)
    assert load_definitions(path, "helper").helper(4.0) == 1.0
