"""Floor 2: levels of a nested model: which part is faster, and the table of levels for any model of the book."""

from nbhelpers.levels.order import order
from nbhelpers.levels.table import OUTER, Level, LevelRow, levels_of, table_of_levels

__all__ = ["OUTER", "Level", "LevelRow", "levels_of", "order", "table_of_levels"]
