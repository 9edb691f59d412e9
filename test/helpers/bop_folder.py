"""A whole BOP data set (masks and depth too), its three readers, and ways to change it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from evaluation_scene import IMAGES, PER_IMAGE, SIZE, Scene
from PIL import Image

from cope_ros.core.catalogue import Catalogue
from cope_training.data.bop_stream import BopStream
from cope_training.data.photographs import read_image
from cope_training.evaluation.depth import MeasuredDepth
from cope_training.evaluation.metrics import find_scenes
from cope_training.evaluation.metrics.ground_truth import read_available
from cope_training.evaluation.metrics.scenes import check_image_sizes
from demo.images import read_folder

DEPTH_UNITS = 8000  # of depth_scale 0.1: 0.8 m
CROP = 96  # px
FILES = ("scene_gt.json", "scene_gt_info.json", "scene_camera.json")
SCENE = Scene()


class Folder:
    """The data set's root and its one scene."""

    def __init__(self, root: Path) -> None:
        self.root = SCENE.write(root)
        self.scene = root / "test" / "000007"
        for name in ("mask_visib", "depth"):
            (self.scene / name).mkdir()
        depth = np.full(SIZE[::-1], DEPTH_UNITS, np.uint16)
        for im_id in range(IMAGES):
            Image.fromarray(depth).save(self.scene / "depth" / f"{im_id:06d}.png")
            for row in range(PER_IMAGE):
                mask = np.zeros(SIZE[::-1], np.uint8)
                x1, y1, x2, y2 = SCENE.boxes[PER_IMAGE * im_id + row].round().astype(int).clip(0)
                mask[y1:y2, x1:x2] = 255
                Image.fromarray(mask).save(self.scene / "mask_visib" / f"{im_id:06d}_{row:06d}.png")

    def edit(self, name: str, change: Callable[[Any], Any]) -> None:
        """Changes the content of one of the scene's JSON files in place."""
        path = self.scene / name
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    def objects(self, change: Callable[[dict], Any], name: str = "scene_gt.json") -> None:
        """Changes each object's entry."""
        self.edit(name, lambda content: [change(e) for row in content.values() for e in row])

    def pictures(self, kind: str) -> Iterator[tuple[Path, Image.Image]]:
        """The files of a folder such as rgb, opened and removed, to be written anew."""
        for path in sorted((self.scene / kind).iterdir()):
            with Image.open(path) as image:
                image.load()
            path.unlink()
            yield path, image


def train(folder: Folder) -> list[Any]:
    """The frames of an epoch, in the order of their images."""
    catalogue = Catalogue.from_models_info(folder.root / "models" / "models_info.json")
    stream = BopStream(folder.scene.parent, catalogue, 0, CROP)
    stream.check()
    order = {stream.locate(0, place)[1]: place for place in range(len(stream))}
    return [stream(place) for _, place in sorted(order.items())]


def evaluation(folder: Folder) -> tuple[list[np.ndarray], list[np.ndarray | None], Any]:
    """The images, their depth (m) and the ground truth."""
    scenes = find_scenes(folder.root)
    gts = read_available(scenes)
    check_image_sizes(scenes, gts.K, gts.image_size)
    images = [read_image(scenes.image_path(*key)) for key in gts.images]
    measured = MeasuredDepth(scenes)
    return images, [measured(*key) for key in gts.images], gts


def demonstration(folder: Folder) -> list[np.ndarray]:
    """The images."""
    return [image.read() for image in read_folder(folder.scene)]
