"""A simulated room: objects at rest on a table or in a tray, and pictures of them.

Tables, trays and lights are this module's own: the trainings never see them.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cope_ros.core.catalogue import Catalogue
from cope_training.data.bop_writer import BopSceneWriter
from cope_training.data.frames import Frame
from cope_training.rendering.primitives import cuboid, sheet
from cope_training.rendering.renderer import Renderer
from cope_training.rendering.scene import Light, Lighting, Material, Placement, Rendering
from cope_training.rendering.studio import ObjectSet
from cope_training.rendering.tray import Tray

DOME = 8  # lights that stand for the room's light from all sides
BELOW = -0.1  # m: what lies lower has rolled off the table
HEADROOM = 1.4  # single lights are drawn this much brighter, for fewer steps in the dark

# (rng, hulls, tray, upright share) -> (N, 4, 4) T_world_obj of objects at rest
Drop = Callable[[np.random.Generator, Sequence[np.ndarray], Tray, float], np.ndarray]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera."""

    K: np.ndarray  # (3, 3) px
    size: tuple[int, int]  # px, width and height


@dataclass(frozen=True)
class Arrangement:
    """What lies where, and under which light."""

    counts: tuple[int, ...]  # of each class
    tray: Tray
    upright_share: float
    table: tuple[int, int, int]  # sRGB of its grain
    key: tuple[float, float, float]  # direction towards the main light, world
    warmth: float  # of that light, 0 white, positive reddish


