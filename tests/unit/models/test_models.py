"""The language model: sizes, first loss, streaming, files."""

from __future__ import annotations

import json
import math

import pytest
import torch

from nbhelpers.layers import SelfModifyingTitans
from nbhelpers.levels import levels_of, table_of_levels
from nbhelpers.models import FAMILIES, Config, LanguageModel, generate, load, save, stream
from nbhelpers.optim import Periodic

SMALL = {"vocabulary": 64, "width": 32, "layers": 2, "heads": 2, "chunk_size": 4}


def small(family, **options):
    torch.manual_seed(0)
    return LanguageModel(Config(family, **{**SMALL, **options}))


def tokens(batch, length, seed=0):
    return torch.randint(64, (batch, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(256, 128, 4, 4), (4096, 160, 4, 5), (8192, 512, 8, 8)])
def test_families_have_equal_numbers_of_parameters(size):
    with torch.device("meta"):
        counts = {family: LanguageModel(Config(family, *size)).parameter_count() for family in FAMILIES}
    assert all(abs(n / counts["transformer"] - 1) < 0.02 for n in counts.values()), counts


@pytest.mark.parametrize("family", FAMILIES)
def test_the_first_loss_is_that_of_knowing_nothing(family):
    model = small(family, width=64, vocabulary=256)
    text = torch.randint(256, (4, 65), generator=torch.Generator().manual_seed(1))
    loss, _ = model.loss(text[:, :-1], text[:, 1:])
    assert loss.item() == pytest.approx(math.log(256), rel=0.03)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_text_in_pieces_is_the_text(family):
    model, text = small(family).double(), tokens(2, 19)
    whole, end = model(text)
    outputs, state = [], None
    for piece in text.split([1, 6, 2, 10], 1):
        logits, state = model(piece, state)
        outputs.append(logits)
    torch.testing.assert_close(torch.cat(outputs, 1), whole, rtol=1e-9, atol=1e-9)
    assert state.keys() == end.keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_learns(family):
    model, text = small(family).double(), tokens(2, 20)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.05 * torch.randn_like(p)
    loss, _ = model.loss(text[:, :-1], text[:, 1:])
    loss.backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.norm() > 1e-8]
    assert not silent


@pytest.mark.parametrize("family", ["transformer", "titans", "hope"])
def test_masks_reach_every_mixer(family):
    """Two documents packed in one row say what each says alone, the second at its place of the grid."""
    model, text = small(family).double(), tokens(1, 16)
    reset = torch.zeros(1, 16, dtype=torch.bool)
    reset[0, 8] = True
    packed, _ = model(text, reset=reset)
    torch.testing.assert_close(packed[:, 8:], model(text[:, 8:])[0], rtol=1e-9, atol=1e-9)


COMPILED = [(family, {}) for family in FAMILIES] + [
    (family, options) for family in ("titans", "hope") for options in ({"memory": "matrix"}, {"momentum": True})
]


@pytest.mark.slow
@pytest.mark.parametrize(("family", "options"), COMPILED)
def test_training_is_one_graph_to_compile(family, options):
    model, text = small(family, mixer=options), tokens(2, 17)
    torch.compiler.reset()
    compiled = torch.compile(lambda t: model.loss(t[:, :-1], t[:, 1:])[0], backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(text), model.loss(text[:, :-1], text[:, 1:])[0])


@pytest.mark.parametrize("family", FAMILIES)
def test_streaming_writes_what_rereading_would(family):
    model, prompt = small(family), tokens(2, 5)
    with torch.no_grad():
        text = generate(model, prompt, 9, temperature=0)
        logits, _ = model(text[:, :-1])
    assert text.shape == (2, 14) and torch.equal(text[:, :5], prompt)
    assert torch.equal(logits[:, 4:].argmax(-1), text[:, 5:])


def test_the_state_of_a_stream_does_not_grow_except_with_attention():
    for family in FAMILIES:
        sizes = []
        for _, (_, state) in zip(range(9), stream(small(family), tokens(1, 3)), strict=False):
            sizes.append(sum(t.numel() for t in state.values()))
        grows = sizes[-1] > sizes[0]
        assert grows == (family in ("transformer", "hope_attention")), family


