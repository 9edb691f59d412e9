"""What ``cope_eval`` is given: objects under their names, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from evaluation_scene import KnowingEstimator, Scene, run

from cope_training import evaluate
from cope_training.rendering.meshes import load_mesh, save_ply


def test_objects_are_called_as_the_model_calls_them(
    scene: Scene, knowing: KnowingEstimator, tmp_path: Path
) -> None:
    data = scene.write(tmp_path / "toys")
    infos = json.loads((data / "models" / "models_info.json").read_text())
    for info in infos.values():  # as BOP's own files are
        info.pop("name", None)
    (data / "models" / "models_info.json").write_text(json.dumps(infos))
    content = run(data, tmp_path / "out")
    assert set(content["per_object"]) == {"thing_1", "thing_2"}
    assert "obj_0" not in (tmp_path / "out" / "index.html").read_text()


def test_bad_input_is_one_sentence(
    scene: Scene, knowing: KnowingEstimator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--model", "models/knowing", "--out", str(tmp_path / "out"), "--data"]
    (tmp_path / "empty").mkdir()
    root = scene.write(tmp_path / "toys", images=0)
    scene.write(tmp_path / "other").joinpath("test").rename(tmp_path / "other" / "train_pbr")
    cases = {
        str(tmp_path / "none"): "no such folder",
        str(tmp_path / "empty"): "expected a BOP data set",
        str(tmp_path / "other"): "; there are scenes in train_pbr: name that folder",
        str(root): "none of its 4 images is there",
    }
    for data, message in cases.items():
        assert evaluate.main([*common, data]) == 1
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


def test_other_objects_under_the_same_ids_are_refused(
    scene: Scene, knowing: KnowingEstimator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = scene.write(tmp_path / "toys")
    path = root / "models" / "models_info.json"
    info = json.loads(path.read_text())
    info["2"] |= {key: 1.5 * v for key, v in info["2"].items() if isinstance(v, float)}
    path.write_text(json.dumps(info))
    arguments = ["--model", "models/knowing", "--data", str(root), "--out", str(tmp_path)]
    mesh = load_mesh(root / "models" / "obj_000002.ply")
    save_ply(root / "models" / "obj_000002.ply", replace(mesh, vertices=1.5 * mesh.vertices))
    assert evaluate.main(arguments) == 1
    assert "object 2 has a diameter of" in capsys.readouterr().err