def look_at(eye: np.ndarray, target: np.ndarray, roll: float = 0.0) -> np.ndarray:
    """(4, 4) T_cam_world of a camera at ``eye`` (world, z up) that looks at ``target``."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    right, down = (
        np.cos(roll) * right + np.sin(roll) * down,
        np.cos(roll) * down - np.sin(roll) * right,
    )
    T = np.eye(4)
    T[:3, :3] = np.stack([right, down, forward])
    T[:3, 3] = -T[:3, :3] @ eye
    return T


def grain(rng: np.random.Generator, color: Sequence[int], side: int = 512) -> np.ndarray:
    """A tabletop: long streaks of noise around a colour, (side, side, 3) uint8."""
    streaks = np.zeros((side, side))
    for cells, length, weight in ((160, 3, 0.5), (60, 2, 0.8), (14, 3, 1.0)):
        coarse = rng.standard_normal((cells, length + 1))
        rows = np.linspace(0, cells - 1, side)
        columns = np.linspace(0, length, side)
        low = np.floor(columns).astype(int).clip(0, length - 1)
        share = columns - low
        along = coarse[:, low] * (1 - share) + coarse[:, low + 1] * share
        streaks += weight * along[np.rint(rows).astype(int)]
    fine = rng.standard_normal((side, side))
    tone = 1.0 + 0.05 * streaks + 0.025 * fine
    return np.clip(np.array(color) * tone[..., None], 0, 255).astype(np.uint8)


class Room:
    """Renderer, tables, trays and how pictures of them are taken.

    Args:
        objects: the known ones; several rooms may share them.
        arrangements: what there will be to see.
        camera: that sees it.
        rng: of the surfaces' grain.
        unit: m, what one metre of the room is: large objects have a large room.
    """

    def __init__(
        self,
        objects: ObjectSet,
        arrangements: Sequence[Arrangement],
        camera: Camera,
        rng: np.random.Generator,
        unit: float = 1.0,
    ) -> None:
        self.arrangements, self.camera, self.unit = arrangements, camera, unit
        self.catalogue: Catalogue = objects.catalogue
        self.hulls = [
            np.unique(np.round(m.vertices, 4), axis=0).astype(float) / unit for m in objects.meshes
        ]
        self.renderer = Renderer(objects.meshes, samples=4, taps=2)
        self._sheet = self.renderer.add_mesh(sheet(1.0))
        self._cuboid = self.renderer.add_mesh(cuboid())
        self._tables = [self.renderer.add_texture(grain(rng, a.table)) for a in arrangements]
        self._floor = self.renderer.add_texture(grain(rng, (96, 92, 90)))

    def furniture(self, index: int, T_cam_world: np.ndarray) -> list[Placement]:
        """Floor, table and tray of an arrangement, in metres of the camera."""
        T_cam_world = np.diag([self.unit, self.unit, self.unit, 1.0]) @ T_cam_world
        top = np.diag([1.7, 1.3, 1.0, 1.0])
        floor = np.diag([14.0, 14.0, 1.0, 1.0])
        floor[2, 3] = -0.75
        matt = Material(specular=0.02, texture=self._tables[index])
        parts = [
            Placement(self._sheet, T_cam_world @ top, matt, casts_shadow=False),
            Placement(self._sheet, T_cam_world @ floor, Material(texture=self._floor), False),
        ]
        blue = Material(np.array([0.10, 0.16, 0.26]), 0.12, 40.0)
        for center, extent in self.arrangements[index].tray.walls():
            T = np.eye(4)
            T[:3, :3], T[:3, 3] = np.diag(extent), center
            parts.append(Placement(self._cuboid, T_cam_world @ T, blue))
        return parts

    def take(
        self, index: int, instances: list[Placement], T_cam_world: np.ndarray
    ) -> tuple[np.ndarray, Rendering]:
        """The picture, (H, W, 3) uint8, and the labels of one frame.

        The light from all sides is a sum of distant lights, each with its shadow, so that
        corners and gaps between objects are dark as in a room.
        """
        plan, K, size = self.arrangements[index], self.camera.K, self.camera.size
        furniture = self.furniture(index, T_cam_world)
        R = T_cam_world[:3, :3]
        total = np.zeros((size[1], size[0], 3))
        lights = [(np.array(plan.key), 0.66, plan.warmth, 0.06)]
        lights += [(way, 1.1 / DOME, -0.02, 0.0) for way in dome(DOME)]
        for way, strength, warmth, fill in lights:
            color = strength * np.exp(warmth * np.array([1.0, 0.0, -1.0]))
            lamp = Light(np.append(R @ (way / np.linalg.norm(way)), 0.0), color * HEADROOM)
            low = np.full(3, fill * HEADROOM)
            lighting = Lighting((lamp,), R[:, 2], low, low, shadow=1.0)
            picture = self.renderer.picture([*instances, *furniture], K, size, lighting)
            total += (picture.astype(float) / 255.0) ** 2 / HEADROOM
        drawn = self.renderer.render(instances, K, size, clutter=furniture)
        return np.rint(np.sqrt(np.clip(total, 0, 1)) * 255).astype(np.uint8), drawn

    def record(
        self,
        index: int,
        cameras: Iterable[np.ndarray],
        writer: BopSceneWriter,
        rng: np.random.Generator,
        drop: Drop,
    ) -> None:
        """Drops the objects of an arrangement and writes what cameras see of them.

        Args:
            index: of the arrangement.
            cameras: (4, 4) T_cam_world of each image, in metres of the room.
            writer: takes the images and their ground truth.
            rng: of classes, drop, materials and noise.
            drop: lets the objects come to rest; what rolled off the table is left out.
        """
        plan = self.arrangements[index]
        classes = rng.permutation(np.repeat(np.arange(len(plan.counts)), plan.counts))
        T_world_obj = drop(rng, [self.hulls[c] for c in classes], plan.tray, plan.upright_share)
        lying = T_world_obj[:, 2, 3] > BELOW
        classes, T_world_obj = classes[lying], T_world_obj[lying]
        materials = [
            Material(np.exp(rng.normal(0, 0.03, 3)), 0.07 if c else 0.12, 35.0) for c in classes
        ]
        for T_cam_world in cameras:
            instances = [
                Placement(int(c), self._in_metres(T_cam_world @ T), material)
                for c, T, material in zip(classes, T_world_obj, materials, strict=True)
            ]
            image, drawn = self.take(index, instances, T_cam_world)
            poses = np.array([p.T_cam_obj for p in instances])
            noise = rng.normal(0, 1.6, image.shape) + rng.normal(0, 1.2, (*image.shape[:2], 1))
            image = np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)
            frame = Frame(
                image, self.camera.K, classes.astype(np.int64), poses, drawn.visibility,
                drawn.instance_map, drawn.boxes,
            )  # fmt: skip
            writer.add(frame, drawn.pixels, T_cam_world=self._in_metres(T_cam_world))

    def _in_metres(self, T: np.ndarray) -> np.ndarray:
        """A pose (4, 4) of the room with its position in metres."""
        T = T.copy()
        T[:3, 3] *= self.unit
        return T


def dome(count: int) -> list[np.ndarray]:
    """Directions on the upper half of a ball, evenly spread by the golden angle."""
    ways = []
    for i in range(count):
        z = (i + 0.5) / count * 0.95 + 0.05
        angle = i * np.pi * (3 - np.sqrt(5))
        ways.append(np.array([np.cos(angle), np.sin(angle), 0.0]) * np.sqrt(1 - z * z) + [0, 0, z])
    return ways


def write_camera(path: Path, camera: Camera, depth_scale: float) -> None:
    """BOP's camera.json; ``depth_scale`` is in mm per unit of depth images."""
    K, size = camera.K, camera.size
    data = {"fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2]}
    data |= {"width": size[0], "height": size[1], "depth_scale": depth_scale}
    path.write_text(json.dumps(data, indent=2) + "\n")
