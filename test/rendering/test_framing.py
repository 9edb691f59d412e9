"""Where random crops look: sizes, whole objects, and how many of them."""

from dataclasses import replace

import numpy as np
import pytest

from cope_training.rendering.framing import (
    Camera,
    first_center,
    most_objects,
    random_window,
    wanted_pixels,
)
from cope_training.rendering.scene_config import SceneConfig

CONFIG = SceneConfig(crop_size=320, focal_min=400.0, focal_max=600.0, size_min=65.0, size_max=260.0)
DIAMETER = 0.15  # m


def sizes(config: SceneConfig) -> np.ndarray:
    rng = np.random.default_rng(0)
    camera = random_window(rng, config)
    return np.array([first_center(rng, config, camera, DIAMETER, False)[1] for _ in range(2000)])


def test_sizes_are_distributed_by_their_power() -> None:
    """Of a size of 65 to 260 px the median is 130 for even logarithms, 162.5 for even sizes."""
    for exponent, median in ((0.0, 130.0), (1.0, 162.5), (2.0, np.sqrt((65**2 + 260**2) / 2))):
        drawn = sizes(replace(CONFIG, size_exponent=exponent))
        assert drawn.min() >= 65
        assert drawn.max() <= 260
        assert np.median(drawn) == pytest.approx(median, rel=0.04)


@pytest.mark.parametrize("whole", [True, False])
def test_whole_objects_lie_in_the_window(whole: bool) -> None:
    rng = np.random.default_rng(1)
    inside, others = [], []
    for _ in range(300):
        camera = random_window(rng, CONFIG)
        center, size = first_center(rng, CONFIG, camera, DIAMETER, whole)
        assert camera.focal * DIAMETER / center[2] == pytest.approx(size)
        pixel = (camera.K @ center / center[2])[:2]
        reach = np.r_[pixel - size / 2, 320 - pixel - size / 2].min()
        inside.append(reach > -1e-6 or size > 0.8 * 320)
        pixels = wanted_pixels(rng, camera, 5, size if whole else 0.0)
        others.append(np.r_[pixels, 320 - pixels].min() - min(size / 2, 0.4 * 320))
    assert np.mean(inside) == 1.0 if whole else 0.2 < np.mean(inside) < 0.6
    assert (min(others) >= -1e-6) == whole


def test_large_objects_are_fewer() -> None:
    camera = Camera(np.eye(3), (320, 320))
    assert most_objects(1.0, camera, 64.0) == 50  # 320 x 320 / (0.5 x 64 x 64)
    assert most_objects(1.0, camera, 128.0) == 12
    assert most_objects(0.5, camera, 128.0) == 6
    assert most_objects(0.1, camera, 300.0) == 2  # never one alone


def test_crops_are_covered_as_the_configuration_says(egl: None) -> None:
    from cope_training.rendering.scenes import sample_crop
    from cope_training.rendering.studio import Studio, load_objects

    crowd = replace(
        CONFIG, instances_min=20, instances_max=20, size_min=150.0, size_max=150.0,
        empty_share=0.0, occluder_share=0.0, clutter_max=0,
    )  # fmt: skip
    sparse = replace(crowd, coverage_max=1.2, whole_share=1.0)
    studio = Studio.for_scenes(load_objects(crowd.models, crowd.max_faces), crowd, 1)
    seen = {}
    for name, config in (("crowd", crowd), ("sparse", sparse)):
        frames = [sample_crop(np.random.default_rng(i), studio, config) for i in range(6)]
        shown = np.concatenate([frame.visibility for frame in frames])
        seen[name] = len(shown), (shown > 0.9).mean()
    # Of 20 objects of 150 px, half are left, and a larger share of them is whole.
    assert seen["crowd"][0] == 120
    assert seen["sparse"][0] <= 6 * most_objects(1.2, Camera(np.eye(3), (320, 320)), 150.0)
    assert seen["sparse"][1] > 1.5 * seen["crowd"][1]
