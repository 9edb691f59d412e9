"""Ambient occlusion: gaps are darker, nothing else is."""

from dataclasses import replace

import numpy as np

from cope_training.rendering.ambient_occlusion import with_ambient_occlusion
from cope_training.rendering.scene_config import SceneConfig

FOCAL, SIZE = 500.0, 0.1  # px, m: 50 px large at a metre
GREY = np.full((120, 160, 3), 128, np.uint8)


def shaded(depth: np.ndarray, strength: float = 0.8) -> np.ndarray:
    return with_ambient_occlusion(GREY, depth, FOCAL, SIZE, strength)[..., 0].astype(int)


def test_even_ground_keeps_its_light() -> None:
    assert (shaded(np.full((120, 160), 1.0)) == 128).all()
    slope = np.tile(np.linspace(1.0, 1.4, 120)[:, None], (1, 160))
    inner = shaded(slope)[20:100]
    assert inner.min() > 128 * 0.95


def test_a_gap_is_dark_and_its_rims_are_not() -> None:
    depth = np.full((120, 160), 1.0)
    depth[:, 76:84] = 1.03  # 8 px wide, 3 cm deep
    image = shaded(depth)
    assert image[:, 78:82].max() < 100
    assert image[:, :60].min() == 128
    assert (image[:, 76:84] < image[:, 64:72].min()).all()
    light = (image / 128.0) ** 2  # at least a fifth of it is left
    assert light.min() >= 0.19


def test_the_background_picture_keeps_its_light() -> None:
    depth = np.zeros((120, 160))
    depth[40:80, 60:100] = 1.0
    depth[58:62, 60:100] = 1.02
    image = shaded(depth)
    away = depth == 0
    away[37:83, 57:103] = False
    assert (image[away] == 128).all()
    assert image[60, 80] < 120
    assert (shaded(np.zeros((120, 160))) == 128).all()


def test_what_lies_far_behind_is_light_again() -> None:
    near, far = np.full((120, 160), 1.0), np.full((120, 160), 1.0)
    near[:, 80:], far[:, 80:] = 1.05, 1.6
    assert shaded(near)[60, 82] < 115
    assert shaded(far)[60, 82] > shaded(near)[60, 82]


def test_crops_have_it_where_it_is_asked_for(egl: None) -> None:
    from cope_training.rendering.scenes import sample_crop
    from cope_training.rendering.studio import Studio, load_objects

    never = SceneConfig(
        crop_size=160, instances_min=8, instances_max=8, photograph_share=0.0, ground_share=1.0,
        occlusion_share=1e-12,
    )  # fmt: skip
    always = replace(never, occlusion_share=1.0)
    studio = Studio.for_scenes(load_objects(never.models, never.max_faces), never, 1)
    darker = []
    for i in range(4):
        frames = [sample_crop(np.random.default_rng(i), studio, c) for c in (never, always)]
        assert np.array_equal(frames[0].T_cam_obj, frames[1].T_cam_obj)
        darker.append(np.subtract(*(frame.image.astype(int) for frame in frames)).mean())
    assert min(darker) > 0.5
