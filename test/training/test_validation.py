"""Validation while training: the set is made once, looks come when due, what they find is kept."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_scene import IMAGES, KnowingEstimator, Scene
from test_training import QUICK, make_batch, make_trainer

from cope_ros.core.catalogue import Catalogue
from cope_training.engine import reporting
from cope_training.engine import validator as validator_module
from cope_training.engine.finishing_config import ValidationConfig
from cope_training.engine.reporting import Reporter
from cope_training.engine.validator import HISTORY, Validator, read_history
from cope_training.evaluation import validation
from cope_training.evaluation.metrics.scenes import MODELS_INFO
from cope_training.evaluation.network_estimator import estimator_of
from cope_training.evaluation.validation import ValidationSet, is_made, make
from cope_training.rendering.scene_config import SceneConfig

CONFIG = ValidationConfig(minutes=5.0, scenes=2)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


@pytest.fixture
def toys(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(validation, "SPLIT", "test")
    return scene.write(tmp_path / "toys")


def test_a_set_is_measured_on_evenly_spread_images(scene: Scene, toys: Path) -> None:
    every = ValidationSet(toys, toys / "models")
    found = every.measure(KnowingEstimator(scene))
    assert found.images == IMAGES
    assert found.rows["all"].right == 1.0
    assert len(found.right_scores) == 3 * IMAGES
    assert found.line().startswith(f"validation ({2 * IMAGES} instances, {IMAGES} images, ")
    assert "right 1.000" in found.line()
    two = ValidationSet(toys, toys / "models", 2)
    assert two.gts.images == [every.gts.images[0], every.gts.images[-1]]


def test_other_objects_beside_a_set_are_not_its_own(
    scene: Scene, toys: Path, tmp_path: Path
) -> None:
    shutil.move(toys / "models", tmp_path / "mine")
    (tmp_path / MODELS_INFO).write_text('{"7": {"diameter": 100}}')  # of an earlier training
    found = ValidationSet(toys, tmp_path / "mine").measure(KnowingEstimator(scene))
    assert found.rows["all"].right == 1.0


def test_the_rows_of_objects_have_the_names_that_the_model_gives(scene: Scene, toys: Path) -> None:
    knowing = KnowingEstimator(scene)
    knowing.catalogue = Catalogue(
        tuple(replace(item, class_id=f"toy {item.obj_id}") for item in knowing.catalogue)
    )
    found = ValidationSet(toys, toys / "models").measure(knowing)
    assert {"toy 1", "toy 2"} <= set(found.rows)


def test_a_set_is_made_anew_where_objects_or_settings_differ(
    toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake(models: Path, folder: Path, scenes: int, views: int, seed: int) -> None:
        (folder / "new").touch()

    monkeypatch.setattr(validation, "make_scenes", fake)
    folder, models = tmp_path / "set", toys / "models"
    scenes = SceneConfig(models=str(models))
    folder.mkdir()
    (folder / "old").touch()
    assert not is_made(folder, CONFIG, scenes)
    make(folder, CONFIG, scenes)
    assert sorted(path.name for path in folder.iterdir()) == ["made_of.json", "new"]
    assert is_made(folder, CONFIG, scenes)
    assert is_made(folder, replace(CONFIG, minutes=1.0, images=3), scenes)
    assert is_made(folder, CONFIG, replace(scenes, print_share=0.5))  # of random scenes alone
    assert not is_made(folder, replace(CONFIG, scenes=3), scenes)
    assert not is_made(folder, replace(CONFIG, random=True), scenes)
    with (models / "obj_000001.ply").open("ab") as file:
        file.write(b"\n")
    assert not is_made(folder, CONFIG, scenes)


@pytest.mark.usefixtures("egl")
def test_a_set_of_the_trainings_random_scenes(tmp_path: Path) -> None:
    config = replace(CONFIG, random=True, scenes=2, views=2)
    scenes = SceneConfig(image_width=160, image_height=120, focal_min=100, focal_max=150)
    make(tmp_path / "set", config, scenes)
    assert is_made(tmp_path / "set", config, scenes)
    assert not is_made(tmp_path / "set", config, replace(scenes, print_share=0.5))
    made = ValidationSet(tmp_path / "set", Path(scenes.models))
    assert len(made.gts.images) == 4
    assert made.gts.image_size == (160, 120)
    focal = [K[0, 0] for K in made.gts.K.values()]
    assert 100 <= min(focal) < max(focal) <= 150
    assert len(made.gts) > 4
    again = tmp_path / "again"
    make(again, config, scenes)
    truths = [
        (f / "validation/000001/scene_gt.json").read_text() for f in (tmp_path / "set", again)
    ]
    assert truths[0] == truths[1]


class Maker:
    """A set that is ready when the test says so."""

    made = False

    def __init__(self, folder: Path, config: ValidationConfig, scenes: SceneConfig) -> None:
        self.folder = folder

    def ready(self) -> bool:
        return Maker.made

    def open(self, images: int) -> ValidationSet:
        return ValidationSet(
            self.folder.parent / "toys", self.folder.parent / "toys/models", images
        )

    def close(self) -> None:
        pass


def test_looks_come_when_due_and_are_told_and_kept(
    toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.setattr(validator_module, "ValidationMaker", Maker)
    monkeypatch.setattr(reporting, "LOG_SECONDS", 1e9)
    trainer = make_trainer(replace(QUICK, validation=CONFIG))
    trainer.train_step(make_batch(0))
    looks = Validator(trainer, tmp_path)
    assert not looks.due()
    looks._next -= looks.seconds + 1
    assert not looks.due()  # the set is not there yet
    monkeypatch.setattr(Maker, "made", True)
    assert looks.due()
    found = looks.look()
    assert not looks.due()
    reporter = Reporter(trainer, tmp_path / "board")
    reporter.validated(found)
    reporter.close()
    assert found.line() in capsys.readouterr().out
    events = accumulator.EventAccumulator(str(tmp_path / "board"))
    events.Reload()
    assert "validation/all/missed" in events.Tags()["scalars"]
    looks.look()
    entries = read_history(tmp_path)
    assert [entry["crops"] for entry in entries] == [2]  # the last of both
    assert entries[0]["rows"]["all"]["instances"] == found.rows["all"].instances
    assert len((tmp_path / HISTORY).read_text().splitlines()) == 2


def test_the_averaged_weights_are_measured_with_their_own_threshold() -> None:
    trainer = make_trainer()
    bias = "box_tower.output.bias"
    trainer.ema[bias] += 1.0
    runner = estimator_of(trainer.ema, trainer.config, trainer.catalogue, trainer.device, 0.25)
    assert float(runner._model.score_threshold) == 0.25
    weights = runner._model.network.state_dict()
    assert torch.equal(weights[bias], trainer.network.state_dict()[bias] + 1.0)
    assert not any(p.requires_grad for p in runner._model.parameters())
    assert trainer.network.box_tower.output.bias.requires_grad
    assert len(runner.estimate(np.zeros((48, 64, 3), np.uint8), np.diag([60.0, 60.0, 1.0]))) == 0
