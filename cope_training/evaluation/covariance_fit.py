"""Fits the factors of ``core.calibration`` to errors measured on held-out scenes.

Per class and block (position across the ray, along it, rotation) a Student-t likelihood, which
outliers hardly move, finds how stretched spread and constant bias share the variance and how both
shrink with the number of hypotheses. One more factor of each block, and one of all, since a block's
large errors come with another's, then bring the covered shares of the errors as near to the nominal
ones as they can.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import chi2

from cope_ros.core.detection.covariance import (
    NEUTRAL,
    TYPICAL_SUPPORT,
    CovarianceCalibration,
    set_factors,
)
from cope_training.evaluation.uncertainty import Samples, across_basis, squares

FREEDOM = 4.0  # of the Student-t distribution: a tenth of the errors far out
LEVELS = np.array([0.5, 0.9, 0.95])  # nominal shares at which coverage is compared
LEAST_SAMPLES = 30  # of a class, for six numbers
LARGEST = 30.0  # factor; beyond it the spread says nothing
MOST_POWER = 2.0


def fit_factors(samples: Samples, class_ids: Sequence[str]) -> dict[str, Any]:
    """Factors per class for ``export_network``; a class seen too rarely gets all classes' factors.

    Args:
        samples: with uncalibrated covariances.
    """
    fits: dict[str, np.ndarray] = {}  # (3, kinds)
    for index, name in enumerate(class_ids):
        own = samples.class_index == index
        chosen = samples.take(own) if own.sum() >= LEAST_SAMPLES else samples
        fits[name] = np.array([_fit_block(block) for block in _blocks(chosen)])
    m2, freedom = squares(calibrated(samples, _named(fits, 1.0), class_ids))
    return _named(fits, _covering(m2, freedom))


def _named(fits: dict[str, np.ndarray], factor: float) -> dict[str, Any]:
    """Factors as a model file has them, widths times ``factor``."""
    widths = {"scale": factor, "bias": factor, "power": 1.0}
    return {
        name: {
            kind: [round(float(v * widths[kind]), 5) for v in fit[:, k]]
            for k, kind in enumerate(NEUTRAL)
        }
        for name, fit in fits.items()
    }


def _covering(m2: np.ndarray, freedom: np.ndarray) -> float:
    """The factor on standard deviations that brings covered shares nearest to LEVELS.

    Args:
        m2: (N,) squared Mahalanobis lengths.
        freedom: (N,) of their chi-square distributions.
    """
    bounds = chi2.ppf(LEVELS, freedom[:, None])

    def miss(log_factor: float) -> float:
        covered = np.mean(m2[:, None] <= np.exp(2 * log_factor) * bounds, axis=0)
        # 5 % beyond the outermost ellipsoid count as 7.6 % beyond the middle one: as sure to count.
        return float(np.mean((covered - LEVELS) ** 2 / np.sqrt(LEVELS * (1.0 - LEVELS))))

    return float(np.exp(minimize_scalar(miss, bounds=(-2.0, 2.0), method="bounded").x))


def calibrated(samples: Samples, factors: dict[str, Any], class_ids: Sequence[str]) -> Samples:
    """The samples with the covariances that a model with these factors gives them."""
    module = CovarianceCalibration(len(class_ids)).double()
    set_factors(module, factors, class_ids)
    inputs = (samples.covariance, samples.t, samples.class_index, samples.support)
    with torch.inference_mode():
        out = module(*(torch.from_numpy(values) for values in inputs)).numpy()
    return replace(samples, covariance=out)


@dataclass(frozen=True)
class _Block:
    """One block of N errors in the k axes of each spread, where its covariance is diagonal."""

    error: np.ndarray  # (N, k)
    variance: np.ndarray  # (N, k) of the spread
    unit: np.ndarray  # (N,) of a bias: the distance, or 1
    lack: np.ndarray  # (N,) TYPICAL_SUPPORT over the support

    def squares(self, scale: float, bias: float, power: float) -> tuple[np.ndarray, np.ndarray]:
        """(N,) squared Mahalanobis lengths and (N,) logarithms of the determinants."""
        variance = scale**2 * self.variance + (bias * self.unit[:, None]) ** 2
        variance = variance * self.lack[:, None] ** (2.0 * power)
        return (self.error**2 / variance).sum(axis=1), np.log(variance).sum(axis=1)


def _blocks(samples: Samples) -> list[_Block]:
    """The three blocks, in the order of the factors."""
    distance = np.linalg.norm(samples.t, axis=1)
    ray = samples.t / distance[:, None]
    spins = np.any(samples.axis, axis=1, keepdims=True)
    # Where some objects spin about their axis, the others give two of their three numbers too.
    turn = across_basis(np.where(spins, samples.axis, ray)) if spins.any() else np.eye(3)[None]
    bases = (
        (across_basis(ray), slice(0, 3), distance),
        (ray[:, None], slice(0, 3), distance),
        (np.broadcast_to(turn, (len(samples), *turn.shape[1:])), slice(3, 6), np.ones(len(ray))),
    )
    lack = TYPICAL_SUPPORT / np.maximum(samples.support, 1)
    blocks = []
    for basis, part, unit in bases:
        spread = basis @ samples.covariance[:, part, part] @ np.swapaxes(basis, 1, 2)
        variance, axes = np.linalg.eigh(spread)
        error = (np.swapaxes(axes, 1, 2) @ basis @ samples.error[:, part, None])[..., 0]
        blocks.append(_Block(error, np.maximum(variance, 0.0), unit, lack))
    return blocks


def _fit_block(block: _Block) -> tuple[float, float, float]:
    """Scale, bias and power (the kinds of NEUTRAL, in its order) that suit the errors best."""
    k = block.error.shape[1]

    def cost(x: np.ndarray) -> float:
        m2, logdet = block.squares(float(np.exp(x[0])), float(np.exp(x[1])), float(x[2]))
        tail = (FREEDOM + k) / 2.0 * np.log1p(m2 / FREEDOM)
        return float(np.mean(0.5 * logdet + tail))

    typical = np.sqrt(np.median(np.sum(block.error**2, axis=1) / k / block.unit**2))
    start = [0.0, np.log(max(typical, 1e-6)), 0.3]
    bounds = [(np.log(1e-3), np.log(LARGEST)), (np.log(1e-6), np.log(LARGEST)), (0.0, MOST_POWER)]
    options = {"maxiter": 2000, "xatol": 1e-4, "fatol": 1e-7}
    x = minimize(cost, start, method="Nelder-Mead", bounds=bounds, options=options).x
    scale, bias = np.exp(x[:2])
    m2 = block.squares(scale, bias, x[2])[0]
    factor = _covering(m2, np.full(len(m2), k))
    return scale * factor, bias * factor, float(x[2])
