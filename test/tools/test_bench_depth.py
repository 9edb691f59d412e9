"""What depth adds to the time of an image, measured in pairs on the images that show most."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from bop_folder import Folder
from evaluation_scene import IMAGES
from tracking_scene import make_estimate

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.preprocessing import DepthImage
from cope_ros.core.deployment.runtime import Estimate
from cope_training.bench import measure
from cope_training.bench.depth import WARM_UP, depth_cost, fullest_images, main
from cope_training.data.photographs import read_image
from cope_training.evaluation.metrics.scenes import find_scenes


class Slow:
    """Takes 5 ms an image, 20 more with depth, by a clock of its own."""

    catalogue: Catalogue

    def __init__(self) -> None:
        self.calls: list[tuple[int, bool]] = []
        self.now = 0.0

    def estimate(
        self, image: np.ndarray, K: np.ndarray, depth: DepthImage | None = None
    ) -> Estimate:
        self.calls.append((int(image[0, 0, 0]), depth is not None))
        self.now += 0.005 if depth is None else 0.025
        return make_estimate(np.zeros((3, 3)))


def images(count: int) -> list[tuple[np.ndarray, np.ndarray, DepthImage]]:
    K = np.diag([500.0, 500.0, 1.0])
    depth = DepthImage(np.ones((4, 4), np.float32), K)
    return [(np.full((4, 4, 3), n, np.uint8), K, depth) for n in range(count)]


def test_pairs_of_the_same_image_give_what_depth_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Slow()
    monkeypatch.setattr(measure.time, "perf_counter", lambda: runner.now)
    cost = depth_cost(runner, images(2), rounds=5)
    assert len(runner.calls) == 2 * (WARM_UP + 5)
    pairs = list(zip(runner.calls[::2], runner.calls[1::2], strict=True))
    assert all(a == (n % 2, False) and b == (n % 2, True) for n, (a, b) in enumerate(pairs))
    assert (cost.without_ms, cost.with_ms) == pytest.approx((5.0, 25.0))
    assert cost.added_ms == pytest.approx(20.0)
    assert cost.summary().startswith("3.0 instances an image: 5.0 ms without depth")


def test_the_images_that_show_most_come_first(tmp_path: Path) -> None:
    folder = Folder(tmp_path)

    def hide(content: dict) -> None:
        for key, kept in (("0", 1), ("1", 2)):
            del content[key][kept:]

    folder.edit("scene_gt.json", hide)
    folder.edit("scene_gt_info.json", hide)
    scenes = find_scenes(tmp_path)
    chosen = fullest_images(scenes, IMAGES)
    assert len(chosen) == IMAGES
    for (image, _, depth), im_id in zip(chosen[-2:], (1, 0), strict=True):
        path = scenes.image_path(7, im_id)
        assert (image == read_image(path, "")).all()
        assert depth.depth == pytest.approx(0.8)  # m
    assert len(fullest_images(scenes, 2)) == 2


def test_without_depth_images_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Folder(tmp_path)
    shutil.rmtree(folder.scene / "depth")
    assert main(["--data", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "images with depth" in said
