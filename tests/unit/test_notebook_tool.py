"""The way from a notebook to a script and back loses nothing."""

import nbformat
import pytest

from nbhelpers.notebook.setup_cell import SETUP_CELL
from tests.notebooks.notebook import ROOT, notebooks
from tools.notebook import clean, from_script, main, text, to_script


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_notebook_comes_back_byte_for_byte(path):
    notebook = nbformat.reads(path.read_text(encoding="utf-8"), 4)
    assert text(clean(from_script(to_script(notebook)))) == path.read_text(encoding="utf-8")


def test_clean_drops_what_an_editor_leaves_and_restores_the_set_up_cell():
    code = nbformat.v4.new_code_cell("1 + 1", id="sum", metadata={"collapsed": True, "tags": ["hide-input"]})
    code.execution_count, code.outputs = 3, [nbformat.v4.new_output("stream", text="2")]
    setup = nbformat.v4.new_code_cell("TAG = 'old'", id="setup-cell")
    notebook = clean(nbformat.v4.new_notebook(cells=[setup, code], metadata={"colab": {"provenance": []}}))
    assert notebook.cells[0].source == SETUP_CELL
    assert (notebook.cells[1].outputs, notebook.cells[1].execution_count) == ([], None)
    assert notebook.cells[1].metadata == {"tags": ["hide-input"]}
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


def test_a_cell_without_an_id_is_named(tmp_path, capsys):
    script = tmp_path / "page.py"
    script.write_text("# %%\nx = 1\n")
    assert main(["clean", str(script), str(tmp_path / "page.ipynb")]) == 1
    assert 'The cell "x = 1" has no id' in capsys.readouterr().err
    assert not (tmp_path / "page.ipynb").exists()
