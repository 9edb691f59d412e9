"""Meshes compared with what models_info.json says of them."""

from pathlib import Path

import numpy as np

from cope_ros.core.catalogue import MM, ObjectModel
from cope_ros.core.errors import CopeError

TOLERANCE = 0.03  # of the diameter: BOP's meshes for evaluation are simplified, its files rounded
GUESSES = (  # ratio of the mesh's size to the entry's, and what it looks like
    (1000.0, "mm instead of m"), (0.001, "m instead of mm"), (0.01, "m instead of cm"),
    (0.1, "cm instead of mm"), (25.4, "mm instead of inch"), (1 / 25.4, "inch instead of mm"),
)  # fmt: skip


def check_sizes(item: ObjectModel, vertices: np.ndarray, path: Path) -> None:
    """Makes sure that a mesh lies in the box that its entry in models_info.json names.

    Args:
        item: the entry.
        vertices: (V, 3) m, those that faces use.
        path: of the mesh, for the message.

    Raises:
        CopeError: with both sizes, or both places where the sizes agree.
    """
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    expected_high = item.box_min + item.box_size
    gap = np.abs(np.concatenate([low - item.box_min, high - expected_high])).max()
    allowed = TOLERANCE * item.diameter
    if gap <= allowed:
        return
    what, got, expected = "mesh", _mm(high - low, " x "), _mm(item.box_size, " x ")
    if np.abs(high - low - item.box_size).max() <= allowed:
        what = "mesh whose box begins at"
        got, expected = _mm(low, ", "), _mm(item.box_min, ", ")
    raise CopeError(
        f"{path}: object {item.obj_id}: models_info.json tells of a {what} {expected} mm, got "
        f"{got} mm{_guess((high - low).max() / item.box_size.max())}"
    )


def _mm(values: np.ndarray, separator: str) -> str:
    return separator.join(f"{v / MM:.4g}" for v in values)


def _guess(ratio: float) -> str:
    """The unit that a ratio of sizes looks like."""
    for factor, words in GUESSES:
        if abs(ratio / factor - 1.0) < TOLERANCE:
            return f" ({words}?)"
    return ""
