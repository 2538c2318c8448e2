"""Fixtures that several files of unit tests share."""

import pytest
import torch


@pytest.fixture
def double_precision():
    """float64 by default, for one test."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
