"""The recipes of data sets are object.yaml with other scenes: no other network, no other loss."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from cope_training.engine.configuration import TrainConfig, load_config
from cope_training.rendering.scene_config import make_scene_config

FOLDER = Path(__file__).parents[2] / "config" / "training"


@pytest.mark.parametrize("name", ["icbin", "lmo_joint"])
def test_a_recipe_differs_from_objects_in_its_data_alone(name: str) -> None:
    common, special = load_config(FOLDER / "object.yaml"), load_config(FOLDER / f"{name}.yaml")

    def without_data(config: TrainConfig) -> dict[str, object]:
        plain = replace(
            config,
            data=common.data,
            augment=common.augment,
            validation=replace(config.validation, random=False),
            seed=0,
            expected=(),  # the demo's
        )
        return asdict(plain)

    assert without_data(special) == without_data(common)
    assert special.data.repeats == common.data.repeats
    assert special.seed != common.seed
    scene = make_scene_config(special.data.scene, special.data.meshes, special.data.backgrounds)
    assert scene.crop_size == common.data.scene["crop_size"]
    assert scene.clutter_meshes == "$COPE_DATA/material/meshes"
    assert scene.surface_offset_sigma > 0
