"""The numbers of a glTF file: buffers, views, accessors."""

import base64
from typing import Any

import numpy as np

from cope_ros.core.errors import CopeError
from cope_training.rendering.files.assets import Assets, find_asset

_COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


class Buffers:
    """Reads accessors as arrays.

    Args:
        tree: the file's JSON.
        chunk: binary chunk of a GLB, None without.
        assets: for buffers in files of their own.
    """

    def __init__(self, tree: dict[str, Any], chunk: bytes | None, assets: Assets) -> None:
        self._tree = tree
        self._assets = assets
        self._data = [
            self._buffer(entry, chunk if i == 0 else None)
            for i, entry in enumerate(tree.get("buffers", []))
        ]

    def _buffer(self, entry: dict[str, Any], chunk: bytes | None) -> bytes:
        data = chunk if "uri" not in entry else self.bytes_of(entry["uri"])
        if data is None:
            raise CopeError(
                f"{self._assets.source}: its buffer {entry.get('uri', '')!r} is missing"
            )
        if len(data) < entry["byteLength"]:
            raise ValueError(f"a buffer of {len(data)} bytes instead of {entry['byteLength']}")
        return data

    def bytes_of(self, uri: str) -> bytes | None:
        """What a URI holds: base64, or a file beside the mesh, None where that is missing."""
        if uri.startswith("data:"):
            return base64.b64decode(uri.partition(",")[2])
        path = find_asset(self._assets.source.parent, uri)
        return None if path is None else path.read_bytes()

    def view(self, index: int) -> bytes:
        """The bytes of a buffer view."""
        view = self._tree["bufferViews"][index]
        start = view.get("byteOffset", 0)
        data = self._data[view["buffer"]][start : start + view["byteLength"]]
        if len(data) < view["byteLength"]:
            raise ValueError("a buffer view beyond its buffer")
        return data

    def read(self, index: int, scale: bool = True, colors: bool = False) -> np.ndarray:
        """(N, D) values of an accessor.

        Args:
            index: of the accessor.
            scale: floats, normalised integers scaled to [0, 1] or [-1, 1]; otherwise as stored.
            colors: integers are normalised also where the file forgets to say so.
        """
        accessor = self._tree["accessors"][index]
        kind = np.dtype(_COMPONENTS[accessor["componentType"]])
        width, count = _WIDTHS[accessor["type"]], accessor["count"]
        if "bufferView" in accessor:
            values = self._strided(accessor, kind, width)
        else:
            values = np.zeros((count, width), kind)
        if "sparse" in accessor:
            values = self._replaced(values, accessor["sparse"])
        if not scale:
            return values
        if kind.kind in "iu" and (accessor.get("normalized") or colors):
            full = float(np.iinfo(kind).max)
            return np.maximum(values.astype(np.float64) / full, -1.0)
        return values.astype(np.float64)

    def _strided(self, accessor: dict[str, Any], kind: np.dtype, width: int) -> np.ndarray:
        data = self.view(accessor["bufferView"])
        row = kind.itemsize * width
        stride = self._tree["bufferViews"][accessor["bufferView"]].get("byteStride", row)
        start, count = accessor.get("byteOffset", 0), accessor["count"]
        if stride < row or (count and start + stride * (count - 1) + row > len(data)):
            raise ValueError("an accessor beyond its buffer view")
        return np.ndarray((count, width), kind, data, start, (stride, kind.itemsize))

    def _replaced(self, values: np.ndarray, sparse: dict[str, Any]) -> np.ndarray:
        count = sparse["count"]
        at = self._plain(sparse["indices"], sparse["indices"]["componentType"], (count,))
        out = values.copy()
        number = next(k for k, v in _COMPONENTS.items() if np.dtype(v) == values.dtype)
        out[at.astype(np.int64)] = self._plain(sparse["values"], number, (count, values.shape[1]))
        return out

    def _plain(self, entry: dict[str, Any], component: int, shape: tuple[int, ...]) -> np.ndarray:
        kind = np.dtype(_COMPONENTS[component])
        start = entry.get("byteOffset", 0)
        data = self.view(entry["bufferView"])
        return np.frombuffer(data, kind, int(np.prod(shape)), start).reshape(shape)
