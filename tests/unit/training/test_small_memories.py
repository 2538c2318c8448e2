"""Small memories trained side by side: their rules are the package's ops, members do not touch."""

import pytest
import torch
from torch.nn import functional as F

from nbhelpers import ops
from nbhelpers.data.rules import GAMES, flip
from nbhelpers.training import small_memories as small

RECALLING = ("attention", "gated_delta", "titans", "static", "keys", "all")  # whose records the chapter shows
EDGES = {("parity", "attention")}  # it guesses at every rate

pytestmark = pytest.mark.usefixtures("double_precision")


def member(arm, seed=3, game="flip"):
    """Parameters of one member, an address and a query for two sequences."""
    example = GAMES[game](2, torch.Generator().manual_seed(seed))
    widths = example.told.shape[-1], example.asked.shape[-1]
    p = {name: x.double() for name, x in small.start(arm, *widths, (seed,)).items()}
    g = torch.Generator().manual_seed(seed)
    a = F.rms_norm(torch.randn(1, 2, 12, small.WIDTH, generator=g), (small.WIDTH,))
    q = small.unit(torch.randn(1, 2, 12, small.WIDTH, generator=g))
    return p, a, q


def made_by_tables(p, a):
    k, v = (small.unit(small.linear(p[name], a)) for name in ("key", "value"))
    raw = [small.linear(p[name], a) @ p["readout"][0, i] + p["bias"][0, i] for i, name in enumerate(small.MADE[2:])]
    return k, v, torch.sigmoid(raw[0]), torch.sigmoid(-raw[1])


@pytest.mark.parametrize("arm", ["gated_delta", "titans", "single_erase", "double_erase"])
def test_outside_values_follow_the_ops(arm):
    p, a, q = member(arm)
    k, v, η, α = (x[0][:, None] for x in made_by_tables(p, a))  # (N, 1, L, ·): one head
    state = ops.matrix_state(p["main"][:, None].expand(2, -1, -1, -1))
    many, options = (q[0][:, None], k, v), {"state": state, "read": "before"}
    if arm == "gated_delta":
        y, _ = ops.gated_delta_rule_sequential(*many, η, α, **options)
    elif arm == "titans":
        μ = 0.95 * torch.sigmoid(small.linear(p["momentum"], a) + p["momentum_bias"])[0].mT
        y, _ = ops.titans_sequential(*many, (1 - μ) * α * η, α, μ, chunk_size=1, **options)
    else:
        objective = {"single_erase": "dot", "double_erase": "l2"}[arm]
        y, _ = ops.self_modifying_sequential(*many, α * η, α, chunk_size=1, objective=objective, **options)
    torch.testing.assert_close(small.remember(small.ARMS[arm], p, a, q)[0], y[:, 0])


@pytest.mark.parametrize("arm", ["static", "keys", "values", "rates", "all"])
def test_one_matrix_does_the_work_of_all_memories(arm):
    """The loop over the memories themselves, each with its own state."""
    p, a, q = member(arm)
    found = small.remember(small.ARMS[arm], p, a, q)[0]
    for sequence in range(2):
        M, answers = {name: p[name][0] for name in ("main", *small.MADE)}, []
        for x_t, q_t in zip(a[0, sequence], q[0, sequence], strict=True):
            answers.append(M["main"] @ q_t)
            k, v = (small.unit(M[name] @ x_t) for name in ("key", "value"))
            rate, keep = (p["readout"][0, i] @ M[name] @ x_t + p["bias"][0, i] for i, name in enumerate(small.MADE[2:]))
            α = torch.sigmoid(-keep)
            η = α * torch.sigmoid(rate)
            for name in ("main", *small.ARMS[arm].written):
                W = M[name]
                M[name] = α * W - η * torch.outer(W @ k, k) - η * torch.outer(W @ k - W @ v, k)
        torch.testing.assert_close(found[sequence], torch.stack(answers))


@pytest.mark.parametrize("arm", list(small.ARMS))
@pytest.mark.parametrize("game", list(GAMES))
def test_an_answer_sees_what_was_told_before_it_alone(arm, game):
    example = GAMES[game](3, torch.Generator().manual_seed(1))
    told, asked = example.told.double()[None], example.asked.double()[None]
    p = {n: x.double() for n, x in small.start(arm, told.shape[-1], asked.shape[-1], (0,)).items()}
    other = told.clone()
    other[:, :, 9] = other[:, :, 9].flip(-1)
    first, second = small.answer(arm, p, told, asked), small.answer(arm, p, other, asked)
    torch.testing.assert_close(first[:, :, :10], second[:, :, :10])
    assert not torch.allclose(first[:, :, 10:], second[:, :, 10:])


@pytest.mark.parametrize("game", list(GAMES))
def test_arms_are_of_one_size(game):
    example = GAMES[game](1, torch.Generator())
    widths = example.told.shape[-1], example.asked.shape[-1]
    sizes = [sum(x.numel() for x in small.start(arm, *widths, (0,)).values()) for arm in small.ARMS]
    assert max(sizes) / min(sizes) < 1.032


