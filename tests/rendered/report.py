"""One way to fail: with every complaint on a line of its own."""

from __future__ import annotations

from collections.abc import Iterable

import pytest


def none(complaints: Iterable[str], what: str = "") -> None:
    """Fail with the complaints, if there are any."""
    complaints = list(dict.fromkeys(complaints))
    if complaints:
        shown = "\n".join(f"- {complaint}" for complaint in complaints[:40])
        more = f"\n… and {len(complaints) - 40} more" if len(complaints) > 40 else ""
        pytest.fail(f"{what or 'complaints'} ({len(complaints)}):\n{shown}{more}", pytrace=False)
