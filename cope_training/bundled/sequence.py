"""Makes the bundled camera sequence: crowded scenes of the demo objects, with ground truth.

Four arrangements come to rest under simulated gravity; a camera moves around each for three
seconds at 10 Hz. Table, tray, lights and seed are this module's own: the training never sees
them. ``python -m cope_training.bundled.sequence`` writes ``models/demo/sequence`` anew (minutes;
needs pybullet), ``python -m cope_training.bundled.sequence_depth`` then its depth images.
"""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cope_ros.core.catalogue import Catalogue
from cope_training.bundled.physics import Tray, drop
from cope_training.data.bop_writer import BopSceneWriter
from cope_training.data.frames import Frame
from cope_training.rendering.primitives import cuboid, sheet
from cope_training.rendering.renderer import Renderer
from cope_training.rendering.scene import Light, Lighting, Material, Placement, Rendering
from cope_training.rendering.studio import load_objects

SEED = 20230107
SIZE = (640, 480)
K = np.array([[472.0, 0.0, 318.4], [0.0, 471.2, 242.1], [0.0, 0.0, 1.0]])
FRAMES = 30  # per arrangement, at 10 Hz
JPEG_QUALITY = 88
DEPTH_SCALE = 1.0  # mm per unit of depth images: what their sensor resolves
DOME = 8  # lights that stand for the room's light from all sides


@dataclass(frozen=True)
class Arrangement:
    """What lies where, and how the camera moves around it."""

    counts: tuple[int, int, int]  # of carton, cup, box
    tray: Tray
    upright_share: float
    table: tuple[int, int, int]  # sRGB of its grain
    distance: tuple[float, float]  # m from the middle, first and last frame
    elevation: tuple[float, float]  # degrees above the table
    azimuth: tuple[float, float]  # degrees
    key: tuple[float, float, float]  # direction towards the main light, world
    warmth: float  # of that light, 0 white, positive reddish


ARRANGEMENTS = (
    Arrangement((3, 4, 3), Tray(0.62, 0.46, 0.0), 0.6, (168, 128, 92), (0.66, 0.60), (48, 40),
                (-30, 10), (0.5, -0.6, 1.0), 0.06),
    Arrangement((5, 6, 5), Tray(0.60, 0.44, 0.0), 0.3, (120, 124, 130), (0.72, 0.64), (62, 50),
                (60, 105), (-0.7, -0.2, 1.0), -0.03),
    Arrangement((8, 9, 7), Tray(0.56, 0.40, 0.09), 0.0, (214, 206, 190), (0.74, 0.68), (70, 58),
                (150, 195), (0.3, 0.8, 1.1), 0.02),
    Arrangement((13, 14, 13), Tray(0.62, 0.46, 0.12), 0.0, (92, 104, 88), (0.78, 0.70), (76, 62),
                (250, 300), (-0.4, 0.5, 1.2), 0.04),
)  # fmt: skip


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


def camera_path(plan: Arrangement, rng: np.random.Generator) -> list[np.ndarray]:
    """FRAMES poses T_cam_world on a slow arc, with the sway of a hand."""
    phase = rng.uniform(0, 2 * np.pi, 6)
    poses = []
    for i in range(FRAMES):
        s = i / (FRAMES - 1)
        s = s * s * (3 - 2 * s)
        sway = 0.006 * np.sin(2 * np.pi * i / 10 * np.array([0.7, 0.9, 0.6]) + phase[:3])
        distance = plan.distance[0] + s * (plan.distance[1] - plan.distance[0])
        elevation, azimuth = (
            np.deg2rad(a + s * (b - a)) for a, b in (plan.elevation, plan.azimuth)
        )
        flat = np.cos(elevation)
        way = np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])
        eye = distance * way + sway
        target = np.array([0.0, 0.0, 0.05]) + 0.5 * sway[::-1]
        poses.append(look_at(eye, target, 0.02 * np.sin(0.4 * i + phase[3])))
    return poses


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


