"""Floor 5: a language model from a config: six families, streaming generation, learning at test time, files."""

from nbhelpers.models.adapt import adapt, learn_once, set_token_periods
from nbhelpers.models.config import FAMILIES, Config
from nbhelpers.models.evaluate import evaluate, summed_loss
from nbhelpers.models.files import load, save
from nbhelpers.models.generate import generate, stream
from nbhelpers.models.language_model import LanguageModel
from nbhelpers.models.recall import recalled

__all__ = [
    "FAMILIES",
    "Config",
    "LanguageModel",
    "adapt",
    "evaluate",
    "generate",
    "learn_once",
    "load",
    "recalled",
    "save",
    "set_token_periods",
    "stream",
    "summed_loss",
]
