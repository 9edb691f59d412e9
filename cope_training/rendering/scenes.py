"""Random training images: crops for training, whole images of piles (IC-BIN syn).

Everything is drawn anew for each image: camera, objects, poses, lights, materials, ground,
clutter, background (domain randomisation). Photometric noise is added later, on tensors.
"""

from dataclasses import dataclass, replace

import numpy as np

from cope_training.data.frames import Frame
from cope_training.rendering import placement
from cope_training.rendering.ambient_occlusion import with_ambient_occlusion
from cope_training.rendering.clutter import clutter_material, printed, solid
from cope_training.rendering.framing import (
    Camera,
    first_center,
    most_objects,
    random_camera,
    random_window,
    wanted_pixels,
)
from cope_training.rendering.illumination import (
    random_clutter_material,
    random_lighting,
    random_material,
    with_occlusion,
)
from cope_training.rendering.scene import Lighting, Placement, Rendering
from cope_training.rendering.scene_config import SceneConfig
from cope_training.rendering.studio import Studio
from cope_training.rendering.textures import random_crop


@dataclass(frozen=True)
class Shot:
    """Everything that one image is drawn from."""

    K: np.ndarray  # (3, 3)
    size: tuple[int, int]  # width, height
    class_index: np.ndarray  # (N,) int64
    instances: list[Placement]  # N known objects
    clutter: list[Placement]
    lighting: Lighting
    background: np.ndarray  # (H, W, 3) uint8


def take(studio: Studio, shot: Shot) -> tuple[Frame, Rendering]:
    """Draws a shot; the rendering also has depth and pixel counts."""
    drawn = studio.renderer.render(
        shot.instances, shot.K, shot.size, shot.lighting, shot.clutter, shot.background
    )
    if shot.lighting.occlusion and len(shot.class_index):
        size = float(np.mean([studio.catalogue[int(c)].diameter for c in shot.class_index]))
        focal, strength = float(shot.K[0, 0]), shot.lighting.occlusion
        image = with_ambient_occlusion(drawn.image, drawn.depth, focal, size, strength)
        drawn = replace(drawn, image=image)
    poses = np.array([p.T_cam_obj for p in shot.instances], dtype=np.float64).reshape(-1, 4, 4)
    frame = Frame(
        drawn.image, shot.K, shot.class_index, poses, drawn.visibility, drawn.instance_map,
        drawn.boxes, drawn.depth,
    )  # fmt: skip
    return frame, drawn


def sample_crop(rng: np.random.Generator, studio: Studio, config: SceneConfig) -> Frame:
    """A small window of a virtual camera's image, its principal point shifted exactly."""
    window = random_window(rng, config)
    count = int(rng.integers(config.instances_min, config.instances_max + 1))
    return take(studio, _compose(rng, studio, config, window, count, config.coverage_max))[0]


def sample_scene(
    rng: np.random.Generator, studio: Studio, config: SceneConfig, n_instances: int
) -> Frame:
    """A whole image with ``n_instances`` objects, all of them listed, hidden ones too."""
    return take(studio, compose_scene(rng, studio, config, n_instances))[0]


def compose_scene(
    rng: np.random.Generator, studio: Studio, config: SceneConfig, n_instances: int
) -> Shot:
    """What ``sample_scene`` draws."""
    return _compose(rng, studio, config, random_camera(rng, config), n_instances)


def _compose(
    rng: np.random.Generator,
    studio: Studio,
    config: SceneConfig,
    camera: Camera,
    count: int,
    coverage: float = 0.0,
) -> Shot:
    """Arranges an image of ``count`` objects; one that is to stay empty keeps its clutter.

    Args:
        coverage: more objects than cover this share of the image are left out; 0: none.
    """
    classes = rng.integers(len(studio.catalogue), size=max(count, 1))
    if rng.random() < config.same_class_share:
        classes[:] = classes[0]
    whole = bool(config.whole_share) and rng.random() < config.whole_share
    diameter = studio.catalogue[int(classes[0])].diameter
    first, size = first_center(rng, config, camera, diameter, whole)
    if coverage:
        classes = classes[: most_objects(coverage, camera, size)]
    # What is placed are the middles of the boxes: origins may lie anywhere.
    middle = np.array([studio.catalogue[c].box_center for c in classes])
    pixels = wanted_pixels(rng, camera, len(classes), size if whole else 0.0)
    ground: list[Placement] = []
    if rng.random() < config.resting_share:
        low, high = np.deg2rad([config.elevation_min, config.elevation_max])
        roll_sigma = np.deg2rad(config.roll_sigma)
        R_cam_table = placement.table_frame(rng, rng.uniform(low, high), roll_sigma)
        vertices = [studio.vertices[c] - m for c, m in zip(classes, middle, strict=True)]
        poses, T_cam_ground = placement.resting(
            rng, first, pixels, vertices, camera.K, R_cam_table, config.upright_share
        )
        ground.append(_ground(rng, studio, config, T_cam_ground))
    else:
        radii = np.array([0.5 * studio.catalogue[c].diameter for c in classes])
        poses = placement.heap(rng, first, pixels, radii, camera.K, config.depth_sigma)
        T_cam_ground = _far_ground(rng, poses, radii)
        if rng.random() < config.ground_share:
            ground.append(_ground(rng, studio, config, T_cam_ground))
    near = poses[:, 2, 3] > 0.1
    poses[:, :3, 3] -= (poses[:, :3, :3] @ middle[:, :, None])[:, :, 0]
    keep = near if rng.random() >= config.empty_share else np.zeros_like(near)
    classes, poses = classes[keep][:count], poses[keep][:count]
    clutter = ground + _clutter(rng, studio, config, camera, first)
    instances = [
        Placement(_shape(rng, studio.shapes[c]), pose, random_material(rng, config))
        for c, pose in zip(classes, poses, strict=True)
    ]
    lighting = random_lighting(rng, T_cam_ground[:3, 2], first)
    return Shot(
        K=camera.K,
        size=camera.size,
        class_index=classes.astype(np.int64),
        instances=instances,
        clutter=clutter,
        lighting=with_occlusion(rng, lighting, config),
        background=_background(rng, studio, config, camera.size),
    )


