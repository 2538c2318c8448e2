"""nbhelpers: the shared package of *Nested Learning, Step by Step*.

Chapters import from here and from nothing else of ours. Names are loaded on first use, so that
``import nbhelpers`` costs nothing.
"""

from importlib import import_module

from nbhelpers.core.identity import VERSION as __version__  # noqa: F401 - the usual name

_EXPORTS = {
    "setup": "nbhelpers.notebook.setup",
    "check": "nbhelpers.notebook.checks",
    "figure": "nbhelpers.notebook.figures",
    "show": "nbhelpers.notebook.figures",
    "label_line": "nbhelpers.notebook.figures",
    "COLOUR": "nbhelpers.notebook.figures",
    "DASH": "nbhelpers.notebook.figures",
    "explore": "nbhelpers.notebook.explore",
    "exercise": "nbhelpers.notebook.exercises",
    "claim": "nbhelpers.notebook.ledger",
    "model_map": "nbhelpers.notebook.drawing",
    "self_test": "nbhelpers.notebook.self_test",
    "load_digits": "nbhelpers.data.digits",
    "load_fashion": "nbhelpers.data.images",
    "load_documents": "nbhelpers.data.texts",
    "load_text": "nbhelpers.data.texts",
    "load_tokenizer": "nbhelpers.data.tokenizer",
}

__all__ = list(_EXPORTS)


def __getattr__(name: str):
    try:
        module = import_module(_EXPORTS[name])
    except KeyError:
        raise AttributeError(f"nbhelpers has no {name!r}; it has: {', '.join(sorted(_EXPORTS))}") from None
    return getattr(module, name)


def __dir__() -> list[str]:
    return __all__
