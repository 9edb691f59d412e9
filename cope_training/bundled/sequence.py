"""Makes the bundled camera sequence: crowded scenes of the demo objects, with ground truth.

Four arrangements come to rest under simulated gravity; a camera moves around each for three
seconds at 10 Hz. Table, tray, lights and seed are this module's own: the training never sees
them. ``python -m cope_training.bundled.sequence`` writes ``models/demo/sequence`` anew (minutes;
needs pybullet), ``python -m cope_training.bundled.sequence_depth`` then its depth images.
"""

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cope_training.bundled.physics import drop
from cope_training.data.bop_writer import BopSceneWriter
from cope_training.rendering.room import Arrangement, Camera, Room, look_at, write_camera
from cope_training.rendering.studio import load_objects
from cope_training.rendering.tray import Tray

SEED = 20230107
SIZE = (640, 480)
K = np.array([[472.0, 0.0, 318.4], [0.0, 471.2, 242.1], [0.0, 0.0, 1.0]])
FRAMES = 30  # per arrangement, at 10 Hz
JPEG_QUALITY = 88
DEPTH_SCALE = 1.0  # mm per unit of depth images: what their sensor resolves


@dataclass(frozen=True)
class Arc:
    """How the camera moves around an arrangement, from the first frame to the last."""

    distance: tuple[float, float]  # m from the middle
    elevation: tuple[float, float]  # degrees above the table
    azimuth: tuple[float, float]  # degrees


ARRANGEMENTS = (
    Arrangement((3, 4, 3), Tray(0.62, 0.46, 0.0), 0.6, (168, 128, 92), (0.5, -0.6, 1.0), 0.06),
    Arrangement((5, 6, 5), Tray(0.60, 0.44, 0.0), 0.3, (120, 124, 130), (-0.7, -0.2, 1.0), -0.03),
    Arrangement((8, 9, 7), Tray(0.56, 0.40, 0.09), 0.0, (214, 206, 190), (0.3, 0.8, 1.1), 0.02),
    Arrangement((13, 14, 13), Tray(0.62, 0.46, 0.12), 0.0, (92, 104, 88), (-0.4, 0.5, 1.2), 0.04),
)
ARCS = (
    Arc((0.66, 0.60), (48, 40), (-30, 10)),
    Arc((0.72, 0.64), (62, 50), (60, 105)),
    Arc((0.74, 0.68), (70, 58), (150, 195)),
    Arc((0.78, 0.70), (76, 62), (250, 300)),
)


def camera_path(arc: Arc, rng: np.random.Generator) -> list[np.ndarray]:
    """FRAMES poses T_cam_world on a slow arc, with the sway of a hand."""
    phase = rng.uniform(0, 2 * np.pi, 6)
    poses = []
    for i in range(FRAMES):
        s = i / (FRAMES - 1)
        s = s * s * (3 - 2 * s)
        sway = 0.006 * np.sin(2 * np.pi * i / 10 * np.array([0.7, 0.9, 0.6]) + phase[:3])
        distance = arc.distance[0] + s * (arc.distance[1] - arc.distance[0])
        elevation, azimuth = (np.deg2rad(a + s * (b - a)) for a, b in (arc.elevation, arc.azimuth))
        flat = np.cos(elevation)
        way = np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])
        eye = distance * way + sway
        target = np.array([0.0, 0.0, 0.05]) + 0.5 * sway[::-1]
        poses.append(look_at(eye, target, 0.02 * np.sin(0.4 * i + phase[3])))
    return poses


def make_sequence(models: Path, folder: Path, limit: int = FRAMES) -> None:
    """Writes all arrangements as one BOP scene folder, and camera.json beside it."""
    os.environ.setdefault("LP_NUM_THREADS", "1")
    rng = np.random.default_rng(SEED)
    camera = Camera(K, SIZE)
    room = Room(load_objects(models, max_faces=0), ARRANGEMENTS, camera, rng)
    writer = BopSceneWriter(folder / "000001", room.catalogue, JPEG_QUALITY)

    def cameras(arc: Arc) -> Iterator[np.ndarray]:
        # Drawn when the objects lie: the sequence's numbers come in this order.
        yield from camera_path(arc, rng)[:limit]

    for index, arc in enumerate(ARCS):
        room.record(index, cameras(arc), writer, rng, drop)
    writer.close()
    write_camera(folder / "camera.json", camera, DEPTH_SCALE)


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
