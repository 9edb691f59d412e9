"""models_info.json as people write it: read where it can only mean one thing, else named."""

import json
from pathlib import Path

import numpy as np
import pytest
from test_symmetry import BOX, Z, turn

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError

WRONG = {
    "no axis": {"symmetries_continuous": [{"offset": [0, 0, 0]}]},
    "no offset": {"symmetries_continuous": [{"axis": [0, 0, 1]}]},
    "null axis": {"symmetries_continuous": [{"axis": None, "offset": [0, 0, 0]}]},
    "text": {"symmetries_continuous": "z"},
    "texts": {"symmetries_continuous": ["z"]},
    "3x3": {"symmetries_discrete": [np.diag([-1.0, -1, 1]).tolist()]},
    "ragged": {"symmetries_discrete": [[1, 2], [3]]},
    "dict": {"symmetries_discrete": {"z": 2}},
    "diameter null": {"diameter": None},
    "diameter text": {"diameter": "12 cm"},
    "diameter in m": {"diameter": 0.17},
    "size true": {"size_x": True},
    "name": {"name": ["a"]},
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_entries_are_one_line_with_file_object_and_key(tmp_path: Path, name: str) -> None:
    path = tmp_path / "models_info.json"
    path.write_text(json.dumps({"7": BOX | WRONG[name]}))
    with pytest.raises(CopeError) as caught:
        Catalogue.from_models_info(path)
    message, key = str(caught.value), next(iter(WRONG[name]))
    assert "\n" not in message
    assert str(path) in message
    assert "object 7" in message
    assert key.split("_")[0] in message


@pytest.mark.parametrize(
    ("content", "order"),
    [
        ({"000007": BOX | {"symmetries_discrete": [turn(Z, 180).tolist()]}}, 2),  # rows of four
        ({"7": BOX | {"symmetries_discrete": None, "symmetries_continuous": None}}, 1),
        ({" 7": BOX | {"symmetries_continuous": {"axis": [0, 0, 1], "offset": [0, 0, 0]}}}, 1),
        ({"7": BOX | {"diameter": "170"}}, 1),
    ],
)
def test_other_spellings_are_read(content: dict, order: int) -> None:
    item = Catalogue.from_dict(content)[0]
    assert item.obj_id == 7
    assert len(item.symmetry.members) == order
