"""Floor 0: what every other floor may import (identity, preset, seeds, names of levels)."""
