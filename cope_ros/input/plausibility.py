"""Whether a camera matrix can be true: what drivers leave at its default cannot. Knows no ROS.

Real lenses see between 5 and 170 degrees, have nearly square pixels and look through a point near
the image. A driver without a calibration sends zeros, the identity, ``1 0 w/2, 0 1 h/2, 0 0 1``
or values in units of the image's width, and poses made from them are nonsense with high scores.
"""

import math

import numpy as np

LEAST_VIEW, WIDEST_VIEW = math.radians(5.0), math.radians(170.0)  # of a lens, along a side
# px. The view of smaller images says nothing: they are cut out or drawn for a test.
LEAST_SIDE = 100
OFF_CENTRE = 0.5  # of the side that the principal point may lie beyond the border
CORNER = 1.0  # px; nearer to (0, 0) it was never set, or is given as a share of the image's size
ASPECT = 2.5  # greatest ratio of the focal lengths: fields of interlaced video have 2
SKEW = 0.1  # greatest ratio of the skew to the focal length
# Greatest ratio of P's focal length to K's; rectification keeps it nearly unless it is to show
# the whole of a strongly distorted image.
RATIO, DISTORTED_RATIO = 2.0, 4.0


def fault_of(name: str, matrix: np.ndarray, size: tuple[int, int]) -> str | None:
    """Why a camera matrix cannot be true of an image, None where it can.

    Args:
        name: of the matrix, for the text.
        matrix: (3, 3) px, of the full-resolution image.
        size: (width, height) px of that image.
    """
    if not np.isfinite(matrix).all():
        return f"expected finite numbers in {name}, got {matrix.reshape(9).tolist()}"
    if not matrix.any():
        return f"{name} is all zero"
    (fx, skew, cx), (lower, fy, cy), last = matrix.tolist()
    if fx <= 0 or fy <= 0:
        return f"expected positive focal lengths in {name}, got {fx:g} and {fy:g} px"
    if lower != 0 or not np.allclose(last, (0, 0, 1)) or abs(skew) > SKEW * fx:
        text = "to be upper triangular with last row 0 0 1 and nearly no skew"
        return f"expected {name} {text}, got {matrix.tolist()}"
    return (
        _impossible_view(name, (fx, fy), (cx, cy), size)
        or _impossible_aspect(name, fx, fy)
        or _impossible_center(name, (cx, cy), size)
    )


def contradiction(P: np.ndarray, K: np.ndarray, distorted: bool) -> str | None:
    """Why P (3, 3) and K (3, 3) cannot be of one camera, None where they can.

    Args:
        distorted: whether the lens is, so that rectification may change the focal length.
    """
    limit = DISTORTED_RATIO if distorted else RATIO
    for p, k in ((P[0, 0], K[0, 0]), (P[1, 1], K[1, 1])):
        if not k / limit < p < k * limit:  # just so: of images at half the size
            text = f"expected P's focal length within a factor of {limit:g} of K's {k:.1f} px"
            return f"{text}, got {p:.1f} px"
    return None


def _impossible_view(
    name: str, f: tuple[float, float], c: tuple[float, float], size: tuple[int, int]
) -> str | None:
    borders = [_borders(f[i], c[i], size[i]) for i in range(2)]
    # The longer side decides: line cameras see next to nothing along the shorter one.
    narrowest = max(sum(_borders(f[i], c[i], max(size[i], LEAST_SIDE))) for i in range(2))
    if narrowest >= LEAST_VIEW and max(map(max, borders)) <= WIDEST_VIEW / 2:
        return None
    x, y = (math.degrees(sum(angles)) for angles in borders)
    return (
        f"expected {name} to see 5 to 170 degrees, got {x:.3g} x {y:.3g} "
        f"(focal lengths {f[0]:g} and {f[1]:g} px, image {size[0]}x{size[1]})"
    )


def _borders(f: float, c: float, side: int) -> tuple[float, float]:
    """Angles (rad) from the optical axis to both ends of one side; their sum is the view."""
    return math.atan((c + 0.5) / f), math.atan((side - 0.5 - c) / f)


def _impossible_aspect(name: str, fx: float, fy: float) -> str | None:
    if max(fx, fy) <= ASPECT * min(fx, fy):
        return None
    return f"expected focal lengths of about the same size in {name}, got {fx:g} and {fy:g} px"


def _impossible_center(name: str, c: tuple[float, float], size: tuple[int, int]) -> str | None:
    outside = any(
        not -OFF_CENTRE * n <= at <= (1.0 + OFF_CENTRE) * n for at, n in zip(c, size, strict=True)
    )
    unset = max(abs(at) for at in c) <= CORNER and max(size) > LEAST_SIDE
    if not outside and not unset:
        return None
    text = f"expected the principal point of {name} near the middle of {size[0]}x{size[1]} px"
    return f"{text}, got ({c[0]:g}, {c[1]:g})"