class Set:
    """The room: renderer, table, tray and how a picture of them is taken."""

    def __init__(self, models: Path, rng: np.random.Generator) -> None:
        objects = load_objects(models)
        self.catalogue: Catalogue = objects.catalogue
        self.hulls = [
            np.unique(np.round(m.vertices, 4), axis=0).astype(float) for m in objects.meshes
        ]
        self.renderer = Renderer(objects.meshes, samples=4, taps=2)
        self._sheet = self.renderer.add_mesh(sheet(1.0))
        self._cuboid = self.renderer.add_mesh(cuboid())
        self._tables = [self.renderer.add_texture(grain(rng, a.table)) for a in ARRANGEMENTS]
        self._floor = self.renderer.add_texture(grain(rng, (96, 92, 90)))

    def furniture(self, index: int, T_cam_world: np.ndarray) -> list[Placement]:
        """Floor, table and tray of an arrangement."""
        top = np.diag([1.7, 1.3, 1.0, 1.0])
        floor = np.diag([14.0, 14.0, 1.0, 1.0])
        floor[2, 3] = -0.75
        matt = Material(specular=0.02, texture=self._tables[index])
        parts = [
            Placement(self._sheet, T_cam_world @ top, matt, casts_shadow=False),
            Placement(self._sheet, T_cam_world @ floor, Material(texture=self._floor), False),
        ]
        blue = Material(np.array([0.10, 0.16, 0.26]), 0.12, 40.0)
        for center, extent in ARRANGEMENTS[index].tray.walls():
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
        plan = ARRANGEMENTS[index]
        furniture = self.furniture(index, T_cam_world)
        R = T_cam_world[:3, :3]
        total = np.zeros((SIZE[1], SIZE[0], 3))
        lights = [(np.array(plan.key), 0.66, plan.warmth, 0.06)]
        lights += [(way, 1.1 / DOME, -0.02, 0.0) for way in dome(DOME)]
        for way, strength, warmth, fill in lights:
            color = strength * np.exp(warmth * np.array([1.0, 0.0, -1.0]))
            lamp = Light(np.append(R @ (way / np.linalg.norm(way)), 0.0), color * HEADROOM)
            low = np.full(3, fill * HEADROOM)
            lighting = Lighting((lamp,), R[:, 2], low, low, shadow=1.0)
            picture = self.renderer.picture([*instances, *furniture], K, SIZE, lighting)
            total += (picture.astype(float) / 255.0) ** 2 / HEADROOM
        drawn = self.renderer.render(instances, K, SIZE, clutter=furniture)
        return np.rint(np.sqrt(np.clip(total, 0, 1)) * 255).astype(np.uint8), drawn


HEADROOM = 1.4  # single lights are drawn this much brighter, for fewer steps in the dark


def dome(count: int) -> list[np.ndarray]:
    """Directions on the upper half of a ball, evenly spread by the golden angle."""
    ways = []
    for i in range(count):
        z = (i + 0.5) / count * 0.95 + 0.05
        angle = i * np.pi * (3 - np.sqrt(5))
        ways.append(np.array([np.cos(angle), np.sin(angle), 0.0]) * np.sqrt(1 - z * z) + [0, 0, z])
    return ways


def make_sequence(models: Path, folder: Path, limit: int = FRAMES) -> None:
    """Writes all arrangements as one BOP scene folder, and camera.json beside it."""
    os.environ.setdefault("LP_NUM_THREADS", "1")
    rng = np.random.default_rng(SEED)
    room = Set(models, rng)
    writer = BopSceneWriter(folder / "000001", room.catalogue, JPEG_QUALITY)
    for index, plan in enumerate(ARRANGEMENTS):
        classes = rng.permutation(np.repeat(np.arange(3), plan.counts))
        T_world_obj = drop(rng, [room.hulls[c] for c in classes], plan.tray, plan.upright_share)
        materials = [
            Material(np.exp(rng.normal(0, 0.03, 3)), 0.07 if c else 0.12, 35.0) for c in classes
        ]
        for T_cam_world in camera_path(plan, rng)[:limit]:
            instances = [
                Placement(int(c), T_cam_world @ T, material)
                for c, T, material in zip(classes, T_world_obj, materials, strict=True)
            ]
            image, drawn = room.take(index, instances, T_cam_world)
            poses = np.array([p.T_cam_obj for p in instances])
            noise = rng.normal(0, 1.6, image.shape) + rng.normal(0, 1.2, (*image.shape[:2], 1))
            image = np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)
            frame = Frame(
                image, K, classes.astype(np.int64), poses, drawn.visibility,
                drawn.instance_map, drawn.boxes,
            )  # fmt: skip
            writer.add(frame, drawn.pixels, T_cam_world=T_cam_world)
    writer.close()
    camera = {"fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2]}
    camera |= {"width": SIZE[0], "height": SIZE[1], "depth_scale": DEPTH_SCALE}
    (folder / "camera.json").write_text(json.dumps(camera, indent=2) + "\n")


def main() -> None:
    """Command line: makes the bundled demo sequence."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--models", type=Path, default=Path("models/demo"))
    parser.add_argument("--out", type=Path, default=Path("models/demo/sequence"))
    parser.add_argument("--frames", type=int, default=FRAMES, help="per arrangement, at most 30")
    options = parser.parse_args()
    make_sequence(options.models, options.out, options.frames)


if __name__ == "__main__":
    main()