def _far_ground(rng: np.random.Generator, poses: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """(4, 4) T_cam_ground of a plane behind all objects, roughly facing the camera."""
    up = np.array([0.0, -rng.uniform(0.0, 0.9), -1.0]) + rng.normal(0, 0.15, 3)
    up /= np.linalg.norm(up)
    deepest = min(float(t @ up - r) for t, r in zip(poses[:, :3, 3], radii, strict=True))
    T = np.eye(4)
    side = np.cross(up, [0.3, 1.0, 0.2])
    side /= np.linalg.norm(side)
    T[:3, :3] = np.stack([side, np.cross(up, side), up], axis=1)
    T[:3, 3] = up * deepest + T[:3, :2] @ rng.normal(0, 0.1, 2)
    return T


def _shape(rng: np.random.Generator, handles: range) -> int:
    return handles.start if len(handles) == 1 else int(rng.choice(handles))


def _ground(
    rng: np.random.Generator, studio: Studio, config: SceneConfig, T_cam_ground: np.ndarray
) -> Placement:
    """A large textured plane at z = 0 of the given frame."""
    has_print = printed(rng, config)
    sheets = studio.printed_sheets if has_print else studio.sheets
    side = rng.uniform(3.0, 8.0)
    T = T_cam_ground @ np.diag([side, side, 1.0, 1.0])
    mesh = sheets[rng.integers(len(sheets))]
    textures = studio.prints if has_print else studio.textures
    return Placement(mesh, T, random_clutter_material(rng, textures), casts_shadow=False)


def _clutter(
    rng: np.random.Generator,
    studio: Studio,
    config: SceneConfig,
    camera: Camera,
    first: np.ndarray,
) -> list[Placement]:
    """Unknown solids among the objects, and by chance a cut-out in front of the first."""
    window = camera.size[0] * camera.size[1] / config.crop_size**2
    count = int(rng.integers(0, config.clutter_max * max(1, int(np.sqrt(window))) + 1))
    placed = []
    for pixel in wanted_pixels(rng, camera, count):
        depth = first[2] * np.exp(rng.normal(0.15, 0.2))
        T = np.eye(4)
        extent = np.exp(rng.uniform(np.log(0.04), np.log(0.22))) * np.exp(rng.normal(0, 0.35, 3))
        T[:3, :3] = placement.random_rotation(rng) * extent
        T[:3, 3] = placement.rays(pixel[None], camera.K)[0] * depth
        placed += solid(rng, studio, config, T)
    if rng.random() < config.occluder_share:
        depth = rng.uniform(0.6, 0.85)
        T = np.eye(4)
        T[:3, :3] = placement.random_rotation(rng) * rng.uniform(0.04, 0.14)
        T[:3, 3] = first * depth + rng.normal(0, 0.05, 3) * [1, 1, 0]
        mesh = studio.flakes[rng.integers(len(studio.flakes))]
        placed.append(Placement(mesh, T, clutter_material(rng, studio, config)))
    return placed


def _background(
    rng: np.random.Generator, studio: Studio, config: SceneConfig, size: tuple[int, int]
) -> np.ndarray:
    if printed(rng, config):
        return random_crop(rng, studio.collages[rng.integers(len(studio.collages))], size)
    photograph = studio.photographs and rng.random() < config.photograph_share
    pool = studio.photographs if photograph else studio.pictures
    return random_crop(rng, pool[rng.integers(len(pool))], size)
