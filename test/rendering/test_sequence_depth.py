"""The bundled sequence's depth images: registered, in millimetres, small."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cope_ros.core.catalogue import Catalogue
from cope_training.bundled.sequence_depth import write_depth
from cope_training.tasks.refiner.surface_points import surface_points

MODELS = Path(__file__).parents[2] / "models" / "demo"
SCENE = MODELS / "sequence" / "000001"
FILES = sorted((SCENE / "depth").glob("*.png"))


def read(name: str) -> dict:
    return json.loads((SCENE / name).read_text())


def depth_of(path: Path) -> np.ndarray:
    scale = read("scene_camera.json")[str(int(path.stem))]["depth_scale"]
    return np.asarray(Image.open(path)).astype(float) * scale * 1e-3


def test_every_second_frame_has_one_and_all_are_small() -> None:
    assert [int(path.stem) for path in FILES] == list(range(0, 120, 2))
    assert sum(path.stat().st_size for path in FILES) <= 8e6
    with Image.open(FILES[0]) as image:
        assert (image.size, image.mode) == ((640, 480), "I;16")


@pytest.mark.parametrize("number", [0, 46, 88, 118])
def test_objects_lie_where_the_ground_truth_says(number: int) -> None:
    catalogue = Catalogue.from_models_info(MODELS / "models_info.json")
    surfaces = surface_points(MODELS, catalogue, 256).numpy()
    depth = depth_of(SCENE / "depth" / f"{number:06d}.png")
    key = str(number)
    K = np.reshape(read("scene_camera.json")[key]["cam_K"], (3, 3))
    seen = 0
    for row, info in zip(read("scene_gt.json")[key], read("scene_gt_info.json")[key], strict=True):
        if info["visib_fract"] < 0.95:
            continue
        index = catalogue.index_of(row["obj_id"])
        R, t = np.reshape(row["cam_R_m2c"], (3, 3)), np.array(row["cam_t_m2c"]) * 1e-3
        center = catalogue[index].corners.mean(0)
        point = (surfaces[index][:, :3] + center) @ R.T + t
        normal = surfaces[index][:, 3:] @ R.T
        front = point[-(normal * point).sum(1) > 0.4 * np.linalg.norm(point, axis=1)]
        pixel = np.rint((front @ K.T)[:, :2] / front[:, 2:]).astype(int)
        measured = depth[pixel[:, 1].clip(0, 479), pixel[:, 0].clip(0, 639)]
        gap = np.abs(measured - front[:, 2])[measured > 0]
        assert np.quantile(gap, 0.25) < 0.004  # cups hide parts of themselves
        seen += 1
    assert seen >= 3


def test_the_command_makes_them(tmp_path: Path) -> None:
    scene = tmp_path / "000001"
    (scene / "rgb").mkdir(parents=True)
    for name in ("scene_camera.json", "scene_gt.json"):
        firsts = [read(name)[str(i)] for i in (0, 30, 60, 90)]
        (scene / name).write_text(json.dumps(dict(enumerate(firsts))))
    shutil.copy(SCENE / "rgb" / "000000.jpg", scene / "rgb")
    size = write_depth(MODELS, scene, every=4)
    made = scene / "depth" / "000000.png"
    assert size == made.stat().st_size
    same = np.asarray(Image.open(made)) == np.asarray(Image.open(FILES[0]))
    assert same.mean() > 0.99  # drivers differ at edges
