"""The three small games: their answers are those that reading them gives."""

import pytest
import torch

from nbhelpers.data.rules import LENGTH, LONG, NAMES, SHORT, TURN, address, flip, parity, recall, told_since


def made(game, seed=0, count=200, **options):
    return game(count, torch.Generator().manual_seed(seed), **options)


def test_values_swap_once_in_the_middle_third_and_stay_swapped():
    game = made(flip)
    places = set()
    for names, answers in zip(game.names.tolist(), game.answers.tolist(), strict=True):
        possible = []
        for turn in range(LENGTH // 3, 2 * LENGTH // 3 + 1):
            plain = [answer if step < turn else 1 - answer for step, answer in enumerate(answers)]
            if all(len({a for n, a in zip(names, plain, strict=True) if n == name}) <= 1 for name in range(NAMES)):
                possible.append(turn)
        assert possible, "some turn explains the sequence by one map"
        places.add(possible[0])
    assert len(places) > 5


@pytest.mark.parametrize(("game", "options", "turn"), [(flip, {"turn": TURN}, TURN), (recall, {}, LENGTH)])
def test_the_turn_is_where_it_is_said_to_be(game, options, turn):
    sequences = made(game, **options)
    for names, answers in zip(sequences.names, sequences.answers, strict=True):
        for name in range(NAMES):
            for part in (slice(0, turn), slice(turn, None)):
                assert len(set(answers[part][names[part] == name].tolist())) <= 1
    before, after = sequences.answers[:, turn - 1], sequences.answers[:, min(turn, LENGTH - 1)]
    same = sequences.names[:, turn - 1] == sequences.names[:, min(turn, LENGTH - 1)]
    if turn < LENGTH:
        assert (before[same] != after[same]).all()


@pytest.mark.parametrize("length", [SHORT, LONG])
def test_parity_counts_the_bit_it_is_asked_with(length):
    game = made(parity, length=length)
    for bits, answers in zip(game.names.tolist(), game.answers.tolist(), strict=True):
        assert answers == [sum(bits[: t + 1]) % 2 for t in range(length)]


@pytest.mark.parametrize("turn", [TURN, None])
def test_an_address_is_on_the_left_before_the_cue_and_on_the_right_after_it(turn):
    game, cues = made(address, turn=turn), set()
    for told, asked, answers in zip(game.told.tolist(), game.asked.tolist(), game.answers.tolist(), strict=True):
        held, side = {}, 0
        for step, (row, name, answer) in enumerate(zip(told, asked, answers, strict=True)):
            name = name.index(1)
            assert held.setdefault(name, answer) == answer
            if row[6]:
                assert not any(row[:6])
                side = 2
                cues.add(step)
            else:
                assert row[side : side + 2].index(1) == name
                held[name] = row[4:6].index(1)
        assert side == 2
    assert cues == {TURN} if turn else cues == set(range(LENGTH // 3, 2 * LENGTH // 3 + 1))


def test_at_the_cue_no_name_is_told():
    game = made(address)
    assert torch.equal(game.names == -1, game.told[..., 6] == 1)
    assert torch.equal(game.names.clamp_min(0)[game.names >= 0], game.asked.argmax(-1)[game.names >= 0])


@pytest.mark.parametrize("game", [flip, recall, parity])
def test_what_is_told_and_asked_is_one_hot(game):
    sequences = made(game)
    assert torch.equal(sequences.asked.argmax(-1), sequences.names)
    assert bool((sequences.asked.sum(-1) == 1).all())
    if game is not parity:
        assert torch.equal(sequences.told[..., :NAMES], sequences.asked)
        assert torch.equal(sequences.told[..., NAMES:].argmax(-1), sequences.answers)


@pytest.mark.parametrize(("first", "stop"), [(0, None), (15, None), (0, 15), (4, 9)])
def test_told_since_looks_at_earlier_steps_alone(first, stop):
    names = made(flip).names[:20]
    found = told_since(names, first, stop)
    for row, marks in zip(names.tolist(), found.tolist(), strict=True):
        for t, mark in enumerate(marks):
            assert mark == (row[t] in row[first : min(t, LENGTH if stop is None else stop)])
