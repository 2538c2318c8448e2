"""Data sets that chapters use, each with its provenance and licence."""
