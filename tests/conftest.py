"""Settings for every test: repeatable, one thread, quick preset."""

import os

from hypothesis import HealthCheck, settings

os.environ.setdefault("NBHELPERS_PRESET", "quick")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("MPLBACKEND", "agg")

# The same examples in each run, so that a failure can be repeated; no time limit, since workers share the cores.
settings.register_profile("book", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("book")
