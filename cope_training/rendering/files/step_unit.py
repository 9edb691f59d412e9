"""The length unit that a STEP file states (ISO 10303-21, 10303-41)."""

import re

# SI prefixes of lengths in CAD; $ is none.
_PREFIXES = {
    b"MICRO": 1e-6, b"MILLI": 1e-3, b"CENTI": 0.01, b"DECI": 0.1, b"KILO": 1e3, b"NANO": 1e-9,
}  # fmt: skip
_SPACE = re.compile(rb"\s+")
_WANTED = rb"LENGTH_UNIT|GLOBAL_UNIT_ASSIGNED_CONTEXT|MEASURE_WITH_UNIT"
_ENTITY = re.compile(rb"#(\d+)=([^;]*?(?:%s)[^;]*);" % _WANTED)
_CONTEXT = re.compile(rb"GLOBAL_UNIT_ASSIGNED_CONTEXT\(\(([^)]*)\)\)")
_SI = re.compile(rb"SI_UNIT\((?:\.(\w+)\.|\$),\.METRE\.\)")
_CONVERTED = re.compile(rb"CONVERSION_BASED_UNIT\('([^']*)',#(\d+)\)")
_MEASURE = re.compile(rb"MEASURE_WITH_UNIT\(\w*\(?([-+.\dEe]+)\)?,#(\d+)\)")
DEEPEST = 4  # units that are made of units


def step_unit(data: bytes) -> float | None:
    """Metres in the length unit of a STEP file's shapes, None where it cannot be told."""
    text = _SPACE.sub(b"", data)
    entities = {m[1]: m[2] for m in _ENTITY.finditer(text)}
    for content in entities.values():
        found = _CONTEXT.search(content)
        for reference in found[1].split(b",") if found else ():
            length = _length(entities, reference.lstrip(b"#"), 0)
            if length is not None:
                return length
    return None


def _length(entities: dict[bytes, bytes], number: bytes, depth: int) -> float | None:
    """Metres of a unit; None where it is no length."""
    content = entities.get(number, b"")
    if depth > DEEPEST or b"LENGTH_UNIT" not in content:
        return None
    si = _SI.search(content)
    if si:
        return _PREFIXES.get(si[1]) if si[1] else 1.0
    converted = _CONVERTED.search(content)
    measure = _MEASURE.search(entities.get(converted[2], b"")) if converted else None
    if measure is None:
        return None
    base = _length(entities, measure[2], depth + 1)
    try:
        return None if base is None else float(measure[1]) * base
    except ValueError:
        return None
