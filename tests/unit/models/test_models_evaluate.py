"""Bits per byte against a count by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nbhelpers.data.tokenizer import load_tokenizer
from nbhelpers.models import Config, LanguageModel, evaluate


def test_a_model_that_knows_nothing_needs_eight_bits_a_byte():
    model = LanguageModel(Config("transformer", vocabulary=256, width=16, layers=1, heads=2))
    torch.nn.init.zeros_(model.embedding.weight)
    streams = {"a": np.arange(100) % 256, "b": np.arange(37)}
    found = evaluate(model, streams, load_tokenizer("bytes"), batch_size=2, length=16)
    assert found == pytest.approx({"a": 8.0, "b": 8.0, "mean": 8.0}, rel=1e-6)


def test_each_token_counts_once_and_by_its_bytes():
    tokenizer = load_tokenizer("bpe4096")
    torch.manual_seed(0)
    model = LanguageModel(Config("gated_deltanet", vocabulary=4096, width=16, layers=1, heads=2))
    tokens = np.array(tokenizer.encode("The whale, the whale! Up helm, up helm!"))
    logits, _ = model(torch.as_tensor(tokens)[None, :-1])
    nats = F.cross_entropy(logits[0], torch.as_tensor(tokens)[1:], reduction="sum").item()
    expected = nats / math.log(2) / sum(len(tokenizer.pieces[t]) for t in tokens[1:])
    found = evaluate(model, {"whale": tokens}, tokenizer, length=len(tokens))
    assert found["whale"] == pytest.approx(expected, rel=1e-6)
    apart = evaluate(model, {"whale": tokens}, tokenizer, length=4)  # windows forget what was before
    assert apart["whale"] != pytest.approx(expected, rel=1e-4)
