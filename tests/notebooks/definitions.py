"""Take a definition out of a chapter, to prove it equal to its twin in ``nbhelpers``.

A chapter is the definition and the package is the engine, so what is taken out must not lean on the package.
"""

from __future__ import annotations

import ast
import builtins
import symtable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from tests.notebooks.notebook import Notebook

PACKAGE = "nbhelpers"
Definition = ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef


class DefinitionError(ValueError):
    """A definition is missing, ambiguous, or leans on the package; the message says which."""


@dataclass(frozen=True)
class _Binding:
    node: ast.stmt
    cell: str
    place: int


def load_definitions(path: Path | str, *names: str) -> SimpleNamespace:
    """Return the named top-level definitions of a notebook, with the imports and definitions that they need.

    Parameters
    ----------
    path: the notebook.
    names: functions or classes that its code cells define.

    Raises
    ------
    DefinitionError
        If a name is not defined or defined twice, or if it mentions ``nbhelpers``, directly or through what it uses.
    """
    return definitions_of(Notebook.read(Path(path)), *names)


def definitions_of(notebook: Notebook, *names: str) -> SimpleNamespace:
    """Like :func:`load_definitions`, for a notebook at hand."""
    bound = _bindings(notebook)
    defined = sorted(name for name, found in bound.items() if isinstance(found[-1].node, Definition))
    for name in names:
        if name not in defined:
            raise DefinitionError(f"{notebook.slug} defines no {name}; it defines: {', '.join(defined) or 'nothing'}.")
    needed: dict[int, ast.stmt] = {}
    for name in names:
        _collect(name, bound, needed, (name,), notebook.slug)
    module = ast.Module([needed[place] for place in sorted(needed)], type_ignores=[])
    namespace: dict = {"__name__": f"definitions of {notebook.slug}"}
    exec(compile(module, f"<{notebook.slug}>", "exec"), namespace)  # noqa: S102 - our own chapter
    return SimpleNamespace(**{name: namespace[name] for name in names})


def _bindings(notebook: Notebook) -> dict[str, list[_Binding]]:
    """Return what every top-level name is bound by, in order."""
    bound: dict[str, list[_Binding]] = {}
    place = 0
    for cell in notebook.code:
        for node in ast.parse(cell.source).body:
            place += 1
            for name in _bound_names(node):
                bound.setdefault(name, []).append(_Binding(node, cell.get("id", ""), place))
    return bound


def _bound_names(node: ast.stmt) -> list[str]:
    if isinstance(node, Definition):
        return [node.name]
    if isinstance(node, ast.Import):
        return [alias.asname or alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    # Loops, with-blocks and plain statements bind names too; they count, so that nothing is mistaken for a constant.
    return [part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)]


def _collect(
    name: str, bound: dict[str, list[_Binding]], needed: dict[int, ast.stmt], trail: tuple[str, ...], slug: str
) -> None:
    found = bound.get(name)
    way = " → ".join(trail)
    if not found:
        if hasattr(builtins, name):
            return
        raise DefinitionError(f"{slug}: {way} is bound nowhere at the top level.")
    imports = [one for one in found if isinstance(one.node, ast.Import | ast.ImportFrom)]
    if len(found) > 1 and len(imports) < len(found):
        cells = ", ".join(one.cell for one in found)
        raise DefinitionError(
            f"{slug}: {way} is bound more than once (cells {cells}), so which one is meant is unclear."
        )
    binding = found[0]
    if binding.place in needed:
        return
    if _names_package(binding.node):
        raise DefinitionError(f"{slug}: {way} leans on {PACKAGE}; a definition has to stand on its own.")
    if not isinstance(binding.node, Definition | ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign):
        raise DefinitionError(f"{slug}: {way} is bound inside another statement; define it at the top level.")
    needed[binding.place] = binding.node
    for other in sorted(_free_names(binding.node)):
        if other != name:
            _collect(other, bound, needed, (*trail, other), slug)


def _names_package(node: ast.AST) -> bool:
    for part in ast.walk(node):
        if isinstance(part, ast.Import) and any(alias.name.split(".")[0] == PACKAGE for alias in part.names):
            return True
        if isinstance(part, ast.ImportFrom) and (part.module or "").split(".")[0] == PACKAGE:
            return True
        if isinstance(part, ast.Name) and part.id == PACKAGE:
            return True
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value.split(".")[0] == PACKAGE:
            return True
    return False


def _free_names(node: ast.stmt) -> set[str]:
    """Return the names that a statement takes from the top level."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return set()
    free: set[str] = set()

    def walk(table: symtable.SymbolTable, top: bool) -> None:
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (symbol.is_global() or (top and not symbol.is_assigned())):
                free.add(symbol.get_name())
        for child in table.get_children():
            walk(child, top=False)

    walk(symtable.symtable(ast.unparse(node), "<definition>", "exec"), top=True)
    return free
