"""A language model: embedding, blocks of mixer and memory, one table for input and output."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nbhelpers import layers
from nbhelpers.models.config import Config, reference_hidden

State = dict[str, Tensor]

MIXERS = {
    "transformer": layers.Attention,
    "mamba2": layers.Mamba2,
    "gated_deltanet": layers.GatedDeltaNet,
    "titans": layers.Titans,
    "hope": layers.SelfModifyingTitans,
    "hope_attention": layers.Attention,
}


class Block(nn.Module):
    """x ← x + mixer(norm(x)), then the CMS, which has norms and residuals of its own."""

    def __init__(self, config: Config, hidden: int):
        super().__init__()
        self.norm = nn.RMSNorm(config.width, eps=1e-6)
        self.mixer = make_mixer(config)
        self.cms = layers.ContinuumMemory(config.width, config.levels(hidden), config.variant)

    def forward(self, x: Tensor, state: State, **masks) -> tuple[Tensor, State]:
        """x (B, L, D); the state's names begin with ``mixer.`` or ``cms.``."""
        own = {name[6:]: tensor for name, tensor in state.items() if name.startswith("mixer.")}
        changes = {name[4:]: tensor for name, tensor in state.items() if name.startswith("cms.")}
        mixed, own = self.mixer(self.norm(x), own or None, **masks)
        y, changes = self.cms(x + mixed, changes)
        return y, {f"mixer.{n}": t for n, t in own.items()} | {f"cms.{n}": t for n, t in changes.items()}


class LanguageModel(nn.Module):
    """Tokens in, logits of the next token out, with a state that carries on from call to call.

    >>> model = LanguageModel(Config("hope", vocabulary=256, width=32, layers=2, heads=2))
    >>> logits, state = model(torch.zeros(1, 10, dtype=torch.int64))
    >>> logits.shape
    torch.Size([1, 10, 256])
    """

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.hidden = matched_hidden(config) if config.hidden is None else config.hidden
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.blocks = nn.ModuleList(Block(config, self.hidden) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width, eps=1e-6)
        self.initialise()

    @torch.no_grad()
    def initialise(self) -> None:
        """Small embeddings, so that the first loss is about ln V; what adds to the stream starts smaller, by depth."""
        nn.init.normal_(self.embedding.weight, std=0.02)
        damp = (2 * self.config.layers) ** -0.5
        for block in self.blocks:
            for name, module in block.mixer.named_modules():
                if isinstance(module, nn.Linear) and module.bias is None:
                    nn.init.normal_(module.weight, std=module.in_features**-0.5)
                    module.weight.mul_(damp if name == "out" else 1)
            for mlp in block.cms.blocks:
                mlp.down.mul_(damp)

    def forward(self, tokens: Tensor, state: State | None = None, **masks) -> tuple[Tensor, State]:
        """tokens (B, L) int64 → logits (B, L, V) and the state.

        ``masks`` are ``reset``, ``padding`` and ``truncate`` of ``nbhelpers.layers.Mixer``.
        """
        x, state = self.features(tokens, state, **masks)
        return F.linear(x, self.embedding.weight), state

    def features(self, tokens: Tensor, state: State | None = None, **masks) -> tuple[Tensor, State]:
        """What the output table is applied to, (B, L, D): for losses that need not hold all logits at once."""
        state = {} if state is None else state
        x, new = self.embedding(tokens), {}
        for i, block in enumerate(self.blocks):
            prefix = f"{i}."
            own = {name[len(prefix) :]: tensor for name, tensor in state.items() if name.startswith(prefix)}
            x, own = block(x, own, **masks)
            new |= {prefix + name: tensor for name, tensor in own.items()}
        return self.norm(x), new

    def initial_state(self, batch: int) -> State:
        """The state before the first token, changes of the CMS included."""
        state = {}
        for i, block in enumerate(self.blocks):
            state |= {f"{i}.mixer.{name}": tensor for name, tensor in block.mixer.initial_state(batch).items()}
            state |= {f"{i}.cms.{name}": tensor for name, tensor in block.cms.initial_state(batch).items()}
        return state

    def loss(self, tokens: Tensor, targets: Tensor, state: State | None = None, **masks) -> tuple[Tensor, State]:
        """Mean next-token loss in nats: tokens, targets (B, L)."""
        logits, state = self(tokens, state, **masks)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten()), state

    def parameter_count(self) -> int:
        """Number of parameters; the table that is input and output counts once."""
        return sum(p.numel() for p in self.parameters())

    def parameter_groups(self) -> list[dict]:
        """Parameters by the period of their outer updates, for ``nbhelpers.optim.Periodic``."""
        groups: dict[int | float, list] = {1: []}
        taken = set()
        for block in self.blocks:
            for group in block.cms.parameter_groups():
                groups.setdefault(group["period_steps"], []).extend(group["params"])
                taken |= set(map(id, group["params"]))
        groups[1] += [p for p in self.parameters() if id(p) not in taken]
        return [{"params": members, "period_steps": period} for period, members in sorted(groups.items())]


def make_mixer(config: Config) -> layers.Mixer:
    """The sequence mixer of a family, with the config's options."""
    mixer = MIXERS[config.family]
    try:
        return mixer(config.width, config.heads, config.chunk_size, **config.mixer)
    except TypeError as error:
        raise ValueError(
            f"The mixer of {config.family} does not take these options: {config.mixer} ({error})."
        ) from None


def matched_hidden(config: Config) -> int:
    """The hidden width that brings a family nearest to the parameters of the Transformer of equal width and depth."""
    width = config.width
    attention, reference = 4 * width * width, reference_hidden(width)
    with torch.device("meta"):
        own = sum(p.numel() for p in make_mixer(config).parameters())
    extra_norms = (len(config.levels(reference)) - 1) * width
    hidden = reference + (attention - own - extra_norms) / (3 * width)
    smallest = len(config.levels(reference))
    if hidden < smallest:
        raise ValueError(
            f"A mixer of {config.family} alone has {own:,} parameters, more than a whole block of the Transformer of "
            f"width {width}; use more heads or set hidden."
        )
    return max(smallest, round(hidden))
