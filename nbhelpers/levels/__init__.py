"""Floor 2: levels of a nested model: which part is faster, the table of levels of any model, measured periods."""

from nbhelpers.levels.measure import measured_periods
from nbhelpers.levels.order import order
from nbhelpers.levels.table import OUTER, Level, LevelRow, levels_of, table_of_levels

__all__ = ["OUTER", "Level", "LevelRow", "levels_of", "measured_periods", "order", "table_of_levels"]