@pytest.mark.parametrize("arm", ["attention", "titans", "all"])
def test_members_do_not_touch(arm):
    together = small.train("flip", arm, rates=(0.01, 0.1), seeds=(4, 5), steps=3, batch=4)
    place = 0
    for rate in (0.01, 0.1):
        for seed in (4, 5):
            alone = small.train("flip", arm, rates=(rate,), seeds=(seed,), steps=3, batch=4)
            for name, x in alone.items():
                torch.testing.assert_close(together[name][place], x[0], rtol=1e-4, atol=1e-5)
            place += 1
    assert not torch.allclose(together["told"][0], together["told"][3])


def by_hand():
    """A memory that makes its own keys and files by the side that the cue names: the cue's write swaps two features."""
    p = {name: torch.zeros(1, 8, 8) for name in small.MADE}
    p |= {"main": torch.eye(8)[None], "told": torch.zeros(1, 8, 7), "asked": torch.zeros(1, 8, 2)}
    p |= {"inner": torch.zeros(1, 16, 16), "inner_bias": torch.zeros(1, 16), "outer": torch.zeros(1, 2, 16)}
    p |= {"readout": torch.zeros(1, 2, 8), "bias": torch.tensor([[0.0, -30.0]])}
    p["told"][0, 0, :6] = 1 / 3  # always there
    for axis, places in ((1, (0, 1)), (2, (2, 3)), (3, (4, 5))):  # left, right, value: one number of either sign
        p["told"][0, axis, places] = torch.tensor([1.0, -1.0])
    p["told"][0, 6, 6] = 1  # the cue
    p["asked"][0, 4, 0] = p["asked"][0, 5, 1] = 1
    p["key"][0, 4, :2] = torch.tensor([1.0, 1.0])  # the left name alone
    p["key"][0, 5, :2] = torch.tensor([1.0, -1.0])
    p["key"][0, 1:3, 6] = torch.tensor([1.0, -1.0])  # at rate one, I - 2 k kᵀ swaps left and right
    p["value"][0, 7, 3] = 1
    p["learning_rate"][0, 6, 6], p["readout"][0, 0, 6] = 1, 30
    p["inner"][0, 0, 7], p["inner"][0, 1, 7] = 5, -5
    p["outer"][0, 0, 0] = p["outer"][0, 1, 1] = 1
    return {name: x.float() for name, x in p.items()}


def test_memory_made_keys_can_follow_a_new_address_and_the_same_tables_fixed_cannot():
    made, fixed = (small.measures("address", arm, by_hand(), count=200) for arm in ("keys", "static"))
    assert made["before"] == made["again"] == made["untold"] == fixed["before"] == [1.0]
    assert fixed["again"][0] < 0.75


def test_shares_count_what_they_say(monkeypatch):
    """A member that always says what the old rule says is right before the swap, and never for untold names after."""
    old = torch.Generator().manual_seed(7)
    game = flip(50, old, small.TURN)
    before = torch.arange(game.answers.shape[1]) < small.TURN
    monkeypatch.setattr(small, "flip", lambda *given: game)
    monkeypatch.setattr(small, "right_answers", lambda *given: (before & torch.ones_like(game.answers).bool())[None])
    found = small.measures("flip", "keys", {}, count=50)
    assert found["before"] == [1.0]
    assert found["again"] == [0.0]
    assert found["untold"] == [0.0]
    assert found["curve"][0][small.TURN :] == [0.0] * (game.answers.shape[1] - small.TURN)


def test_a_run_is_recorded_once(tmp_path, monkeypatch):
    first = small.run("parity", "double_erase", 2, str(tmp_path))
    assert first.id.startswith("bench-rules.parity.double_erase-s0-")
    assert set(first.result["test"]) == {"short", "double", "long"}
    assert len(first.result["validation"]) == len(small.PLANS["parity"].rates)
    assert first.result["learning_rate"] in small.PLANS["parity"].rates
    place = small.PLANS["parity"].rates.index(first.result["learning_rate"])
    assert first.result["by_rate"]["long"][place] == first.result["test"]["long"]
    monkeypatch.setattr(small, "train", None)
    assert small.run("parity", "double_erase", 2, str(tmp_path)).result == first.result
    assert small.main([f"to={tmp_path}", "game=parity", "arm=double_erase", "steps=2"]) == 0


@pytest.mark.parametrize("game", list(GAMES))
def test_the_shipped_records_are_there(game):
    arms = RECALLING if game == "recall" else small.ARMS
    rates = small.PLANS[game].rates
    for arm in arms:
        record = small.planned(game, arm)
        assert record.result is not None, f"{record.id} is missing: python -m nbhelpers.training.small_memories"
        losses, best = (
            dict(zip(rates, map(sum, record.result["validation"]), strict=True)),
            record.result["learning_rate"],
        )
        assert losses[best] <= 1.01 * min(losses.values()) + 1e-4
        assert best in rates[1:-1] or (game, arm) in EDGES
