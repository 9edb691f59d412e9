"""The fit of covariances: known factors are found again, errors are those of the definition."""

import json
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from core_factory import make_catalogue, make_network
from scipy.spatial.transform import Rotation
from tracking_scene import make_estimate

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.model_file import load_model
from cope_ros.core.errors import CopeError
from cope_ros.core.network.presets import PRESETS
from cope_training import calibrate
from cope_training.data.boxes import box_iou
from cope_training.data.frames import Frame
from cope_training.evaluation.covariance_fit import calibrated, fit_factors
from cope_training.evaluation.held_out import rendered
from cope_training.evaluation.uncertainty import Samples, collect, coverage, squares
from cope_training.export import export_network
from cope_training.rendering.scene_config import SceneConfig

DEMO = Path(__file__).parents[2] / "models/demo"
NAMES = ("object0", "object1", "object2")
TRUE = {
    name: {"scale": [1.5, 3.0, 2.0], "bias": [0.004, 0.05, 0.1], "power": [0.2, 0.5, 0.8]}
    for name in NAMES
}


def random_samples(n: int, seed: int, outliers: float = 0.0) -> Samples:
    """Errors drawn from the covariances that TRUE makes of random spreads."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(n, 6, 10)) * np.array([0.004, 0.004, 0.02, 0.05, 0.05, 0.05])[:, None]
    spread = A @ A.transpose(0, 2, 1) / 10 * rng.uniform(0.3, 3.0, (n, 1, 1))
    t = rng.uniform([-0.3, -0.3, 0.5], [0.3, 0.3, 1.5], (n, 3))
    index = np.arange(n) % 3
    axis = np.zeros((n, 3))
    axis[index == 2] = [0, 0, 1]
    support = rng.integers(2, 60, n)
    blank = Samples(index, t, np.zeros((n, 6)), spread, axis, support)
    covariance = calibrated(blank, TRUE, NAMES).covariance
    error = (np.linalg.cholesky(covariance) @ rng.normal(size=(n, 6, 1)))[..., 0]
    error[rng.random(n) < outliers] *= 30.0
    return Samples(index, t, error, spread, axis, support)


def test_the_fit_covers_what_a_gaussian_would() -> None:
    factors = fit_factors(random_samples(3000, 0), NAMES)
    fresh = random_samples(3000, 1)
    after = calibrated(fresh, factors, NAMES)
    for part in ("pose", "position", "rotation"):
        assert coverage(after, [0.5, 0.9, 0.95], part) == pytest.approx([0.5, 0.9, 0.95], abs=0.04)
    assert coverage(fresh, [0.9])[0] < 0.4


def test_known_factors_are_found_again() -> None:
    for found in fit_factors(random_samples(6000, 2), NAMES).values():
        assert found["scale"] == pytest.approx([1.5, 3.0, 2.0], rel=0.25)
        assert found["bias"] == pytest.approx([0.004, 0.05, 0.1], rel=0.25)
        assert found["power"] == pytest.approx([0.2, 0.5, 0.8], abs=0.1)


def test_a_few_outliers_do_not_blow_the_ellipsoids_up() -> None:
    factors = fit_factors(random_samples(3000, 3, outliers=0.05), NAMES)
    inside = coverage(calibrated(random_samples(3000, 4), factors, NAMES), [0.5, 0.9])
    assert inside == pytest.approx([0.5, 0.9], abs=0.08)


def test_a_rare_class_gets_the_factors_of_all() -> None:
    samples = random_samples(600, 5)
    few = samples.take((samples.class_index != 1) | (np.arange(600) < 15))
    factors = fit_factors(few, NAMES)
    assert np.isfinite(factors["object1"]["scale"]).all()
    assert factors["object1"] != factors["object0"]
    after = calibrated(random_samples(3000, 6), dict.fromkeys(NAMES, factors["object1"]), NAMES)
    for part in ("position", "rotation"):
        assert coverage(after, [0.5, 0.9], part) == pytest.approx([0.5, 0.9], abs=0.07)


def test_squares_by_hand() -> None:
    covariance = np.diag([1.0, 4.0, 9.0, 1.0, 1.0, 4.0])[None].repeat(2, axis=0)
    error = np.tile([1.0, 2.0, 3.0, 2.0, 1.0, 2.0], (2, 1))
    axis = np.array([[0.0, 0, 0], [1.0, 0, 0]])  # the second object may spin about x
    seen = np.full(2, 10)
    samples = Samples(np.array([0, 2]), np.ones((2, 3)), error, covariance, axis, seen)
    for part, values, freedom in (
        ("position", [3.0, 3.0], [3, 3]),
        ("rotation", [6.0, 2.0], [3, 2]),
        ("pose", [9.0, 5.0], [6, 5]),
    ):
        found = squares(samples, part)
        assert found[0] == pytest.approx(values)
        assert found[1].tolist() == freedom


def test_box_overlap() -> None:
    boxes = np.array([[0.0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 6]])
    assert box_iou(boxes[:1, None], boxes[None])[0] == pytest.approx([1.0, 1 / 7, 0.0])


def make_frame(R: np.ndarray, t: np.ndarray, index: list[int], boxes: np.ndarray) -> Frame:
    T = np.tile(np.eye(4), (len(t), 1, 1))
    T[:, :3, :3], T[:, :3, 3] = R, t
    image = np.zeros((8, 8, 3), np.uint8)
    visibility = np.ones(len(t), np.float32)
    return Frame(image, np.eye(3), np.array(index), T, visibility, None, boxes)


def test_errors_are_those_of_the_definition() -> None:
    """p_cam = exp(w) R p_obj + t, after the move to the nearest equivalent."""
    truth = Rotation.from_rotvec([[0.2, 0.1, 0.0], [0.0, 0.3, 0.1]]).as_matrix()
    t = np.array([[0.1, 0.0, 1.0], [-0.1, 0.0, 1.2]])
    w = np.array([[0.02, -0.03, 0.01], [0.01, 0.0, 0.02]])
    seen = Rotation.from_rotvec(-w).as_matrix() @ truth
    seen[1] = seen[1] @ np.diag([-1.0, -1.0, 1.0])  # object1 looks the same after a half turn
    found = make_estimate(t - [0.0, 0.01, 0.05], seen, np.array([0, 1]))
    boxes = np.array([[0.0, 0, 10, 10], [20, 0, 30, 10]], np.float32)
    object.__setattr__(found, "boxes", boxes)
    runner = SimpleNamespace(catalogue=make_catalogue(), estimate=lambda image, K: found)
    samples = collect(runner, [make_frame(truth, t, [0, 1], boxes)])
    expected = np.concatenate([np.tile([0.0, 0.01, 0.05], (2, 1)), w], axis=1)
    assert samples.error == pytest.approx(expected, abs=1e-3)
    assert samples.covariance == pytest.approx(found.covariance, abs=1e-5)


def test_only_overlapping_boxes_of_one_class_are_compared() -> None:
    R, t = np.tile(np.eye(3), (3, 1, 1)), np.ones((3, 3))
    boxes = np.array([[0.0, 0, 10, 10], [20, 0, 30, 10], [50, 0, 60, 10]], np.float32)
    found = make_estimate(t, R, np.array([0, 1, 2]))
    object.__setattr__(found, "boxes", boxes)
    runner = SimpleNamespace(catalogue=make_catalogue(), estimate=lambda image, K: found)
    moved = boxes + np.array([0, 0, 0, 0], np.float32)
    moved[1] += 8
    samples = collect(runner, [make_frame(R, t, [0, 1, 1], moved)] * 2)
    assert samples.class_index.tolist() == [0, 0]


def test_the_scenes_are_those_of_the_training(tmp_path: Path) -> None:
    data = {"meshes": "some", "backgrounds": str(tmp_path / "gone"), "scene": {"size_min": 7.0}}
    config = calibrate.scene_config({"training": {"config": {"data": data}}}, None)
    assert (config.models, config.backgrounds, config.size_min) == ("some", None, 7.0)
    assert calibrate.scene_config({"training": {}}, tmp_path).models == str(tmp_path)
    with pytest.raises(CopeError, match="--meshes"):
        calibrate.scene_config({"training": {}}, None)
    data["scene"] |= {"of_a_later_version": 1, "tint_spread": 0.1}
    reason = r"of_a_later_version.*tint_spread is called tint_sigma now"
    with pytest.raises(CopeError, match=reason):
        calibrate.scene_config({"training": {"config": {"data": data}}}, None)


@pytest.mark.parametrize("dry", [True, False])
def test_the_command_writes_factors_figure_and_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dry: bool
) -> None:
    file = tmp_path / "model" / "model.pt"
    catalogue = make_catalogue()
    export_network(make_network(), PRESETS["lite"], catalogue, file, preset="lite",
                   input_size=(160, 128))  # fmt: skip
    seeds: list[int] = []
    monkeypatch.setattr(calibrate, "scene_config", lambda *_: None)

    def collect(_: object, frames: Iterable[int]) -> Samples:
        seeds.extend(frames)
        return random_samples(300, seeds[-1])

    monkeypatch.setattr(calibrate, "rendered", lambda _s, _c, seed, _n: [seed])
    monkeypatch.setattr(calibrate, "collect", collect)
    arguments = ["--model", str(file.parent), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert calibrate.main(arguments + ["--dry-run"] * dry) == 0
    assert seeds == [calibrate.SEED, calibrate.SEED + 1]
    content = json.loads((tmp_path / "out" / "covariance_model.json").read_text())
    assert content["sets"]["held out"]["pose"]["calibrated"][1] == pytest.approx(0.9, abs=0.08)
    assert (tmp_path / "out" / "covariance_model.png").stat().st_size > 10_000
    stated = load_model(file, torch.device("cpu"))[1].get("covariance")
    assert stated == (None if dry else content["factors"])


def test_objects_are_known_by_number_and_size_not_by_name() -> None:
    """BOP's models_info.json has no names; a model file may."""
    content = json.loads((DEMO / "models_info.json").read_text())
    config = SceneConfig(models=str(DEMO), image_width=160, image_height=128)
    for entry in content.values():
        entry["name"] += " of ours"
    renamed = Catalogue.from_dict(content, "renamed")
    frame = next(rendered(config, renamed, 3, 1))
    assert frame.image.shape == (128, 160, 3)
    sizes = {key: value for key, value in content["2"].items() if isinstance(value, float)}
    content["2"] |= {key: 1.5 * value for key, value in sizes.items()}
    with pytest.raises(CopeError, match=r"models/demo: expected the objects \['1 \("):
        next(rendered(config, Catalogue.from_dict(content, "grown"), 3, 1))
