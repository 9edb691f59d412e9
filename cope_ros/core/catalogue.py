"""The known objects: extents, diameters and symmetries, from BOP's models_info.json."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cope_ros.core.errors import CopeError
from cope_ros.core.json_fields import numbers, read_json, shortened
from cope_ros.core.symmetry import SymmetryGroup, close_group

MM = 1e-3  # BOP files are in millimetres, everything else here in metres
REQUIRED_KEYS = ("diameter", "min_x", "min_y", "min_z", "size_x", "size_y", "size_z")
# The order in which a box's corners are listed: x varies slowest, z fastest.
CORNER_SIGNS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)
ROUNDING = 1e-6  # m, between two readings of one object
SLACK = 1.05  # diameters and sizes of one mesh agree but for rounding


@dataclass(frozen=True)
class ObjectModel:
    """One known object, in its mesh's frame, in metres."""

    obj_id: int  # BOP's, 1-based
    class_id: str  # what messages call it
    diameter: float  # m, largest distance between two vertices (paper, Eq. 1)
    box_min: np.ndarray  # (3,) m, smallest corner of the axis-aligned box of the mesh
    box_size: np.ndarray  # (3,) m
    symmetry: SymmetryGroup

    @property
    def corners(self) -> np.ndarray:
        """(8, 3) m: corners of the smallest cuboid around the mesh (paper, G3D)."""
        return self.box_min + CORNER_SIGNS * self.box_size

    @property
    def box_center(self) -> np.ndarray:
        """(3,) m: centre of that cuboid, in the mesh's frame."""
        return self.box_min + 0.5 * self.box_size

    @property
    def is_symmetric(self) -> bool:
        """Whether any rotation but the identity leaves the object looking the same."""
        return not self.symmetry.trivial

    def is_same(self, other: "ObjectModel") -> bool:
        """Whether name, extents and symmetries are another's, but for rounding in files."""
        extents, others = (np.array([o.diameter, *o.box_min, *o.box_size]) for o in (self, other))
        return (
            self.class_id == other.class_id
            and bool(np.abs(extents - others).max() < ROUNDING)
            and self.symmetry.within(other.symmetry)
            and other.symmetry.within(self.symmetry)
        )

    def to_dict(self) -> dict[str, Any]:
        """The entry of models_info.json (mm) that describes this object, with its name."""
        low, size = self.box_min / MM, self.box_size / MM
        entry: dict[str, Any] = {"name": self.class_id, "diameter": self.diameter / MM}
        entry |= {f"min_{axis}": float(v) for axis, v in zip("xyz", low, strict=True)}
        entry |= {f"size_{axis}": float(v) for axis, v in zip("xyz", size, strict=True)}
        return entry | self.symmetry.to_dict()


@dataclass(frozen=True)
class Catalogue:
    """All objects of a model; an object's place in ``objects`` is its ``class_index``."""

    objects: tuple[ObjectModel, ...]

    def __len__(self) -> int:
        return len(self.objects)

    def __iter__(self) -> Iterator[ObjectModel]:
        return iter(self.objects)

    def __getitem__(self, class_index: int) -> ObjectModel:
        return self.objects[class_index]

    @property
    def class_ids(self) -> tuple[str, ...]:
        """Names of the objects, by class index."""
        return tuple(o.class_id for o in self.objects)

    def index_of(self, obj_id: int) -> int:
        """Class index of BOP's ``obj_id``.

        Raises:
            CopeError: the catalogue has no such object.
        """
        for index, item in enumerate(self.objects):
            if item.obj_id == obj_id:
                return index
        known = [o.obj_id for o in self.objects]
        raise CopeError(f"unknown obj_id {obj_id}: the catalogue has {known}")

    def has_objects_of(self, other: "Catalogue") -> bool:
        """Whether another has the same objects in the same order, see ``ObjectModel.is_same``."""
        pairs = zip(self, other, strict=False)
        return len(self) == len(other) and all(a.is_same(b) for a, b in pairs)

    @classmethod
    def from_models_info(cls, path: Path | str) -> "Catalogue":
        """Reads BOP's ``models_info.json`` (mm); an entry's ``name`` becomes its class_id.

        Raises:
            CopeError: the file is missing, is not JSON, or an entry is incomplete.
        """
        return cls.from_dict(read_json(Path(path)), str(path))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], source: str = "models_info") -> "Catalogue":
        """Builds the catalogue from the content of a ``models_info.json``.

        Raises:
            CopeError: with the source, the object and the key at fault.
        """
        if not isinstance(data, Mapping) or not data:
            raise CopeError(f"{source}: expected a non-empty mapping of obj_id to model")
        keys = {_obj_id(key, source): key for key in data}
        if len(keys) < len(data):
            raise CopeError(f"{source}: an obj_id twice among {shortened(sorted(data))}")
        objects = tuple(_parse(i, data[keys[i]], source) for i in sorted(keys))
        names = [o.class_id for o in objects]
        if len(set(names)) != len(names):
            raise CopeError(f"{source}: names are not unique: {sorted(names)}")
        return cls(objects)

    def to_dict(self) -> dict[str, Any]:
        """The content of a ``models_info.json`` (mm); ``from_dict`` reads it back."""
        return {str(o.obj_id): o.to_dict() for o in self.objects}


