"""Depth images for the bundled sequence: its scenes rendered anew, with a sensor's noise.

``python -m cope_training.bundled.sequence_depth`` draws the scenes of ``models/demo/sequence``
from their ground truth and writes every second frame's depth as 16-bit PNG of millimetres (see
``rendering.depth_noise`` for the sensor). The colour images stay as they are.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cope_ros.core.catalogue import MM
from cope_training.bundled.sequence import ARRANGEMENTS, DEPTH_SCALE, SEED, SIZE, K
from cope_training.rendering.depth_noise import measured_depth
from cope_training.rendering.room import Camera, Room
from cope_training.rendering.scene import Placement
from cope_training.rendering.studio import load_objects

EVERY = 2  # frames; all of them would be twice the size


def write_depth(models: Path, scene: Path, every: int = EVERY) -> int:
    """Writes ``depth/`` beside the scene's ``rgb/`` and names its scale in scene_camera.json.

    Args:
        models: the demo's models folder.
        scene: the sequence's scene folder, all arrangements of one length.

    Returns:
        Bytes written.
    """
    os.environ.setdefault("LP_NUM_THREADS", "1")
    cameras = json.loads((scene / "scene_camera.json").read_text())
    truth = json.loads((scene / "scene_gt.json").read_text())
    objects, rng = load_objects(models, max_faces=0), np.random.default_rng(SEED)
    room = Room(objects, ARRANGEMENTS, Camera(K, SIZE), rng)
    (scene / "depth").mkdir(exist_ok=True)
    length, size = len(truth) // len(ARRANGEMENTS), 0
    for number in range(0, len(truth), every):
        drawn = _draw(room, number // length, truth[str(number)], cameras[str(number)])
        image = np.asarray(Image.open(scene / "rgb" / f"{number:06d}.jpg"))
        depth = measured_depth(drawn, image, K, np.random.default_rng([SEED, number]))
        path = scene / "depth" / f"{number:06d}.png"
        units = np.rint(depth / MM / DEPTH_SCALE).astype(np.uint16)
        Image.fromarray(units).save(path, optimize=True)
        size += path.stat().st_size
    _name_scale(scene / "scene_camera.json", cameras)
    return size


def _draw(
    room: Room, arrangement: int, truth: list[dict[str, Any]], camera: dict[str, Any]
) -> np.ndarray:
    """(H, W) m of one frame, objects and furniture."""
    instances = [
        Placement(room.catalogue.index_of(row["obj_id"]), _pose(row["cam_R_m2c"], row["cam_t_m2c"]))
        for row in truth
    ]
    furniture = room.furniture(arrangement, _pose(camera["cam_R_w2c"], camera["cam_t_w2c"]))
    return room.renderer.draw_labels([*instances, *furniture], K, SIZE)[0]


def _pose(R: list[float], t: list[float]) -> np.ndarray:
    """(4, 4) m of BOP's row-wise rotation and translation in mm."""
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = np.reshape(R, (3, 3)), np.array(t) * MM
    return T


def _name_scale(path: Path, cameras: dict[str, Any]) -> None:
    rows = {number: row | {"depth_scale": DEPTH_SCALE} for number, row in cameras.items()}
    lines = [f"  {json.dumps(number)}: {json.dumps(row)}" for number, row in rows.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main() -> None:
    """Command line: makes the bundled sequence's depth images."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--models", type=Path, default=Path("models/demo"))
    parser.add_argument("--scene", type=Path, default=Path("models/demo/sequence/000001"))
    parser.add_argument("--every", type=int, default=EVERY, help="frames (default: %(default)s)")
    options = parser.parse_args()
    size = write_depth(options.models, options.scene, options.every)
    print(f"{options.scene / 'depth'}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