def test_sampling_is_repeatable_and_cut_to_the_likeliest():
    model, prompt = small("hope"), tokens(1, 4)
    draws = [generate(model, prompt, 12, generator=torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*draws)
    greedy = generate(model, prompt, 12, temperature=0)
    assert torch.equal(generate(model, prompt, 12, top_k=1), greedy)
    with pytest.raises(ValueError, match="at least one token"):
        generate(model, tokens(1, 0), 3)
    with pytest.raises(ValueError, match="temperature is -1"):
        generate(model, prompt, 3, temperature=-1)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_survives_its_files(family, tmp_path):
    model, text = small(family, periods=(1, 4, math.inf)), tokens(1, 7)
    save(model, tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.config == model.config
    assert torch.equal(again(text)[0], model(text)[0])


def test_damaged_or_foreign_files_are_refused(tmp_path):
    folder = save(small("hope"), tmp_path / "model")
    weights, config = folder / "model.safetensors", folder / "config.json"
    whole, said = weights.read_bytes(), config.read_text()
    weights.write_bytes(whole[:100])
    with pytest.raises(ValueError, match="is damaged"):
        load(folder)
    weights.write_bytes(whole)
    config.write_text(json.dumps(json.loads(said) | {"width": 64}))
    with pytest.raises(ValueError, match="does not hold the model of its config"):
        load(folder)
    config.write_text(json.dumps(json.loads(said) | {"depth": 64}))
    with pytest.raises(ValueError, match="has depth, which no model"):
        load(folder)
    config.write_text("{")
    with pytest.raises(ValueError, match="is not a model's config"):
        load(folder)
    config.unlink()
    with pytest.raises(FileNotFoundError, match=r"config\.json is missing"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "rnn"}, "family is 'rnn'; expected one of transformer"),
        ({"heads": 3}, "heads must divide"),
        ({"layers": 0}, "layers is 0"),
        ({"variant": "chain"}, "variant is 'chain'"),
        ({"mixer": {"memry": "mlp"}}, r"does not take these options"),
        ({"heads": 1, "width": 128}, "use more heads"),
    ],
)
def test_a_config_that_cannot_be_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        LanguageModel(Config(**{"family": "hope", **SMALL, **change}))


def test_the_slow_blocks_change_when_their_period_is_over():
    model = small("hope", periods=(1, 2, math.inf))
    groups = model.parameter_groups()
    assert [g["period_steps"] for g in groups] == [1, 2, math.inf]
    assert sum(len(g["params"]) for g in groups) == len(list(model.parameters()))
    optimizer = Periodic(torch.optim.SGD(groups, lr=0.1))
    starts = [p.detach().clone() for p in (block.down for block in model.blocks[0].cms.blocks)]
    moved = []
    for seed in range(2):
        text = tokens(2, 9, seed)
        optimizer.zero_grad()
        model.loss(text[:, :-1], text[:, 1:])[0].backward()
        optimizer.step()
        moved.append([not torch.equal(b.down, s) for b, s in zip(model.blocks[0].cms.blocks, starts, strict=True)])
    assert moved == [[True, False, False], [True, True, False]]


def test_the_table_of_levels_says_what_moves():
    model, text = small("hope"), tokens(2, 12)
    rows = {level.name: level for level in levels_of(model, text)}
    memory, block = rows["0.mixer.memory"], rows["0.cms.block 2"]
    assert memory.moved > 0 and block.moved == 0
    mixer = model.blocks[0].mixer
    assert isinstance(mixer, SelfModifyingTitans)
    assert memory.bytes == 4 * (mixer.written_W1.numel() + mixer.written_W2.numel())
    assert block.period == "16 step(s) of training"
    assert len(table_of_levels(model, text).splitlines()) == 1 + len(rows) == 1 + 2 * 5
    unmeasured = levels_of(model)
    assert all(level.moved is None for level in unmeasured)
    with pytest.raises(ValueError, match="level_rows"):
        levels_of(torch.nn.Linear(2, 2))
