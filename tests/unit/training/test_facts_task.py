"""The tasks of told facts: their loss, their measures, and whole runs that are verified."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from nbhelpers.data.facts import DIGITS, TOLD
from nbhelpers.models import Config, LanguageModel, learn_once
from nbhelpers.training.facts import Facts, FactsConfig, ToldFacts
from nbhelpers.training.learner import Learner
from nbhelpers.training.settings import config_from_json, configure
from nbhelpers.training.train import train
from nbhelpers.training.verify import verify

SMALL = ["width=16", "layers=1", "heads=2", "length=240", "batch_size=4", "tokens=9600", "held_out=1440"]
SMALL += ["checkpoint_every=2", "log_every=1", "validate_every=5", "progress=no", "device=cpu"]


@pytest.fixture(scope="module")
def task():
    return Facts(configure("amnesiac", SMALL)[0], seed=0)


def test_answers_weigh_more_and_nothing_else_does():
    torch.manual_seed(0)
    model = LanguageModel(Config("transformer", vocabulary=256, width=16, layers=1, heads=2))
    tokens = torch.randint(256, (3, 12))
    answers = torch.zeros(3, 11, dtype=torch.bool)
    answers[0, 4:6] = answers[2, 9:] = True
    losses = F.cross_entropy(model(tokens[:, :-1])[0].flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
    weights = 1 + 6 * answers.flatten().float()
    expected = (weights * losses).mean()
    torch.testing.assert_close(ToldFacts(model, 7.0)(tokens[:, :-1], tokens[:, 1:], answers), expected)
    plain = ToldFacts(model, 1.0)(tokens[:, :-1], tokens[:, 1:], answers)
    torch.testing.assert_close(plain, model.loss(tokens[:, :-1], tokens[:, 1:])[0])


def test_a_batch_marks_its_answers(task):
    inputs, targets, answers = next(task.batches(0))
    assert inputs.shape == targets.shape == answers.shape == (4, 240) and answers.dtype == torch.bool
    assert answers[:, -DIGITS:].all()
    assert all(chr(token).isdigit() for token in targets[answers].tolist())


class Knows(torch.nn.Module):
    """Looks the answer up in the row: the number after the last name that was told and is asked for at the end."""

    def __init__(self, forgets: int | None = None):
        super().__init__()
        self.forgets = forgets  # cannot see further back than this

    def forward(self, tokens, state=None):
        logits = torch.zeros(*tokens.shape, 256)
        for row, line in enumerate(tokens):
            text = bytes(line.tolist()).decode("latin-1")
            name = text[-4:-1]
            at = text.index(name)
            value = text[at + 3 : at + 5]
            if self.forgets is None or len(text) - at <= self.forgets:
                logits[row, -2, ord(value[0])] = logits[row, -1, ord(value[1])] = 1
        return logits, {}


def test_the_error_is_the_share_of_facts_that_are_not_said(task, monkeypatch):
    assert task.config.distances == (60, 240)
    monkeypatch.setattr(task, "model", Knows())
    assert task.test(torch.device("cpu")) == {"60": 0, "240": 0, "mean": 0}
    monkeypatch.setattr(task, "model", Knows(forgets=130))
    found = task.validate(task.module, torch.device("cpu"))
    assert found == {"60": 0, "240": 1, "mean": 0.5}


def test_a_run_is_recorded_and_verified(tmp_path):
    config, options = configure("amnesiac", [*SMALL, f"to={tmp_path}", "name=facts.tiny"])
    record = train(config, options)
    assert record.id.startswith("train-facts.tiny-s0-")
    assert set(record.result["test"]) == {"60", "240", "mean"}
    assert config_from_json(record.config) == config
    assert verify(record) == record.result["test"]


def test_the_models_of_the_chapter_have_the_promised_size():
    parameters = LanguageModel(configure("amnesiac")[0].model).parameter_count()
    assert 150_000 < parameters < 170_000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tokens=100"], "less than one step"),
        (["facts=0"], "expected 1 or more"),
        (["answer_weight=-1.0"], "expected 0 or more"),
        (["held_out=10"], "expected 256 or more"),
        (["tokenizer=bytes"], "The task facts has no tokenizer"),
    ],
)
def test_wrong_settings_are_named(words, message):
    with pytest.raises(ValueError, match=message):
        configure("amnesiac", words)


def test_weights_of_another_model_are_refused(task, tmp_path):
    task.save(tmp_path)
    other = Facts(FactsConfig(model=Config("mamba2", width=16, layers=1, heads=2)), seed=0)
    with pytest.raises(ValueError, match="not the model of the record's config"):
        other.load(tmp_path)


LEARNER = [*SMALL, "task=learner", "told_rate=0.05", "length=256", "tokens=10240", "held_out=1536"]


@pytest.fixture(scope="module")
def learner():
    return Learner(configure("amnesiac", LEARNER)[0], seed=0)


def test_half_of_the_rows_ask_for_what_they_do_not_tell(learner):
    inputs, targets, _, told = next(learner.batches(0))
    assert told.any(1).tolist() == [False, True, False, True]
    for row, sentence in zip(torch.cat([inputs, targets[:, -1:]], 1), told, strict=True):
        text = bytes(row.tolist()).decode("latin-1")
        if sentence.any():
            tag = bytes(sentence.tolist()).decode()[10:15]
            assert text.endswith(tag) and text.count(tag) == 2
            assert not any(form.format(tag=tag) in text for form in TOLD)


def test_rows_that_learn_are_read_with_their_own_step(learner):
    batch = next(learner.batches(0))
    inputs, targets, answers, told = batch
    plain = ToldFacts(learner.model, learner.config.answer_weight)
    expected = plain(inputs[0::2], targets[0::2], answers[0::2]) / 2
    changes = learn_once(learner.model, told[1::2], 0.05)
    logits = learner.model(inputs[1::2], changes)[0]
    expected = expected + plain.weighed(logits, targets[1::2], answers[1::2]) / 2
    torch.testing.assert_close(learner.module(*batch), expected)
    pieces = [learner.module(*(tensor[i : i + 2] for tensor in batch)) for i in (0, 2)]
    torch.testing.assert_close(sum(pieces) / 2, expected)
    one = learner.module(*(tensor[1:2] for tensor in batch))  # a micro-batch without a row of the first kind
    assert torch.isfinite(one)


def test_the_gradient_goes_through_the_step(learner):
    batch = next(learner.batches(0))
    weight = learner.model.blocks[0].cms.blocks[0].up
    (through,) = torch.autograd.grad(learner.module(*batch), weight)
    changes = learn_once(learner.model, batch[3][1::2], 0.05)
    logits = learner.model(batch[0][1::2], changes)[0]
    plain = ToldFacts(learner.model, learner.config.answer_weight)
    loss = plain.weighed(logits, batch[1][1::2], batch[2][1::2]) + plain(*(tensor[0::2] for tensor in batch[:3]))
    (around,) = torch.autograd.grad(loss / 2, weight)
    assert not torch.allclose(through, around, rtol=1e-3)


def test_a_learner_is_recorded_and_verified(tmp_path):
    record = train(*configure("amnesiac", [*LEARNER, f"to={tmp_path}", "name=facts.learner"]))
    assert set(record.result["test"]) == {"64", "256", "told once", "mean"}
    assert config_from_json(record.config) == configure("amnesiac", LEARNER)[0]
    assert verify(record) == record.result["test"]


@pytest.mark.parametrize(("word", "message"), [("told_rate=0.0", "above 0"), ("batch_size=3", "must be even")])
def test_a_learner_that_cannot_learn_is_refused(word, message):
    with pytest.raises(ValueError, match=message):
        configure("amnesiac", [*LEARNER, word])
