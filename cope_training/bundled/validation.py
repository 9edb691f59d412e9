"""A validation set for the demo's trainings: whole images of random arrangements at rest.

``python -m cope_training.bundled.validation OUT`` writes a BOP set of scenes that share neither
seed nor arrangement, table, light, camera or view with the bundled sequence or with what trainings
render. Settings are chosen on it, the bundled sequence is looked at once they are. Needs pybullet.
"""

import argparse
import os
from pathlib import Path

import numpy as np

from cope_ros.core.catalogue import Catalogue
from cope_training.bundled.physics import Tray
from cope_training.bundled.room import Arrangement, Camera, Room, look_at, write_camera
from cope_training.data.bop_writer import BopSceneWriter

SEED = 711
SIZE = (640, 480)
SCENES = 20
VIEWS = 5  # of each scene
INSTANCES = (10, 40)  # of a scene
FOCAL = (430.0, 640.0)  # px
ELEVATION = (30.0, 80.0)  # degrees above the table
JPEG_QUALITY = 90


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


def make_validation(models: Path, folder: Path, scenes: int, seed: int) -> None:
    """Writes ``folder/validation/00000n`` for each scene, each with a camera of its own."""
    os.environ.setdefault("LP_NUM_THREADS", "1")
    classes = len(Catalogue.from_models_info(models / "models_info.json"))
    for scene in range(scenes):
        rng = np.random.default_rng([seed, scene])
        focal = float(rng.uniform(*FOCAL))
        middle = np.array(SIZE) / 2.0 + rng.normal(0.0, 4.0, 2)
        K = np.array([[focal, 0.0, middle[0]], [0.0, focal, middle[1]], [0.0, 0.0, 1.0]])
        camera = Camera(K, SIZE)
        plan = random_arrangement(rng, classes)
        room = Room(models, (plan,), camera, rng)
        path = folder / "validation" / f"{scene + 1:06d}"
        writer = BopSceneWriter(path, room.catalogue, JPEG_QUALITY)
        views = [random_view(rng, plan.tray, focal) for _ in range(VIEWS)]
        room.record(0, views, writer, rng)
        writer.close()
        write_camera(folder / "camera.json", camera, 1.0)
        print(f"scene {scene + 1} of {scenes}: {sum(plan.counts)} objects", flush=True)


def main() -> None:
    """Command line: makes the validation set."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("out", type=Path, help="data set folder to write")
    parser.add_argument("--models", type=Path, default=Path("models/demo"))
    parser.add_argument("--scenes", type=int, default=SCENES, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="(default: %(default)s)")
    options = parser.parse_args()
    make_validation(options.models, options.out, options.scenes, options.seed)


if __name__ == "__main__":
    main()
