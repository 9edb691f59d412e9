"""From the spread of an instance's hypotheses to the error that is to be expected.

Hypotheses of one cluster see the same pixels and share their bias, so that their spread alone
says too little. Measured on held-out scenes, each class has for each of three blocks (position
across the viewing ray, along it, rotation) a factor by which the spread is stretched, a bias that
no spread shows (shares of the distance; rad), and a power of the number of hypotheses in the
cluster with which both shrink: whoever is hardly seen has few of them.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from cope_ros.core.errors import CopeError
from cope_ros.core.geometry import length, normalize
from cope_ros.core.types import Instances, with_covariance

BLOCKS = 3  # across the ray, along it, rotation
NEUTRAL = {"scale": 1.0, "bias": 0.0, "power": 0.0}  # kinds of factors, without effect
TYPICAL_SUPPORT = 10.0  # hypotheses with which the power changes nothing
KEY = "covariance"  # of the model file's metadata


class CovarianceCalibration(nn.Module):
    """Turns spreads into calibrated covariances; without factors it changes nothing.

    Args:
        classes: C, how many objects there are.
    """

    scale: Tensor  # (C, 3) factors of standard deviations
    bias: Tensor  # (C, 3) standard deviations: shares of the distance twice, rad
    power: Tensor  # (C, 3) of TYPICAL_SUPPORT over the cluster's size
    typical_support: Final[float] = TYPICAL_SUPPORT

    def __init__(self, classes: int) -> None:
        super().__init__()
        for kind, value in NEUTRAL.items():
            self.register_buffer(kind, torch.full((classes, BLOCKS), value))

    def instances(self, found: Instances) -> Instances:
        """The same instances with calibrated covariances."""
        covariance = self.forward(
            found.covariance.flatten(0, 1),
            found.t.flatten(0, 1),
            found.class_index.flatten(),
            found.support.flatten(),
        )
        return with_covariance(found, covariance.view_as(found.covariance))

    def forward(
        self, covariance: Tensor, t: Tensor, class_index: Tensor, support: Tensor
    ) -> Tensor:
        """Calibrates the spreads of N instances.

        Args:
            covariance: (N, 6, 6) position (m) and rotation (rad) about the camera's axes.
            t: (N, 3) m.
            class_index: (N,) int64.
            support: (N,) int64, hypotheses in each cluster.
        """
        ray = normalize(t)
        along = ray.unsqueeze(-1) @ ray.unsqueeze(-2)
        eye = torch.eye(3, dtype=t.dtype, device=t.device)
        across = eye - along
        lack = (self.typical_support / support.to(t.dtype).clamp_min(1.0)).unsqueeze(-1)
        lack = lack.pow(self.power[class_index])
        scale = (self.scale[class_index] * lack).unsqueeze(-1).unsqueeze(-1)
        variance = (self.bias[class_index] * lack).square()
        variance = torch.cat(
            (variance[:, :2] * length(t).square().unsqueeze(-1), variance[:, 2:]), 1
        )
        variance = variance.unsqueeze(-1).unsqueeze(-1)
        stretch = torch.zeros_like(covariance)
        stretch[:, :3, :3] = scale[:, 0] * across + scale[:, 1] * along
        stretch[:, 3:, 3:] = scale[:, 2] * eye
        extra = torch.zeros_like(covariance)
        extra[:, :3, :3] = variance[:, 0] * across + variance[:, 1] * along
        extra[:, 3:, 3:] = variance[:, 2] * eye
        return stretch @ covariance @ stretch.transpose(1, 2) + extra


def set_factors(
    module: nn.Module, factors: dict[str, Any] | None, class_ids: Sequence[str]
) -> None:
    """Fills a calibration's buffers from the metadata of a model file.

    Args:
        module: a ``CovarianceCalibration``, scripted or not.
        factors: class_id -> kind (of NEUTRAL) -> three numbers >= 0; None means none.

    Raises:
        CopeError: other classes, not three finite numbers, or negative ones.
    """
    if factors is None:
        factors = {name: {k: [v] * BLOCKS for k, v in NEUTRAL.items()} for name in class_ids}
    for kind in NEUTRAL:
        getattr(module, kind).copy_(torch.from_numpy(factor_table(factors, kind, class_ids)))


def factor_table(factors: dict[str, Any], kind: str, class_ids: Sequence[str]) -> np.ndarray:
    """(C, 3) float32 of the factors of a kind.

    Raises:
        CopeError: as ``set_factors``.
    """
    if not isinstance(factors, dict) or set(factors) != set(class_ids):
        raise CopeError(f"{KEY}: expected factors of {list(class_ids)}, got {list(factors)}")
    try:
        table = np.array([factors[name][kind] for name in class_ids], dtype=np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise CopeError(f"{KEY}: {kind}: expected {BLOCKS} numbers per class: {error!r}") from error
    if table.shape != (len(class_ids), BLOCKS) or not np.isfinite(table).all() or (table < 0).any():
        raise CopeError(f"{KEY}: {kind}: expected {BLOCKS} numbers >= 0 per class, got {factors}")
    return table


def check_factors(
    scripted: nn.Module, factors: dict[str, Any] | None, class_ids: Sequence[str], source: str
) -> None:
    """Makes sure that a model computes with the factors that its file states.

    Raises:
        CopeError: it does not; without stated factors it must change nothing.
    """
    module = dict(scripted.named_children()).get("calibrate")
    if module is None:  # written before there were factors
        if factors is not None:
            raise CopeError(f"{source}: states {KEY} factors, but its module has none")
        return
    for kind, neutral in NEUTRAL.items():
        buffer = getattr(module, kind, None)  # files of earlier versions know fewer kinds
        shape = (len(class_ids), BLOCKS)
        got = np.full(shape, neutral) if buffer is None else buffer.cpu().numpy()
        stated = np.full_like(got, neutral)
        if factors is not None:
            stated = factor_table(factors, kind, class_ids)
        if not np.allclose(got, stated, rtol=1e-5):
            raise CopeError(
                f"{source}: {KEY}: {kind}: expected {stated.tolist()} as the file states, "
                f"got {got.tolist()} in its module"
            )
