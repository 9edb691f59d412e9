"""Fits the factors of ``core.calibration`` to errors measured on held-out scenes.

Per class and block (position across the ray, along it, rotation) a Student-t likelihood, which
outliers hardly move, finds how stretched spread and constant bias share the variance. One more
factor then brings the covered shares of the errors as near to the nominal ones as it can.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import chi2

from cope_ros.core.calibration import CovarianceCalibration, set_factors
from cope_training.evaluation.uncertainty import Samples, across_basis

FREEDOM = 4.0  # of the Student-t distribution: a tenth of the errors far out
LEVELS = np.array([0.5, 0.9, 0.95])  # nominal shares at which coverage is compared
LEAST_SAMPLES = 30  # of a class, for six numbers
LARGEST = 30.0  # factor; beyond it the spread says nothing


def fit_factors(samples: Samples, class_ids: Sequence[str]) -> dict[str, Any]:
    """Factors per class for ``export_network``; a class seen too rarely gets all classes' factors.

    Args:
        samples: with uncalibrated covariances.
    """
    factors = {}
    for index, name in enumerate(class_ids):
        own = samples.class_index == index
        chosen = samples.take(own) if own.sum() >= LEAST_SAMPLES else samples
        pairs = [_fit_block(*block) for block in _blocks(chosen)]
        factors[name] = {
            "scale": [round(float(a), 4) for a, _ in pairs],
            "bias": [round(float(b), 5) for _, b in pairs],
        }
    return factors


def calibrated(samples: Samples, factors: dict[str, Any], class_ids: Sequence[str]) -> Samples:
    """The samples with the covariances that a model with these factors gives them."""
    module = CovarianceCalibration(len(class_ids)).double()
    set_factors(module, factors, class_ids)
    covariance, t = torch.from_numpy(samples.covariance), torch.from_numpy(samples.t)
    with torch.inference_mode():
        out = module(covariance, t, torch.from_numpy(samples.class_index)).numpy()
    return Samples(samples.class_index, samples.t, samples.error, out, samples.axis)


Block = tuple[np.ndarray, np.ndarray, np.ndarray]  # errors (N, k), spreads (N, k, k), units (N,)


def _blocks(samples: Samples) -> list[Block]:
    """The three blocks, in the order of the factors; the unit of a bias is the distance or 1."""
    distance = np.linalg.norm(samples.t, axis=1)
    ray = samples.t / distance[:, None]
    turn = across_basis(samples.axis) if np.any(samples.axis) else np.eye(3)[None]
    bases = (
        (across_basis(ray), slice(0, 3), distance),
        (ray[:, None], slice(0, 3), distance),
        (np.broadcast_to(turn, (len(samples), *turn.shape[1:])), slice(3, 6), np.ones(len(ray))),
    )
    blocks = []
    for basis, part, unit in bases:
        error = (basis @ samples.error[:, part, None])[..., 0]
        spread = basis @ samples.covariance[:, part, part] @ np.swapaxes(basis, 1, 2)
        blocks.append((error, spread, unit))
    return blocks


def _fit_block(error: np.ndarray, spread: np.ndarray, unit: np.ndarray) -> tuple[float, float]:
    """Stretch of the spread and bias in ``unit`` that suit the errors best."""
    k = error.shape[1]
    constant = unit[:, None, None] ** 2 * np.eye(k)

    def squares(a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
        covariance = a * a * spread + b * b * constant
        solved = np.linalg.solve(covariance, error[..., None])[..., 0]
        return (error * solved).sum(axis=1), np.linalg.slogdet(covariance)[1]

    def cost(logs: np.ndarray) -> float:
        m2, logdet = squares(*np.exp(logs))
        tail = (FREEDOM + k) / 2.0 * np.log1p(m2 / FREEDOM)
        return float(np.mean(0.5 * logdet + tail))

    typical = np.sqrt(np.median(np.sum(error**2, axis=1) / k / unit**2))
    start = np.log([1.0, max(typical, 1e-6)])
    bounds = [(np.log(1e-3), np.log(LARGEST)), (np.log(1e-6), np.log(LARGEST))]
    a, b = np.exp(minimize(cost, start, method="Nelder-Mead", bounds=bounds).x)
    m2 = squares(a, b)[0]

    def miss(log_factor: float) -> float:
        covered = np.mean(m2[:, None] <= np.exp(2 * log_factor) * chi2.ppf(LEVELS, k), axis=0)
        return float(np.mean((covered - LEVELS) ** 2))

    factor = np.exp(minimize_scalar(miss, bounds=(-2.0, 2.0), method="bounded").x)
    return a * factor, b * factor
