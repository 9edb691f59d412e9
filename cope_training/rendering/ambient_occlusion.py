"""Ambient occlusion: gaps between objects, and where they touch the ground, are darker.

From the depth image alone, by unsharp masking (T. Luft, C. Colditz, O. Deussen, "Image enhancement
by unsharp masking the depth buffer", SIGGRAPH 2006): what lies behind its surroundings gets less
of the light that comes from all sides.
"""

import numpy as np
from scipy.ndimage import gaussian_filter

DEPTH = 0.25  # of the objects' size: what lies that much deeper than its surroundings is darkest
EDGE = 0.7  # px, as wide as the renderer smooths edges
WIDTHS = (0.05, 0.15)  # of the objects' size: how far surroundings reach, for corners and for gaps


def with_ambient_occlusion(
    image: np.ndarray, depth: np.ndarray, focal: float, size: float, strength: float
) -> np.ndarray:
    """The image with less light where depth says that little comes in.

    Args:
        image: (H, W, 3) uint8 sRGB.
        depth: (H, W) m, 0 where there is only the background picture, which stays as it is.
        focal: px.
        size: m, of the objects.
        strength: share of the light that the darkest places lose.

    Returns:
        (H, W, 3) uint8.
    """
    drawn = depth > 0
    if not drawn.any():
        return image
    z = np.where(drawn, depth, depth.max())
    pixels = focal * size / float(np.median(depth[drawn]))
    occlusion = np.zeros(z.shape)
    for width in WIDTHS:
        around = gaussian_filter(z, max(width * pixels, 1.0), mode="nearest", truncate=2.0)
        behind = (z - around).clip(0.0) / (DEPTH * size)
        occlusion += behind * np.exp(1.0 - behind) / len(WIDTHS)  # far behind, it is light again
    light = 1.0 - strength * gaussian_filter(np.where(drawn, occlusion, 0.0), EDGE, truncate=3.0)
    # sRGB is taken as gamma 2, as in the shaders: a share of the light is its root in the image.
    return np.rint(image * np.sqrt(light)[..., None]).astype(np.uint8)
