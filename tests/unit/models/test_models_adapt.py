"""Learning at test time: what ``adapt`` does, against the formula written out."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from nbhelpers.models import Config, LanguageModel, adapt, learn_once, set_token_periods

PERIODS = (4, 8, None)


def model_of(family="hope", variant="sequential", rate=0.2, periods=PERIODS):
    torch.manual_seed(0)
    model = LanguageModel(Config(family, 32, 16, 2, 2, chunk_size=4, periods=(1, 4, 16), variant=variant)).double()
    with torch.no_grad():
        model.embedding.weight.mul_(20)  # so that gradients are worth looking at
    set_token_periods(model, periods, rate)
    return model


def tokens(batch, length, seed=0):
    return torch.randint(32, (batch, length), generator=torch.Generator().manual_seed(seed))


def plain_losses(model, text):
    logits, _ = model(text[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten(), reduction="none").view(len(text), -1).detach()


def test_the_change_is_minus_the_rate_times_the_summed_gradient_of_the_period():
    model, text = model_of(), tokens(1, 5)
    _, state = adapt(model, text)
    logits, _ = model(text[:, :-1])
    loss = F.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten(), reduction="sum")
    weight = model.blocks[0].cms.blocks[0].up
    (gradient,) = torch.autograd.grad(loss, [weight])
    torch.testing.assert_close(state["0.cms.0.up"][0], -0.2 * gradient)
    assert gradient.norm() > 1e-4
    torch.testing.assert_close(state["0.cms.1.sum.up"][0], torch.autograd.grad(
        F.cross_entropy(model(text[:, :-1])[0].flatten(0, 1), text[:, 1:].flatten(), reduction="sum"),
        [model.blocks[0].cms.blocks[1].up],
    )[0])  # fmt: skip
    assert not state["0.cms.1.up"].any()


def test_a_token_is_predicted_before_anything_learns_from_it():
    model, text = model_of(rate=5.0), tokens(2, 30)
    losses, _ = adapt(model, text)
    assert losses.shape == (2, 29)
    torch.testing.assert_close(losses[:, :4], plain_losses(model, text)[:, :4])
    changed = text.clone()
    changed[:, 20:] = 0
    again, _ = adapt(model, changed)
    torch.testing.assert_close(again[:, :19], losses[:, :19])
    assert (losses[:, 4:] - plain_losses(model, text)[:, 4:]).abs().max() > 0.01


@pytest.mark.parametrize("family", ["hope", "hope_attention"])
@pytest.mark.parametrize("variant", ["sequential", "nested", "independent"])
def test_pieces_that_end_with_a_period_give_the_whole(family, variant):
    model, text = model_of(family, variant), tokens(2, 27)
    whole, end = adapt(model, text)
    outputs, state = [], None
    for piece in text.split([1, 8, 4, 12, 2], 1):
        losses, state = adapt(model, piece, state)
        outputs.append(losses)
    torch.testing.assert_close(torch.cat(outputs, 1), whole)
    for name in end:
        torch.testing.assert_close(state[name], end[name], msg=name)


def test_without_a_rate_adapting_is_reading():
    model, text = model_of(rate=0.0), tokens(2, 21)
    torch.testing.assert_close(adapt(model, text)[0], plain_losses(model, text))


def test_each_sequence_learns_for_itself_and_the_model_stays():
    model, text = model_of(), tokens(3, 21)
    before = [p.detach().clone() for p in model.parameters()]
    losses, state = adapt(model, text)
    alone, own = adapt(model, text[1:2])
    torch.testing.assert_close(alone, losses[1:2])
    torch.testing.assert_close(own["0.cms.0.up"], state["0.cms.0.up"][1:2])
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(p.grad is None for p in model.parameters())


def test_what_was_learned_is_used_by_reading_on():
    model, text = model_of(rate=0.05), tokens(1, 8).repeat(1, 12)
    losses, _ = adapt(model, text)
    assert losses[0, -16:].mean() < 0.5 * losses[0, :16].mean()


def test_in_the_nested_variant_a_fast_block_begins_anew_when_the_slower_one_has_changed():
    text = tokens(1, 9)
    nested, sequential = (adapt(model_of(variant=v), text)[1] for v in ("nested", "sequential"))
    assert not nested["0.cms.0.up"].any() and sequential["0.cms.0.up"].any()
    assert nested["0.cms.1.up"].any()


def test_a_model_without_token_periods_cannot_adapt():
    model = LanguageModel(Config("hope", 32, 16, 1, 2))
    with pytest.raises(ValueError, match="set_token_periods"):
        adapt(model, tokens(1, 4))
    with pytest.raises(ValueError, match="2 periods for 3 levels"):
        set_token_periods(model, (4, 8), 0.1)


def test_the_start_can_be_trained_for_what_it_becomes():
    """The derivative of the losses after the updates, against a finite difference."""
    model, text = model_of(), tokens(1, 14)
    weight = model.blocks[1].cms.blocks[0].up
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def late(step):
        with torch.no_grad():
            weight.add_(step * direction)
        loss = adapt(model, text, differentiable=True)[0][0, 8:].sum()
        with torch.no_grad():
            weight.sub_(step * direction)
        return loss

    (gradient,) = torch.autograd.grad(late(0.0), [weight])
    numeric = (late(1e-5) - late(-1e-5)) / 2e-5
    torch.testing.assert_close((gradient * direction).sum(), numeric.detach(), rtol=1e-5, atol=1e-7)
    losses, state = adapt(model, text, differentiable=True)
    plain, own = adapt(model, text)
    torch.testing.assert_close(losses, plain)
    torch.testing.assert_close(state["1.cms.1.up"], own["1.cms.1.up"])
    assert not plain.requires_grad


def test_learning_once_is_one_step_of_plain_descent_on_each_text():
    torch.manual_seed(0)
    model = LanguageModel(Config("transformer", vocabulary=11, width=16, layers=2, heads=2)).double()
    texts = torch.randint(11, (3, 9), generator=torch.Generator().manual_seed(1))
    rows = torch.randint(11, (3, 14), generator=torch.Generator().manual_seed(2))
    levels = [block.cms.levels for block in model.blocks]
    changes = learn_once(model, texts, 0.02)
    twice = learn_once(model, texts, 0.02, changes)
    assert [block.cms.levels for block in model.blocks] == levels  # the clock was set for this call alone
    for i, text in enumerate(texts):
        student = copy.deepcopy(model)
        weights = {n: p for n, p in student.named_parameters() if n.endswith((".gate", ".up", ".down"))}
        for expected in (changes, twice):
            loss = student.loss(text[None, :-1], text[None, 1:])[0] * 8
            for weight, slope in zip(weights.values(), torch.autograd.grad(loss, list(weights.values())), strict=True):
                weight.data -= 0.02 * slope
            own = {name: change[i : i + 1] for name, change in expected.items()}
            torch.testing.assert_close(model(rows[i : i + 1], own)[0], student(rows[i : i + 1])[0])


def test_learning_once_can_be_differentiated():
    torch.manual_seed(0)
    model = LanguageModel(Config("transformer", vocabulary=11, width=8, layers=1, heads=2)).double()
    text, row = torch.randint(11, (2, 2, 6), generator=torch.Generator().manual_seed(1))

    def outer():
        with sdpa_kernel(SDPBackend.MATH):
            changes = learn_once(model, text, 0.1, differentiable=True)
            return F.cross_entropy(model(row[:, :-1], changes)[0].flatten(0, 1), row[:, 1:].flatten())

    weight = model.blocks[0].cms.blocks[0].down
    (slope,) = torch.autograd.grad(outer(), weight)
    with torch.no_grad():
        weight[2, 1] += 1e-6
        higher = outer()
        weight[2, 1] -= 2e-6
        numeric = (higher - outer()) / 2e-6
    torch.testing.assert_close(slope[2, 1], numeric, rtol=1e-5, atol=1e-8)


def test_learning_once_needs_something_to_predict():
    model = LanguageModel(Config("transformer", vocabulary=11, width=8, layers=1, heads=2))
    with pytest.raises(ValueError, match="two tokens or more"):
        learn_once(model, torch.zeros(3, 1, dtype=torch.int64), 0.1)
