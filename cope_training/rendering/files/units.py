"""The length unit of a mesh file: as its format or the file itself states it, or the user."""

import math
from dataclasses import dataclass

from cope_ros.core.errors import CopeError

UNITS = {"m": 1.0, "cm": 0.01, "mm": 1e-3, "inch": 0.0254}  # m, those a user may name
_OTHERS = {"micron": 1e-6, "foot": 0.3048}  # m, those that files state besides
DEFAULT = "m"  # where nobody names one
SAME = 1e-6  # relative difference below which two lengths are one unit


@dataclass(frozen=True)
class Unit:
    """A unit and who named it."""

    metres: float
    name: str
    reason: str  # where it was taken from, and what contradicts it

    def __str__(self) -> str:
        return f"unit: {self.name} ({self.reason})"


def chosen_unit(given: str | None, stated: float | None, statement: str) -> Unit:
    """The unit that is taken: the user's, else the file's, else metres.

    Args:
        given: by the user, one of UNITS; None where nothing was said.
        stated: m, by the file or its format; None where they state none.
        statement: how they state it, see ``Reading``.
    """
    if given is None:
        if stated is None:
            return Unit(UNITS[DEFAULT], DEFAULT, "the file states none; --unit names another")
        return Unit(stated, unit_name(stated), statement)
    name = "--unit"
    if stated is not None and not math.isclose(UNITS[given], stated, rel_tol=SAME):
        name += f" stands above the file's {unit_name(stated)}: {statement}"
    return Unit(UNITS[given], given, name)


def unit_name(metres: float) -> str:
    """The usual name of a unit, or its length in metres."""
    for name, length in (UNITS | _OTHERS).items():
        if math.isclose(metres, length, rel_tol=SAME):
            return name
    return f"{metres:.6g} m"


def stated_unit(metres: object, statement: str) -> float:
    """A unit that a file states, as a number of metres.

    Raises:
        CopeError: it is no positive finite number.
    """
    try:
        length = float(str(metres))
    except ValueError:
        length = math.nan
    if not (math.isfinite(length) and length > 0):
        raise CopeError(f"{statement}: expected a unit of a positive length in metres")
    return length
