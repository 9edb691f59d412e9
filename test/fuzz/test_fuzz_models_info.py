"""models_info.json with one random defect: what is read is right, or one line says what is not."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from defects import FUZZ, change_json, damage, outcome
from hypothesis import given, note
from hypothesis import strategies as st

from cope_ros.core.catalogue import Catalogue

NUMBERS = st.floats(10.0, 500.0)


def turn(angle: float) -> list[float]:
    """A rotation about z, 4x4 by rows."""
    c, s = float(np.cos(angle)), float(np.sin(angle))
    return [c, -s, 0, 0, s, c, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]


@st.composite
def entries(draw: st.DrawFn, name: str) -> dict:
    size = [draw(NUMBERS) for _ in range(3)]
    entry = {"diameter": float(np.linalg.norm(size)), "name": name}
    entry |= {f"min_{axis}": -side / 2 for axis, side in zip("xyz", size, strict=True)}
    entry |= {f"size_{axis}": side for axis, side in zip("xyz", size, strict=True)}
    symmetry = draw(st.sampled_from(["none", "half", "third", "axis"]))
    if symmetry == "half":
        entry["symmetries_discrete"] = [turn(np.pi)]
    elif symmetry == "third":
        entry["symmetries_discrete"] = [turn(2 * np.pi / 3), turn(4 * np.pi / 3)]
    elif symmetry == "axis":
        entry["symmetries_continuous"] = [{"axis": [0, 0, 1], "offset": [0, 0, 0]}]
    return entry


@st.composite
def contents(draw: st.DrawFn) -> dict:
    ids = draw(st.lists(st.integers(1, 40), min_size=1, max_size=3, unique=True))
    return {str(i): draw(entries(f"thing_{i}")) for i in ids}


@FUZZ
@given(contents(), st.data())
def test_one_wrong_value_spoils_no_other(content, data) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "models_info.json"
        path.write_text(json.dumps(content))
        before = Catalogue.from_models_info(path)
        note(change_json(path, data))
        found = outcome(lambda: Catalogue.from_models_info(path), (path.name,))
    if found is None:
        return
    old = {item.obj_id: item for item in before}
    strange = 0
    for item in found:
        assert np.isfinite(item.diameter)
        assert item.diameter > 0
        assert np.isfinite([*item.box_min, *item.box_size]).all()
        assert min(item.box_size) > 0
        same = item.obj_id in old and item.to_dict() == old[item.obj_id].to_dict()
        strange += not same
    assert strange <= 1
    assert len(found) >= len(before) - 1


@FUZZ
@given(contents(), st.data())
def test_damaged_bytes_are_one_line(content, data) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "models_info.json"
        path.write_bytes(damage(json.dumps(content, indent=1).encode(), data))
        outcome(lambda: Catalogue.from_models_info(path), (path.name,))


@FUZZ
@given(contents(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_encodings_of_editors_are_read(content, encoding) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "models_info.json"
        path.write_text(json.dumps(content))
        expected = Catalogue.from_models_info(path).to_dict()
        path.write_bytes(json.dumps(content).encode(encoding))
        assert Catalogue.from_models_info(path).to_dict() == expected
