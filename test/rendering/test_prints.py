"""Pictures full of edges, and scenes that use them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cope_training.rendering.prints import print_picture
from cope_training.rendering.scene_config import SceneConfig
from cope_training.rendering.scenes import sample_crop
from cope_training.rendering.studio import Studio, load_objects
from cope_training.rendering.textures import procedural_picture

MODELS = str(Path(__file__).resolve().parents[2] / "models" / "demo")
EMPTY = SceneConfig(
    models=MODELS, crop_size=96, empty_share=1.0, clutter_max=0, occluder_share=0.0,
    resting_share=0.0, ground_share=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio(load_objects(MODELS), pictures=8, prints=4)


def edges(picture: np.ndarray) -> float:
    """Share of neighbours that differ by more than 40 of 255."""
    return float((np.abs(np.diff(picture.astype(int).mean(2), axis=1)) > 40).mean())


def test_prints_have_many_hard_edges():
    rng = np.random.default_rng(0)
    plain = [procedural_picture(rng, 128) for _ in range(20)]
    prints = [print_picture(rng, plain, 128) for _ in range(20)]
    assert all(p.shape == (128, 128, 3) and p.dtype == np.uint8 for p in prints)
    assert np.mean([edges(p) for p in prints]) > 3 * np.mean([edges(p) for p in plain])


def test_prints_follow_from_the_generator_and_need_no_photographs():
    first, again, other = (print_picture(np.random.default_rng(i), [], 64) for i in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_the_share_of_prints_is_as_asked_for(studio):
    for handle in studio.prints:
        assert handle not in studio.textures
    plain = replace(EMPTY, print_share=0.0)
    with_prints = replace(EMPTY, print_share=1.0)
    few = [sample_crop(np.random.default_rng(i), studio, plain).image for i in range(20)]
    many = [sample_crop(np.random.default_rng(i), studio, with_prints).image for i in range(20)]
    assert np.mean([edges(x) for x in many]) > 3 * np.mean([edges(x) for x in few])


def test_scenes_without_prints_do_not_depend_on_them():
    config = SceneConfig(models=MODELS, crop_size=96)
    images = []
    for prints in (0, 4):
        studio = Studio(load_objects(MODELS), pictures=8, prints=prints)
        crops = [sample_crop(np.random.default_rng(i), studio, config) for i in range(4)]
        images.append(np.stack([crop.image for crop in crops]))
    assert (images[0] == images[1]).all()


def test_a_studio_makes_what_its_scenes_need():
    objects = load_objects(MODELS)
    assert len(Studio.for_scenes(objects, EMPTY, 0).prints) == 0
    printed = Studio.for_scenes(objects, replace(EMPTY, print_share=0.5), 0)
    assert len(printed.prints) == len(printed.collages) > 0
    assert printed.prints.stop == len(printed.renderer.textures)
