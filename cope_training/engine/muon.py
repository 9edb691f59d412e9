"""Muon for the dense layers, AdamW for the rest, as one optimiser.

Muon (Jordan et al. 2024) steps along the nearest orthogonal matrix to a layer's averaged
gradient, so that rare directions are learned as fast as frequent ones. Every convolution is
a matrix from its window to its channels. torch's own Muon takes no convolutions and computes
in bfloat16, which CPUs are slow at.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan's quintic: singular values to 0.7 .. 1.2
STEPS = 5
ADAM_RMS = 0.2  # typical size of AdamW's steps, so that both share a rate (Liu et al. 2025)
MIN_SIDE = 16  # narrower matrices gain nothing


class Muon(torch.optim.AdamW):
    """Groups of parameters with ``muon=True`` hold matrices or convolutions; others AdamW's."""

    def __init__(self, groups: list[dict[str, Any]], weight_decay: float) -> None:
        super().__init__([{"muon": False} | group for group in groups], weight_decay=weight_decay)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of all groups."""
        groups = self.param_groups
        for group in groups:
            if group["muon"]:
                for parameter in group["params"]:
                    self._step_matrix(parameter, group["lr"], group["weight_decay"])
        self.param_groups = [group for group in groups if not group["muon"]]
        try:
            return super().step(closure)
        finally:
            self.param_groups = groups

    def _step_matrix(self, parameter: Tensor, rate: float, decay: float) -> None:
        gradient = parameter.grad
        if gradient is None:
            return
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
            state["step"] = torch.zeros(())  # AdamW looks for it when a state is loaded
        momentum = state["momentum"].lerp_(gradient, 1.0 - MOMENTUM)
        way = gradient.lerp(momentum, MOMENTUM).flatten(1)  # Nesterov's
        step = orthogonalize(way) * (ADAM_RMS * max(way.shape) ** 0.5)
        parameter.mul_(1.0 - rate * decay).add_(step.view(parameter.shape), alpha=-rate)


def orthogonalize(matrix: Tensor) -> Tensor:
    """(M, N) -> about U V^T of its singular value decomposition, by Newton-Schulz steps.

    Every step is x -> p(x x^T) x. Only the polynomials of the smaller side's Gram matrix are
    multiplied up, and their product with x once: 40 % less work than step by step. All of them
    are polynomials of one symmetric matrix, so that their order does not matter.
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else matrix.T
    x = x / (x.norm() + 1e-7)
    gram = x @ x.T
    product = _polynomial(gram)
    for _ in range(STEPS - 1):
        product = _polynomial(product @ gram @ product) @ product
    x = product @ x
    return x if wide else x.T


def _polynomial(gram: Tensor) -> Tensor:
    """a + b G + c G^2"""
    a, b, c = NEWTON_SCHULZ
    polynomial = torch.addmm(gram, gram, gram, beta=b, alpha=c)
    polynomial.diagonal().add_(a)
    return polynomial


def is_dense(module: nn.Module) -> bool:
    """Whether a layer's weight is a matrix large enough for Muon."""
    if not isinstance(module, nn.Conv2d | nn.Linear) or getattr(module, "groups", 1) != 1:
        return False
    return min(module.weight.flatten(1).shape) >= MIN_SIDE
