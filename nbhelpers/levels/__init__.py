"""Floor 2: levels of a nested model, and the table that lists them for any model of the book."""

from nbhelpers.levels.table import OUTER, Level, LevelRow, levels_of, table_of_levels

__all__ = ["OUTER", "Level", "LevelRow", "levels_of", "table_of_levels"]
