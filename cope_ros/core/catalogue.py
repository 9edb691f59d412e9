"""The known objects: extents, diameters and symmetries, from BOP's models_info.json."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cope_ros.core.errors import CopeError

MM = 1e-3  # BOP files are in millimetres, everything else here in metres
REQUIRED_KEYS = ("diameter", "min_x", "min_y", "min_z", "size_x", "size_y", "size_z")
# The order in which a box's corners are listed: x varies slowest, z fastest.
CORNER_SIGNS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)


@dataclass(frozen=True)
class ContinuousSymmetry:
    """Any rotation about the line through ``offset`` (m) along the unit vector ``axis``."""

    axis: np.ndarray  # (3,)
    offset: np.ndarray  # (3,) m


@dataclass(frozen=True)
class ObjectModel:
    """One known object, in its mesh's frame, in metres."""

    obj_id: int  # BOP's, 1-based
    class_id: str  # what messages call it
    diameter: float  # m, largest distance between two vertices (paper, Eq. 1)
    box_min: np.ndarray  # (3,) m, smallest corner of the axis-aligned box of the mesh
    box_size: np.ndarray  # (3,) m
    symmetries_discrete: np.ndarray  # (S, 4, 4) without the identity, translation in m
    symmetries_continuous: tuple[ContinuousSymmetry, ...]

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
        return len(self.symmetries_discrete) > 0 or len(self.symmetries_continuous) > 0

    def to_dict(self) -> dict[str, Any]:
        """The entry of models_info.json (mm) that describes this object, with its name."""
        low, size = self.box_min / MM, self.box_size / MM
        entry: dict[str, Any] = {"name": self.class_id, "diameter": self.diameter / MM}
        entry |= {f"min_{axis}": float(v) for axis, v in zip("xyz", low, strict=True)}
        entry |= {f"size_{axis}": float(v) for axis, v in zip("xyz", size, strict=True)}
        if len(self.symmetries_discrete):
            in_mm = self.symmetries_discrete.copy()
            in_mm[:, :3, 3] /= MM
            entry["symmetries_discrete"] = [S.reshape(16).tolist() for S in in_mm]
        if self.symmetries_continuous:
            entry["symmetries_continuous"] = [
                {"axis": s.axis.tolist(), "offset": (s.offset / MM).tolist()}
                for s in self.symmetries_continuous
            ]
        return entry


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

    @classmethod
    def from_models_info(cls, path: Path | str) -> "Catalogue":
        """Reads BOP's ``models_info.json`` (mm); an entry's ``name`` becomes its class_id.

        Raises:
            CopeError: the file is missing, is not JSON, or an entry is incomplete.
        """
        try:
            data = json.loads(Path(path).read_text())
        except OSError as error:
            raise CopeError(f"{path}: cannot be read ({error.strerror})") from error
        except ValueError as error:
            raise CopeError(f"{path}: expected JSON, got {error}") from error
        return cls.from_dict(data, str(path))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], source: str = "models_info") -> "Catalogue":
        """Builds the catalogue from the content of a ``models_info.json``.

        Raises:
            CopeError: with the source, the object and the key at fault.
        """
        if not isinstance(data, Mapping) or not data:
            raise CopeError(f"{source}: expected a non-empty mapping of obj_id to model")
        try:
            ids = sorted(int(key) for key in data)
        except ValueError as error:
            raise CopeError(f"{source}: expected integer obj_ids as keys, got {error}") from error
        objects = tuple(_parse(i, data[str(i)], source) for i in ids)
        names = [o.class_id for o in objects]
        if len(set(names)) != len(names):
            raise CopeError(f"{source}: names are not unique: {sorted(names)}")
        return cls(objects)

    def to_dict(self) -> dict[str, Any]:
        """The content of a ``models_info.json`` (mm); ``from_dict`` reads it back."""
        return {str(o.obj_id): o.to_dict() for o in self.objects}


def _parse(obj_id: int, entry: Mapping[str, Any], source: str) -> ObjectModel:
    where = f"{source}: object {obj_id}"
    missing = [key for key in REQUIRED_KEYS if key not in entry]
    if missing:
        raise CopeError(f"{where}: missing {', '.join(missing)}")
    numbers = np.array([float(entry[key]) for key in REQUIRED_KEYS])
    if not np.isfinite(numbers).all() or numbers[0] <= 0 or (numbers[4:] <= 0).any():
        raise CopeError(f"{where}: diameter and sizes must be positive, got {numbers.tolist()}")
    return ObjectModel(
        obj_id=obj_id,
        class_id=str(entry.get("name", f"obj_{obj_id:06d}")),
        diameter=numbers[0] * MM,
        box_min=numbers[1:4] * MM,
        box_size=numbers[4:7] * MM,
        symmetries_discrete=_parse_discrete(entry.get("symmetries_discrete", []), where),
        symmetries_continuous=_parse_continuous(entry.get("symmetries_continuous", []), where),
    )


def _parse_discrete(rows: Any, where: str) -> np.ndarray:
    flat = np.array(rows, dtype=float).reshape(-1, 16)
    if len(flat) != len(rows):
        raise CopeError(f"{where}: symmetries_discrete: expected 16 numbers each")
    matrices = flat.reshape(-1, 4, 4)
    R = matrices[:, :3, :3]
    if not np.allclose(R @ R.transpose(0, 2, 1), np.eye(3), atol=1e-3):
        raise CopeError(f"{where}: symmetries_discrete: expected rotations")
    matrices[:, :3, 3] *= MM
    return matrices


def _parse_continuous(rows: Any, where: str) -> tuple[ContinuousSymmetry, ...]:
    parsed = []
    for row in rows:
        axis = np.array(row["axis"], dtype=float)
        norm = np.linalg.norm(axis)
        if axis.shape != (3,) or norm < 1e-9:
            raise CopeError(f"{where}: symmetries_continuous: expected an axis of length 3")
        parsed.append(ContinuousSymmetry(axis / norm, np.array(row["offset"], dtype=float) * MM))
    return tuple(parsed)
