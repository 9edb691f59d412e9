"""What follows a training: stages resume, the card says what was measured, people's files stay."""

import json
from pathlib import Path

import pytest
import torch
from test_training import QUICK, make_trainer

from cope_ros.core.errors import CopeError
from cope_training.engine.configuration import config_from_dict
from cope_training.engine.planning import expectation, expected_recall, plan
from cope_training.finishing import stages
from cope_training.finishing.card import card_text
from cope_training.finishing.model_folder import MARK, add_objects, card_path, missing
from cope_training.finishing.stages import Finishing, finish

DEMO = Path(__file__).parents[2] / "models/demo"
CURVE = [[1000.0, 0.2], [4000.0, 0.6]]
ROW = {
    "instances": 40, "right": 0.5, "true_rotation": 0.55, "true_depth": 0.9, "both": 0.97,
    "missed": 0.02, "rotation_deg": 4.0, "depth_bias": 0.01, "depth_scatter": 0.03,
}  # fmt: skip


@pytest.fixture(scope="module")
def saved():
    config = config_from_dict(QUICK.to_dict() | {"stages": ["training", "threshold", "export"]})
    return make_trainer(config).checkpoint({"seconds": 1800.0})


def test_a_stage_that_is_done_is_not_done_again(
    saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    broken = [True]

    def choose(work: Finishing) -> dict:
        done.append("threshold")
        return {"score_threshold": 0.3}

    def export(work: Finishing) -> dict:
        if broken[0]:
            raise CopeError("no space")
        assert work.record["threshold"]["score_threshold"] == 0.3
        done.append("export")
        work.model.touch()
        return {}

    monkeypatch.setattr(stages, "choose", choose)
    monkeypatch.setattr(stages, "export", export)
    work = Finishing(saved, tmp_path, tmp_path / "model.pt", torch.device("cpu"), lambda _: None)
    with pytest.raises(CopeError, match="no space"):
        finish(work)
    broken[0] = False
    lacking = finish(work)
    finish(work)
    assert done == ["threshold", "export"]
    assert any("model.sha256" in text for text in lacking)
    (tmp_path / "model.pt").unlink()
    finish(work)
    assert done == ["threshold", "export", "export"]
    record = json.loads((tmp_path / "stages.json").read_text())
    (tmp_path / "stages.json").write_text(json.dumps(record | {"step": saved.step + 1}))
    finish(work)  # of another checkpoint
    assert done[3:] == ["threshold", "export"]


def test_the_export_takes_what_was_measured(saved, tmp_path: Path, monkeypatch) -> None:
    given: dict = {}
    monkeypatch.setattr(stages, "export_checkpoint", lambda *_, **settings: given.update(settings))
    monkeypatch.setattr(Finishing, "meshes", DEMO)
    work = Finishing(saved, tmp_path, tmp_path / "model.pt", torch.device("cpu"), lambda _: None)
    work.record = {
        "threshold": {"score_threshold": 0.25},
        "validation": {"rows": {"all": ROW}},
        "calibration": {"factors": {"object0": {}}},
    }
    stages.export(work)
    assert given == {
        "score_threshold": 0.25,
        "metrics": {"validation": ROW},
        "covariance": {"object0": {}},
    }
    assert (tmp_path / "models_info.json").is_file()
    assert len(list((tmp_path / "meshes").iterdir())) == 3


def test_the_card_says_what_was_measured_and_what_was_not(saved, tmp_path: Path) -> None:
    false = {"rendered": 60, "photographs": 0, "false_per_image": 0.083, "score_threshold": 0.2}
    record = {
        "threshold": false,
        "validation": {"images": 24, "rows": {"all": ROW, "object0": ROW | {"depth_bias": None}}},
        "calibration": {"factors": {"a": 1}, "instances": 99, "inside": [0.51, 0.88, 0.93]},
    }
    text = card_text(tmp_path / "model.pt", saved, record, True)
    for words in ("| all | 40 | 0.500 |", "0.083 per image", "threshold of 0.20", "51 / 88 / 93 %"):
        assert words in text, words
    assert "24 rendered validation images" in text
    assert "cope_eval --model" in text
    assert "contact_sheet.jpg" in text
    bare = card_text(tmp_path / "model.pt", saved, {}, False)
    assert bare.count("Not measured") == 2
    assert "Not calibrated" in bare
    assert "contact_sheet" not in bare


def test_a_card_of_people_stays(tmp_path: Path) -> None:
    assert card_path(tmp_path).name == "README.md"
    (tmp_path / "README.md").write_text(f"# mine\n{MARK}\n")
    assert card_path(tmp_path).name == "README.md"
    (tmp_path / "README.md").write_text("# by hand\n")
    assert card_path(tmp_path).name == "CARD.md"


def test_a_bop_folder_becomes_the_node_s(saved, tmp_path: Path) -> None:
    from cope_ros.core.catalogue import Catalogue

    flat = tmp_path / "bop"
    flat.mkdir()
    for path in [DEMO / "models_info.json", *(DEMO / "meshes").iterdir()]:
        (flat / path.name).write_bytes(path.read_bytes())
    catalogue = Catalogue.from_models_info(flat / "models_info.json")
    info = json.loads((flat / "models_info.json").read_text())
    nameless = {i: {k: v for k, v in item.items() if k != "name"} for i, item in info.items()}
    (flat / "models_info.json").write_text(json.dumps(nameless))
    add_objects(flat, tmp_path / "out", catalogue)
    assert json.loads((tmp_path / "out/models_info.json").read_text()) == info
    assert (tmp_path / "out/meshes/obj_000002.ply").is_file()
    assert missing(tmp_path / "out" / "model.pt") == [
        "model.pt (the model)",
        "model.sha256 (its checksum)",
        "README.md (the card)",
    ]
    add_objects(DEMO, DEMO, catalogue)  # onto itself: nothing to do


def test_stages_are_known_and_in_order() -> None:
    for wrong in (["export", "training"], ["training", "head"], ["export"]):
        with pytest.raises(CopeError, match="stages: expected training"):
            config_from_dict({"stages": wrong})


def test_a_plan_says_how_far_a_training_gets() -> None:
    assert expected_recall(2000, CURVE) == pytest.approx(0.4)
    assert expected_recall(500, CURVE) is None
    assert "less than 0.20" in expectation(500, CURVE)
    assert "0.60 or more" in expectation(9000, CURVE)
    assert expectation(500, []) == ""
    text = plan(2.0, 900.0, 200, CURVE)
    assert text.startswith("plan: 2.0 crops a second, 2,000 crops in all; expect about 0.40 of")
