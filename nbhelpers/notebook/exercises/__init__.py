"""Exercises: a registry of checkers that name what is wrong with an answer.

A chapter's exercises stand in the module of its name (``two_clocks.py`` for ``two-clocks``) and are loaded
when first asked for. In a page: ``exercise("two-clocks/gain").check(answer)``.
"""

from __future__ import annotations

from nbhelpers.notebook.exercises.registry import Exercise, Result, exercise, register, registered, strict

__all__ = ["Exercise", "Result", "exercise", "register", "registered", "strict"]
