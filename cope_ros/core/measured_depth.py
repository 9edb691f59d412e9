"""What a depth image's distances tell of its unit. Numpy alone."""

import numpy as np

CREDIBLE = (0.03, 100.0)  # m, medians of images that depth cameras make
COARSE = 4  # every fourth row and column tells the median, where any of them is known


def median_depth(depth: np.ndarray) -> float:
    """Median in m of a depth image (H, W) where it has a distance; NaN where it has none."""
    for part in (depth[::COARSE, ::COARSE], depth):
        known = part[np.isfinite(part) & (part > 0)]
        if len(known):
            return float(np.median(known))
    return float("nan")


def is_credible_depth(median: float) -> bool:
    """Whether a median distance (m) is one that depth cameras measure, not one in another unit."""
    return CREDIBLE[0] <= median <= CREDIBLE[1]
