"""Scenes of any objects at rest, as a BOP set of whole images: what trainings are validated on.

They share neither seed nor arrangement, table, light, camera or view with the bundled sequence or
with what trainings render. ``python -m cope_training.rendering.resting_scenes OUT --models
models/mine`` writes such a set; needs mujoco.
"""

import argparse
import os
from pathlib import Path

import numpy as np

from cope_training.data.bop_writer import BopSceneWriter
from cope_training.rendering.room import Arrangement, Camera, Room, look_at, write_camera
from cope_training.rendering.settling import TYPICAL, settle
from cope_training.rendering.studio import load_objects
from cope_training.rendering.tray import Tray

SEED = 711
SIZE = (640, 480)
SCENES = 8
VIEWS = 3  # of each scene
INSTANCES = (10, 40)  # of a scene
FOCAL = (430.0, 640.0)  # px
ELEVATION = (30.0, 80.0)  # degrees above the table
JPEG_QUALITY = 90
SPLIT = "validation"


def make_scenes(models: Path, folder: Path, scenes: int, views: int, seed: int) -> None:
    """Writes ``folder/validation/00000n`` for each scene, each with a camera of its own.

    Lengths follow the objects' median diameter; how they are seen does not depend on it.

    Raises:
        CopeError: a mesh is missing or broken, or MuJoCo is.
    """
    os.environ.setdefault("LP_NUM_THREADS", "1")
    objects = load_objects(models)
    unit = float(np.median([item.diameter for item in objects.catalogue])) / TYPICAL
    for scene in range(scenes):
        rng = np.random.default_rng([seed, scene])
        focal = float(rng.uniform(*FOCAL))
        middle = np.array(SIZE) / 2.0 + rng.normal(0.0, 4.0, 2)
        K = np.array([[focal, 0.0, middle[0]], [0.0, focal, middle[1]], [0.0, 0.0, 1.0]])
        camera = Camera(K, SIZE)
        plan = random_arrangement(rng, len(objects.catalogue))
        room = Room(objects, (plan,), camera, rng, unit)
        path = folder / SPLIT / f"{scene + 1:06d}"
        writer = BopSceneWriter(path, room.catalogue, JPEG_QUALITY)
        cameras = [random_view(rng, plan.tray, focal) for _ in range(views)]
        room.record(0, cameras, writer, rng, settle)
        writer.close()
        write_camera(folder / "camera.json", camera, 1.0)


def random_arrangement(rng: np.random.Generator, classes: int) -> Arrangement:
    """Objects of all classes on a table or in a tray, under one lamp."""
    total = int(rng.integers(INSTANCES[0], INSTANCES[1] + 1))
    counts = rng.multinomial(total, rng.dirichlet(np.full(classes, 4.0)))
    side = float(np.sqrt(total / 25.0))  # m: crowds need room
    tray = Tray(
        float(np.clip(0.62 * side, 0.4, 0.8)),
        float(np.clip(0.48 * side, 0.34, 0.6)),
        float(rng.choice([0.0, 0.0, 0.08, 0.12])),
    )
    x, y, z = rng.uniform(-0.9, 0.9), rng.uniform(-0.9, 0.9), rng.uniform(0.7, 1.3)
    red, green, blue = np.clip(rng.integers(60, 220) + rng.integers(-30, 31, 3), 20, 240)
    return Arrangement(
        tuple(int(n) for n in counts),
        tray,
        float(rng.choice([0.0, 0.3, 0.7])),
        (int(red), int(green), int(blue)),
        (float(x), float(y), float(z)),
        float(rng.normal(0.0, 0.04)),
    )


def random_view(rng: np.random.Generator, tray: Tray, focal: float) -> np.ndarray:
    """(4, 4) T_cam_world of a camera that has most of the objects in view."""
    distance = focal * max(tray.width, 0.5) / (SIZE[0] * rng.uniform(0.75, 1.15))
    elevation = np.deg2rad(rng.uniform(*ELEVATION))
    azimuth = rng.uniform(0.0, 2.0 * np.pi)
    flat = np.cos(elevation)
    way = np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])
    target = np.append(rng.normal(0.0, 0.03, 2), 0.04)
    return look_at(target + max(distance, 0.42) * way, target, rng.normal(0.0, 0.06))


def main() -> None:
    """Command line: makes a validation set."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("out", type=Path, help="data set folder to write")
    parser.add_argument("--models", type=Path, default=Path("models/demo"))
    parser.add_argument("--scenes", type=int, default=SCENES, help="(default: %(default)s)")
    parser.add_argument("--views", type=int, default=VIEWS, help="of each (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="(default: %(default)s)")
    options = parser.parse_args()
    make_scenes(options.models, options.out, options.scenes, options.views, options.seed)


if __name__ == "__main__":
    main()
