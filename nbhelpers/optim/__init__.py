"""Floor 3: optimizers as memories over gradients, each a ``torch.optim.Optimizer``.

==========================  =============================================  ==========================================
class                       what it remembers                              equation (arXiv 2512.24695)
==========================  =============================================  ==========================================
:class:`DGD`                nothing; its step erases along the input       (54)-(57), App. C, corrected
:class:`DeltaMomentum`      gradients, L2 internal objective               (48)-(49), corrected
:class:`DeepMomentum`       gradients, in an MLP (our design)              (50)
:class:`PreconditionedMomentum`  preconditioned gradients                  (46)-(47)
:class:`HigherOrderMomentum`     features of gradients                     (51)
:class:`NonlinearMomentum`  gradients, read through a non-linearity        (52)
:class:`Muon`               gradients, read through Newton-Schulz          (42)-(44) as used in practice
:class:`M3`                 gradients at two speeds                        (75), Algorithm 1
:class:`Periodic`           the sum of the gradients of a period           (71), the CMS rule
==========================  =============================================  ==========================================

One reading of shapes holds in all of them where a formula asks for a matrix (the paper writes of matrices
alone): a scalar is 1 × 1, a vector of n entries is a column n × 1, a tensor of more than two axes is its first axis
by all others. One reading of symbols: ``lr`` is η, ``momentum`` is the momentum decay μ (the paper's α).
"""

from nbhelpers.optim.deep_momentum import DeepMomentum
from nbhelpers.optim.delta_momentum import DeltaMomentum
from nbhelpers.optim.dgd import DGD
from nbhelpers.optim.higher_order_momentum import HigherOrderMomentum
from nbhelpers.optim.m3 import M3
from nbhelpers.optim.muon import Muon
from nbhelpers.optim.newton_schulz import CUBIC, QUINTIC, newton_schulz
from nbhelpers.optim.nonlinear_momentum import NonlinearMomentum
from nbhelpers.optim.periodic import Periodic
from nbhelpers.optim.preconditioned_momentum import PreconditionedMomentum
from nbhelpers.optim.preconditioners import RMS, AdaGrad, FullMatrix

__all__ = [
    "CUBIC",
    "DGD",
    "M3",
    "QUINTIC",
    "RMS",
    "AdaGrad",
    "DeepMomentum",
    "DeltaMomentum",
    "FullMatrix",
    "HigherOrderMomentum",
    "Muon",
    "NonlinearMomentum",
    "Periodic",
    "PreconditionedMomentum",
    "newton_schulz",
]
