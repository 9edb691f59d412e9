"""The tables of a PLY file, ASCII and binary, whatever they hold."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cope_training.rendering.files.assets import decode_text

Table = dict[str, Any]  # columns by name: an array, or a list of arrays of different lengths
_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4",
    "float": "f4", "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2",
    "int32": "i4", "uint32": "u4", "int64": "i8", "uint64": "u8", "float16": "f2",
    "float32": "f4", "float64": "f8",
}  # fmt: skip


@dataclass
class _Element:
    name: str
    count: int
    properties: list[tuple[str, str, str | None]]  # name, type, type of a list's length or None


def read_tables(data: bytes) -> tuple[dict[str, Table], str]:
    """The elements of a PLY file by name, and the text of its comments.

    Raises:
        ValueError, KeyError, IndexError: it is broken.
    """
    head, body = _split(data)
    order, elements, comments = _header(head)
    tables = _ascii(body, elements) if order is None else _binary(body, elements, order)
    return tables, comments


def _split(data: bytes) -> tuple[str, bytes]:
    """The header's text, and what follows it."""
    if data[:3] != b"ply":
        raise ValueError("a file that does not begin with ply")
    end = data.find(b"end_header")
    if end < 0:
        raise ValueError("a header without end")
    stop = end + len(b"end_header")
    stop += 2 if data[stop : stop + 2] == b"\r\n" else 1
    return decode_text(data[:end]), data[stop:]


def _header(text: str) -> tuple[str | None, list[_Element], str]:
    """Byte order (None: ASCII), the elements, and the comments' text."""
    order: str | None = None
    elements: list[_Element] = []
    comments = []
    for line in text.replace("\r", "\n").split("\n"):
        words = line.split()
        match words[:1]:
            case ["comment"] | ["obj_info"]:
                comments.append(line.strip().partition(" ")[2])
            case ["format"]:
                orders = {"ascii": None, "binary_little_endian": "<", "binary_big_endian": ">"}
                order = orders[words[1]]
            case ["element"]:
                elements.append(_Element(words[1], int(words[2]), []))
            case ["property"] if words[1] == "list":
                kinds = _TYPES[words[3]], _TYPES[words[2]]
                elements[-1].properties.append((words[4], *kinds))
            case ["property"]:
                elements[-1].properties.append((words[2], _TYPES[words[1]], None))
    if any(e.count < 0 for e in elements):
        raise ValueError("a negative count")
    return order, elements, "\n".join(comments)


def _ascii(body: bytes, elements: list[_Element]) -> dict[str, dict[str, Any]]:
    values = np.array(body.split(), dtype=np.float64)
    at, tables = 0, {}
    for element in elements:
        lists = [p for p in element.properties if p[2] is not None]
        if not lists:
            width = len(element.properties)
            table = values[at : at + width * element.count]
            if len(table) < width * element.count:
                raise ValueError("a file that ends early")
            columns = table.reshape(element.count, width).T
            tables[element.name] = {
                name: _cast(column, kind, element.name, name)
                for (name, kind, _), column in zip(element.properties, columns, strict=True)
            }
            at += width * element.count
            continue
        rows: dict[str, list[Any]] = {name: [] for name, _, _ in element.properties}
        for row in range(element.count):
            for name, kind, length in element.properties:
                size = 1
                if length:
                    if not 0 <= values[at] <= len(values):
                        raise ValueError(f"{element.name} {row}: a list of {values[at]:g} values")
                    size, at = int(values[at]), at + 1
                if at + size > len(values):
                    raise ValueError("a file that ends early")
                item = _cast(values[at : at + size], kind, f"{element.name} {row}", name)
                rows[name].append(item if length else item[0])
                at += size
        tables[element.name] = _gathered(rows, element)
    return tables


def _cast(values: np.ndarray, kind: str, element: str, name: str) -> np.ndarray:
    """Numbers of a text as the header's type; fractions of integers are cut off.

    Raises:
        ValueError: one does not fit; names the element, which may have its row, and the property.
    """
    if np.issubdtype(np.dtype(kind), np.integer):
        limits = np.iinfo(kind)
        wrong = ~((values >= limits.min) & (values <= limits.max))
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            where = f"{element}: {name}: value {row}"
            raise ValueError(f"{where} is {values[row]:g}, which is no {np.dtype(kind).name}")
    return values.astype(kind)


def _binary(body: bytes, elements: list[_Element], order: str) -> dict[str, dict[str, Any]]:
    at, tables = 0, {}
    for element in elements:
        even = _even_table(body, at, element, order)
        if even is not None:
            tables[element.name], at = even
            continue
        rows: dict[str, list[Any]] = {name: [] for name, _, _ in element.properties}
        for _ in range(element.count):
            for name, kind, length in element.properties:
                size = 1
                if length:
                    size = _length(body, order + length, at)
                    at += np.dtype(length).itemsize
                item = np.frombuffer(body, order + kind, size, at)
                at += item.nbytes
                rows[name].append(item if length else item[0])
        tables[element.name] = _gathered(rows, element)
    return tables


def _length(body: bytes, kind: str, at: int) -> int:
    """How many values a list has."""
    length = int(np.frombuffer(body, kind, 1, at)[0])
    if length < 0:
        raise ValueError(f"a list of {length} values")
    return length


def _even_table(
    body: bytes, at: int, element: _Element, order: str
) -> tuple[dict[str, Any], int] | None:
    """The element read at once, where all its lists are as long as those of its first row."""
    fields: list[Any] = []
    offset = at
    for name, kind, length in element.properties:
        size = 1
        if length:
            fields.append((f"{name} length", order + length))
            if element.count:
                size = _length(body, order + length, offset)
            offset += np.dtype(length).itemsize
        fields.append((name, order + kind, (size,)) if length else (name, order + kind))
        offset += np.dtype(kind).itemsize * size
    row = np.dtype(fields)
    if at + row.itemsize * element.count > len(body):
        if any(length for _, _, length in element.properties):
            return None
        raise ValueError("a file that ends early")
    table = np.frombuffer(body, row, element.count, at)
    for name, _, length in element.properties:
        if length and element.count and (table[f"{name} length"] != row[name].shape[0]).any():
            return None
    names = [name for name, _, _ in element.properties]
    return {name: table[name] for name in names}, at + row.itemsize * element.count


def _gathered(rows: dict[str, list[Any]], element: _Element) -> dict[str, Any]:
    """Lists stay lists where their lengths differ; all else becomes arrays."""
    out: dict[str, Any] = {}
    for name, kind, length in element.properties:
        values = rows[name]
        even = not length or len({len(v) for v in values}) <= 1
        out[name] = np.array(values, dtype=kind) if even else values
        if length and even and not values:
            out[name] = np.zeros((0, 3), dtype=kind)
    return out
