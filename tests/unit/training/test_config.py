"""Settings: what is understood, what is refused and how."""

from __future__ import annotations

import pytest

from nbhelpers.core.records import fingerprint
from nbhelpers.training.config import StepConfig
from nbhelpers.training.settings import KEYS, OWN, PRESETS, config_from_json, configure


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_a_config_and_comes_back_from_json(preset):
    config, _ = configure(preset)
    assert config.steps >= 1
    assert config_from_json(config.to_json()) == config
    fingerprint(config.to_json())  # no value that JSON lacks


def test_the_cpu_preset_has_the_promised_size():
    from nbhelpers.models import LanguageModel

    assert 1.2e6 < LanguageModel(configure("cpu")[0].model).parameter_count() < 1.4e6


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["colab", "gpu"])
def test_the_gpu_presets_have_the_promised_size(preset):
    from nbhelpers.models import LanguageModel

    assert 9e6 < LanguageModel(configure(preset)[0].model).parameter_count() < 11e6


def test_settings_become_values_of_their_kind():
    words = ["family=titans", "width=64", "tokens=1e5", "learning_rate=1", "mixer.memory=matrix", "periods=1,8,inf"]
    words += ["seed=3", "options.betas=0.9,0.99", "progress=no", "to=somewhere", "hidden=24"]
    config, options = configure("tiny", words)
    assert config.model.family == "titans" and config.model.width == 64 and config.model.hidden == 24
    assert config.model.mixer == {"memory": "matrix"} and config.model.periods == (1, 8, float("inf"))
    assert config.tokens == 100_000 and isinstance(config.learning_rate, float)
    assert config.options == {"betas": (0.9, 0.99)}
    assert options.seed == 3 and options.progress is False and options.to == "somewhere"
    assert config.model.vocabulary == 256  # that of the tokenizer


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["learning_rat=1"], "Did you mean learning_rate"),
        (["wibble=1"], 'There is no setting "wibble"'),
        (["width"], "not of the form key=value"),
        (["width=wide"], "width is 'wide'; expected a whole number"),
        (["width=1.5"], "expected a whole number"),
        (["learning_rate=fast"], "expected a number"),
        (["progress=maybe"], "expected yes or no"),
        (["periods=1,x"], "periods is '1,x'"),
        (["family=gpt"], "family is 'gpt'; expected one of transformer"),
        (["optimizer=adam"], "optimizer is 'adam'; expected one of"),
        (["tokenizer=bpe"], "tokenizer is 'bpe'"),
        (["precision=float16"], "precision is 'float16'"),
        (["parallel=tp"], "parallel is 'tp'"),
        (["warmup=2"], "expected a share"),
        (["learning_rate=-1"], "finite number from 0"),
        (["learning_rate=nan"], "learning_rate is"),
        (["tokens=10"], "less than one step"),
        (["batch_size=0"], "expected 1 or more"),
        (["checkpoint_every=0"], "expected 1 or more"),
        (["seed=-1"], "expected 0 or more"),
    ],
)
def test_wrong_settings_are_named_with_what_is_allowed(words, message):
    with pytest.raises(ValueError, match=message):
        configure("tiny", words)


def test_an_unknown_preset_lists_those_that_exist():
    with pytest.raises(ValueError, match=r"(?s)no preset \"huge\".*tiny.*cpu.*colab.*gpu"):
        configure("huge")


def test_how_a_run_is_carried_out_is_not_part_of_what_it_is():
    one = configure("tiny", ["checkpoint_every=3", "micro_batch=2", "seed=5", "device=cpu"])[0]
    assert one == configure("tiny")[0] != configure("tiny", ["clip=2"])[0]


def test_every_setting_is_documented():
    text = StepConfig.__doc__ + "".join(owner.__doc__ for owner in OWN)
    assert [key for key in KEYS if key != "task" and f"{key}:" not in text and f"{key}," not in text] == []