def _obj_id(key: str, source: str) -> int:
    text = str(key).strip()
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise CopeError(f"{source}: expected integer obj_ids as keys, got {shortened(key)}")
    return int(text)


def _parse(obj_id: int, entry: Any, source: str) -> ObjectModel:
    where = f"{source}: object {obj_id}"
    values = np.array([numbers(entry, key, 1, where)[0] for key in REQUIRED_KEYS])
    diameter, low, size = values[0], values[1:4], values[4:7]
    if diameter <= 0 or (size <= 0).any():
        raise CopeError(f"{where}: diameter and sizes must be positive, got {values.tolist()}")
    if not max(size) / SLACK <= diameter <= SLACK * np.linalg.norm(size):
        raise CopeError(
            f"{where}: diameter: expected {max(size):.6g} to {np.linalg.norm(size):.6g} mm of "
            f"something as large as size_x, size_y, size_z, got {diameter:.6g}"
        )
    name = entry.get("name")
    if name is not None and not (isinstance(name, str) and name.strip()):
        raise CopeError(f"{where}: name: expected a text, got {shortened(name)}")
    return ObjectModel(
        obj_id=obj_id,
        class_id=f"obj_{obj_id:06d}" if name is None else name,
        diameter=float(diameter * MM),
        box_min=low * MM,
        box_size=size * MM,
        symmetry=_symmetry(entry, diameter * MM, where),
    )


def _symmetry(entry: Mapping[str, Any], diameter: float, where: str) -> SymmetryGroup:
    """The group of an entry's generators; null and an empty list are none."""
    discrete, lines = [], []
    for row in _listed(entry, "symmetries_discrete", where):
        T = numbers({"each": row}, "each", 16, f"{where}: symmetries_discrete").reshape(4, 4)
        T[:3, 3] *= MM
        discrete.append(T)
    for row in _listed(entry, "symmetries_continuous", where):
        inside = f"{where}: symmetries_continuous"
        axis = numbers(row, "axis", 3, inside)
        if np.linalg.norm(axis) < 1e-9:
            raise CopeError(f"{inside}: axis: expected a direction, got {axis.tolist()}")
        lines.append((axis / np.linalg.norm(axis), numbers(row, "offset", 3, inside) * MM))
    try:
        return close_group(np.array(discrete).reshape(-1, 4, 4), lines, diameter)
    except CopeError as error:
        raise CopeError(f"{where}: symmetries: {error}") from error


def _listed(entry: Mapping[str, Any], key: str, where: str) -> list[Any]:
    """The list under a key; one mapping alone counts as a list of it."""
    value = entry.get(key)
    if value is None or isinstance(value, list):
        return value or []
    if isinstance(value, dict) and "axis" in value:
        return [value]
    raise CopeError(f"{where}: {key}: expected a list, got {shortened(value)}")
