"""The recipes of data sets are object.yaml with other scenes: no other network, no other loss."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from cope_training.engine.configuration import TrainConfig, load_config
from cope_training.rendering.scene_config import make_scene_config

FOLDER = Path(__file__).parents[2] / "config" / "training"


CROP_HEAD = ("preset", "crop_head", "instance_head", "candidate_threshold")  # where one is before


@pytest.mark.parametrize(("name", "own"), [("icbin", ()), ("lmo_joint", CROP_HEAD)])
def test_a_recipe_differs_from_objects_in_its_data_alone(name: str, own: tuple[str, ...]) -> None:
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
        return {k: v for k, v in asdict(plain).items() if k not in own}

    assert without_data(special) == without_data(common)
    assert special.instance_head == replace(
        common.instance_head, dense_share=special.instance_head.dense_share
    )
    assert special.data.repeats == common.data.repeats
    assert special.seed != common.seed
    scene = make_scene_config(special.data.scene, special.data.meshes, special.data.backgrounds)
    assert scene.crop_size == common.data.scene["crop_size"]
    assert scene.clutter_meshes == "$COPE_DATA/material/meshes"
    assert scene.surface_offset_sigma > 0
