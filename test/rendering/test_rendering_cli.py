"""cope_render writes a BOP data set that the reader takes and whose labels agree."""

import json
import shutil
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
    assert main([str(tmp_path / "nowhere"), str(tmp_path / "out")]) == 1
    assert "nowhere" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(MODELS), str(tmp_path), "--instances", "9", "3"])
    assert "--instances" in capsys.readouterr().err


SMALL = ["--size", "64", "48", "--focal", "60", "60", "--apparent-size", "15", "30",
         "--instances", "1", "3", "--images-per-scene", "2"]  # fmt: skip


def render(out: Path, *arguments: str) -> int:
    return main([str(MODELS), str(out), *SMALL, *arguments])


def content(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def five(tmp_path_factory, egl) -> Path:
    out = tmp_path_factory.mktemp("five") / "set"
    assert render(out, "--frames", "5") == 0
    assert len(list(out.glob("train_pbr/*/rgb/*.png"))) == 5
    return out


def test_shards_together_are_the_whole_set(five, tmp_path):
    for part in ("2/2", "1/2"):
        assert render(tmp_path / "a", "--frames", "5", "--shard", part) == 0
    assert content(tmp_path / "a") == content(five)


def test_appended_images_are_those_of_one_run(five, tmp_path):
    assert render(tmp_path / "a", "--frames", "3") == 0
    assert render(tmp_path / "a", "--frames", "2", "--append") == 0
    assert content(tmp_path / "a") == content(five)


def test_a_set_that_is_there_is_not_mixed(five, tmp_path, capsys):
    before = content(five)
    assert render(five, "--frames", "3") == 1
    assert "train_pbr/000000: is there already; --overwrite replaces" in capsys.readouterr().err
    assert content(five) == before
    shutil.copytree(five, tmp_path / "a")
    (tmp_path / "a" / "train_pbr" / "000002" / "mine.txt").write_text("theirs")
    assert render(tmp_path / "a", "--frames", "3", "--overwrite") == 0
    left = {name for name in content(tmp_path / "a") if "/000002/" in name}
    assert left == {"train_pbr/000002/mine.txt"}
    assert len(json.loads((tmp_path / "a/train_pbr/000001/scene_gt.json").read_text())) == 1
    assert len(list((tmp_path / "a").glob("train_pbr/*/rgb/*.png"))) == 3


@pytest.mark.parametrize(
    "words",
    ["--frames 0", "--frames -1", "--shard 3/2", "--shard 0/2", "--shard 2", "--jpeg 101",
     "--seed -1", "--focal 9 3", "--size 0 5", "--append --overwrite", "--focal nan 5"],
)  # fmt: skip
def test_wrong_arguments_are_code_2(tmp_path, words):
    with pytest.raises(SystemExit) as stop:
        main([str(MODELS), str(tmp_path / "a"), *words.split()])
    assert stop.value.code == 2
    assert not (tmp_path / "a").exists()


def test_more_shards_than_scenes_are_refused(tmp_path, capsys):
    assert render(tmp_path / "a", "--frames", "5", "--shard", "1/4") == 1
    assert "--images-per-scene 1 gives every shard one" in capsys.readouterr().err
