"""What users claim of an object's symmetries, measured on its mesh, and how it is spelled."""

from collections.abc import Sequence

import numpy as np

from cope_ros.core.errors import CopeError
from cope_ros.core.symmetry import MAX_TURNS
from cope_training.rendering.symmetry_search import Found, SymmetrySearch

AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
WRONG = 0.05  # of the diameter: what a claimed symmetry may leave between surface and itself


def claimed(text: str, search: SymmetrySearch) -> list[Found]:
    """The turns that a user claims, each measured on the mesh.

    Args:
        text: ``none``; ``auto`` for what the mesh shows; ``box`` for half turns about x, y and z;
            or a list such as ``z:any,x:2``: a body of revolution about z that may also stand on its
            head. Axes pass through the centroid of the surface.

    Raises:
        CopeError: another text, or a turn that leaves the surface far from itself.
    """
    if text.strip().lower() == "auto":
        return search.propose()
    words = {"none": "", "box": "x:2,y:2,z:2"}.get(text.strip().lower(), text)
    found = []
    for word in filter(None, (part.strip().lower() for part in words.split(","))):
        name, _, count = word.partition(":")
        valid = count == "any" or (count.isdecimal() and 2 <= int(count) <= MAX_TURNS)
        if name not in AXES or not valid:
            raise CopeError(
                f"symmetry: expected none, auto, box, or axes with any or 2 to {MAX_TURNS} as in "
                f"z:any or x:2,z:4, got {text!r}"
            )
        order = 0 if count == "any" else int(count)
        deviation = search.turn(np.array(AXES[name]), order)
        if deviation.surface > WRONG * search.diameter:
            raise CopeError(
                f"symmetry: {word} leaves the surface {1000 * deviation.surface:.1f} mm off "
                f"itself; the mesh shows {spelled(search.propose())}"
            )
        found.append(Found(np.array(AXES[name]), order, deviation))
    return found


def spelled(found: Sequence[Found]) -> str:
    """Turns and how exact they are, for people."""
    rows = []
    for turn in found:
        names = [name for name, axis in AXES.items() if np.allclose(np.abs(turn.axis), axis)]
        axis = names[0] if names else "({:.3f} {:.3f} {:.3f})".format(*turn.axis)
        rows.append(f"{axis}:{turn.order or 'any'} (within {turn.deviation})")
    return ", ".join(rows) or "none"
