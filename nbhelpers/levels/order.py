"""Which part of a system is faster, and the levels that follow from it (NL Definition 2; paper-facts §1.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def order(periods: Mapping[str, float], needs: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Sort the parts of a system into levels, fast to slow.

    A part is faster than another if its period is shorter, or if the periods are equal and the other's state at a time
    needs its own at the same time, directly or through further parts. A level holds what is left when every faster part
    has been put into an earlier one: within one period, level by level along the longest chain of needs. The definition
    alone ("neither is faster") sorts only some systems; this rule sorts all, and where both sort they agree.

    Parameters
    ----------
    periods: part → pairs, tokens or steps between two of its updates; 0 for what is solved anew, infinity for never.
    needs: part → parts whose state at the same time its own is computed from; parts left out need none.

    Raises
    ------
    ValueError
        If a need is no part, a period is negative, or parts need each other in a circle.
    """
    for name, period in periods.items():
        if not period >= 0:
            raise ValueError(f"The period of {name} is {period!r}; expected 0 or more.")
    used = {name: set(needs.get(name, ())) for name in periods}
    unknown = (set(needs) | set().union(*used.values())) - set(periods)
    if unknown:
        raise ValueError(f"Needs name {', '.join(sorted(unknown))}, which have no period; give every part one.")
    closed: dict[str, set[str]] = {}
    for name in periods:
        _close(name, used, closed, ())
    depth: dict[str, int] = {}
    for name in sorted(periods, key=lambda part: len(closed[part])):  # what a part needs comes before it
        same = [depth[other] for other in closed[name] if periods[other] == periods[name]]
        depth[name] = 1 + max(same, default=-1)
    found: dict[tuple[float, int], list[str]] = {}
    for name, period in periods.items():
        found.setdefault((period, depth[name]), []).append(name)
    return [found[place] for place in sorted(found)]


def _close(name: str, used: Mapping[str, set[str]], closed: dict[str, set[str]], path: tuple[str, ...]) -> set[str]:
    """Everything that a part needs, directly or through others; each part is followed once."""
    if name in path:
        raise ValueError(f"{' needs '.join([*path[path.index(name) :], name])}: a circle, so neither can come first.")
    if name not in closed:
        closed[name] = used[name].union(*(_close(other, used, closed, (*path, name)) for other in used[name]))
    return closed[name]
