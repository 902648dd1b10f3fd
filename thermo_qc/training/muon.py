"""An optimiser that turns the layers of a network in all directions alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

__all__ = ["Muon", "orthogonalised"]

_LEAST_ROWS = 16  # layers of fewer outputs or inputs (heads, say) have few directions
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_LIKE_ADAM = 0.2  # typical change of a weight by AdamW, of the learning rate
_LEAST_NORM = 1e-7


class Muon(Optimizer):
    """Momentum made orthogonal for weights of layers, AdamW for everything else.

    A layer's momentum, as a matrix of outputs by inputs, is replaced by the nearest orthogonal one (nearly: five steps
    of a Newton-Schulz iteration), so that directions which a few steep ones would hide are learnt as fast as those. It
    is scaled to the size that AdamW's steps have, so that one learning rate serves both.

    Parameters
    ----------
    params : sequence of dict
        Parameter groups; weights with at least 16 outputs and 16 inputs are made orthogonal.
    lr : float
        Learning rate.
    momentum : float
        Share of the momentum that stays; Nesterov's.
    betas : tuple of float
        Moments of AdamW.
    eps : float
        Least deviation of AdamW.
    weight_decay : float
        Decoupled decay, for groups that name none.
    rounded : torch.dtype
        Numbers of the iteration: bfloat16 where the machine is fast in it.

    References
    ----------
    Jordan, K. et al. (2024). Muon: an optimizer for hidden layers in neural networks.
    https://kellerjordan.github.io/posts/muon/

    Liu, J. et al. (2025). Muon is scalable for LLM training. https://doi.org/10.48550/arXiv.2502.16982

    Loshchilov, I., Hutter, F. (2019). Decoupled weight decay regularization. ICLR.
    https://doi.org/10.48550/arXiv.1711.05101
    """

    def __init__(
        self,
        params: Sequence[dict[str, Any]],
        lr: float,
        *,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        rounded: torch.dtype = torch.float32,
    ) -> None:
        self.rounded = rounded
        super().__init__(
            params, {"lr": lr, "momentum": momentum, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; returns what `closure` returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
                changes = self._orthogonal if _is_layer(parameter) else self._adapted
                parameter.sub_(changes(parameter, group), alpha=group["lr"])
        return loss

    def _orthogonal(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        """Change of a layer's weights for a learning rate of 1."""
        assert parameter.grad is not None
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        kept: Tensor = state["momentum"].lerp_(parameter.grad, 1.0 - group["momentum"])
        wanted = parameter.grad.lerp(kept, group["momentum"]).flatten(1)
        size = _LIKE_ADAM * math.sqrt(max(wanted.shape))
        return size * orthogonalised(wanted.to(self.rounded)).to(parameter.dtype).reshape(parameter.shape)

    def _adapted(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        """Change of other parameters for a learning rate of 1: AdamW's."""
        assert parameter.grad is not None
        state, (first, second) = self.state[parameter], group["betas"]
        if not state:
            state.update(step=0, mean=torch.zeros_like(parameter), square=torch.zeros_like(parameter))
        state["step"] += 1
        mean = state["mean"].lerp_(parameter.grad, 1.0 - first) / (1.0 - first ** state["step"])
        square = state["square"].lerp_(parameter.grad.square(), 1.0 - second) / (1.0 - second ** state["step"])
        changes: Tensor = mean / (square.sqrt_() + group["eps"])
        return changes


def orthogonalised(matrix: Tensor) -> Tensor:
    """Bring the singular values of a matrix near 1 and keep its singular vectors.

    Parameters
    ----------
    matrix : Tensor of floats, shape (R, C)
        Of any scale; singular values that are far below the largest come nearer to 1 without reaching it.

    Returns
    -------
    Tensor, shape (R, C)
        In the same numbers; singular values of about 0.7 to 1.2. Zeros of zeros.

    References
    ----------
    Jordan, K. et al. (2024). Muon: an optimizer for hidden layers in neural networks (the coefficients of its
    Newton-Schulz iteration). https://kellerjordan.github.io/posts/muon/
    """
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    found = wide / (wide.norm() + _LEAST_NORM)
    a, b, c = _COEFFICIENTS
    for _ in range(_ITERATIONS):
        product = found @ found.T
        found = a * found + (b * product + c * product @ product) @ found
    result: Tensor = found.T if matrix.shape[0] > matrix.shape[1] else found
    return result


def _is_layer(parameter: Tensor) -> bool:
    return parameter.ndim > 1 and min(parameter.shape[0], parameter[0].numel()) >= _LEAST_ROWS
