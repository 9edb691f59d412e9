"""cope_render writes a BOP data set that the reader takes and whose labels agree."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cope_ros.core.catalogue import Catalogue
from cope_training.data.bop_reader import BopDataset
from cope_training.render import main

MODELS = Path(__file__).resolve().parents[2] / "models" / "demo"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory, egl) -> Path:
    out = tmp_path_factory.mktemp("rendered")
    small = ["--size", "160", "120", "--focal", "120", "140", "--apparent-size", "25", "50"]
    assert main([str(MODELS), str(out), "--frames", "2", "--instances", "4", "8", *small]) == 0
    return out


def test_the_reader_takes_what_was_rendered(rendered):
    catalogue = Catalogue.from_models_info(rendered / "models" / "models_info.json")
    dataset = BopDataset(rendered / "train_pbr", catalogue)
    assert len(dataset) == 2
    scene = rendered / "train_pbr" / "000000"
    info = json.loads((scene / "scene_gt_info.json").read_text())
    for number, frame in enumerate(dataset):
        assert frame.image.shape == (120, 160, 3)
        assert len(frame.class_index) <= 8
        depth = np.asarray(Image.open(scene / "depth" / f"{number:06d}.png")) * 1e-4
        for row, T in enumerate(frame.T_cam_obj):
            entry = info[str(number)][row]
            mask = np.asarray(Image.open(scene / "mask" / f"{number:06d}_{row:06d}.png")) > 0
            visible = frame.instance_map == row
            assert visible.sum() == entry["px_count_visib"]
            assert not (visible & ~mask).any()
            assert entry["px_count_all"] >= mask.sum() * 0.99 - 3
            radius = 0.5 * catalogue[frame.class_index[row]].diameter
            assert (np.abs(depth[visible] - T[2, 3]) <= radius + 1e-3).all()
            inside = frame.boxes[row].min() >= 0 and (frame.boxes[row, 2:] < [160, 120]).all()
            if inside and entry["px_count_all"] > 50:
                assert mask.sum() == pytest.approx(entry["px_count_all"], rel=0.02)
    for item in catalogue:
        assert (rendered / "models" / f"obj_{item.obj_id:06d}.ply").is_file()
    camera = json.loads((rendered / "camera.json").read_text())
    assert camera["width"] == 160


def test_frames_depend_on_seed_and_number_alone(rendered, tmp_path):
    small = ["--size", "160", "120", "--focal", "120", "140", "--apparent-size", "25", "50"]
    arguments = [str(MODELS), str(tmp_path), "--frames", "1", "--instances", "4", "8", *small]
    assert main([*arguments, "--no-masks", "--no-depth"]) == 0
    first = "train_pbr/000000/rgb/000000.png"
    a, b = (np.asarray(Image.open(folder / first)) for folder in (rendered, tmp_path))
    assert (a == b).all()
    assert not (tmp_path / "train_pbr/000000/mask").exists()
    assert not (tmp_path / "train_pbr/000000/depth").exists()


def test_bad_input_ends_with_one_sentence(tmp_path, capsys):
    assert main([str(tmp_path / "nowhere"), str(tmp_path / "out")]) == 2
    assert "nowhere" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(MODELS), str(tmp_path), "--instances", "9", "3"])
    assert "--instances" in capsys.readouterr().err
