"""Floor 6: training. One loop for models, contests and sweeps; checkpoints that resume bit for bit.

python -m nbhelpers.training cpu family=hope           train one model
python -m nbhelpers.training.sweep cpu                 every family, the same tuning budget, several seeds
torchrun --nproc-per-node 8 -m nbhelpers.training gpu family=hope parallel=fsdp
"""

from nbhelpers.training.config import RunOptions
from nbhelpers.training.language import TrainingConfig
from nbhelpers.training.settings import PRESETS
from nbhelpers.training.train import train

__all__ = ["PRESETS", "RunOptions", "TrainingConfig", "train"]
