"""The ablation's ways of voting and the runtime's stages, on a small random model."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_scene import Scene
from scipy.spatial.transform import Rotation

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.preprocessing import Fit
from cope_ros.core.deployment.runtime import Estimate, Estimator
from cope_ros.core.detection.instances import MIN_QUALITY
from cope_ros.core.network.build import GEOMETRIC_SCORE_POWER, build_network
from cope_ros.core.network.cope_network import CopeNetwork
from cope_ros.core.network.presets import PRESETS, NetworkConfig
from cope_ros.core.types import Hypotheses
from cope_training.evaluation import ablation, runtime
from cope_training.evaluation.voting import (
    ALL,
    CONTOUR,
    CROP_HEAD,
    EPNP,
    INSTANCE_HEAD,
    REFINER,
    VOTINGS,
    Votes,
    VotingModel,
    ransac_epnp,
)
from cope_training.export import export_network

K = np.array([[300.0, 0, 150], [0, 300.0, 120], [0, 0, 1]])
DENSE = replace(PRESETS["lite"], instance_head=None)  # votes alone make its poses
LOW = 0.0  # random weights give every location a probability of about 0.01


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


def random_network(scene: Scene, config: NetworkConfig) -> CopeNetwork:
    """Boxes have a size at which neighbours overlap and form clusters."""
    torch.manual_seed(0)
    catalogue = Catalogue(tuple(obj.model for obj in scene.objects.values()))
    network = build_network(config, catalogue)
    with torch.no_grad():
        network.box_tower.output.bias.copy_(torch.tensor([0.8, 0.8, -0.8, -0.8]))
    return network


def export(network: CopeNetwork, layers: NetworkConfig, scene: Scene, path: Path) -> None:
    catalogue = Catalogue(tuple(obj.model for obj in scene.objects.values()))
    export_network(network, layers, catalogue, path, preset="lite", input_size=(160, 128))


def both(path: Path, image: np.ndarray) -> tuple[Estimate, VotingModel, Votes]:
    """What an exported file estimates, and the same file's ways of voting with their votes."""
    estimator, votings = Estimator.load(path, "cpu"), VotingModel(path, "cpu", LOW)
    estimator.configure(score_threshold=LOW)
    return estimator.estimate(image, K), votings, votings.hypothesize(image, K)


def nearest(R: np.ndarray, t: np.ndarray, expected: Estimate) -> float:
    """Largest distance (m and entries) of an expected pose from the nearest of R, t."""
    gap = np.abs(t[:, None] - expected.t).max(axis=2)
    return float((gap + np.abs(R[:, None] - expected.R).max(axis=(2, 3))).min(axis=0).max())


@pytest.fixture(scope="module")
def model(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random export that knows the scene's objects."""
    path = tmp_path_factory.mktemp("random") / "model.pt"
    export(random_network(scene, DENSE), DENSE, scene, path)
    return path.parent


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (128, 160, 3), dtype=np.uint8)


def test_ten_votes_are_the_estimators_own(model: Path, image: np.ndarray) -> None:
    expected, votings, votes = both(model, image)
    assert len(expected) > 0
    R, t = votings.poses(votes, "n=10")
    np.testing.assert_allclose(t, expected.t, atol=1e-5)
    np.testing.assert_allclose(R, expected.R, atol=1e-4)


def test_the_instance_head_is_the_estimators_own(
    scene: Scene, image: np.ndarray, tmp_path: Path
) -> None:
    layers = PRESETS["lite"]
    assert layers.instance_head is not None
    few = replace(layers, instance_head=replace(layers.instance_head, max_refined=4))
    network = random_network(scene, few)
    torch.nn.init.normal_(network.get_parameter("instance_head.cell_output.weight"), std=0.1)
    path = tmp_path / "model.pt"
    export(network, few, scene, path)
    expected, votings, votes = both(path, image)
    assert votings.votings == (*VOTINGS, INSTANCE_HEAD)
    (R, t), (_, before) = votings.poses(votes, INSTANCE_HEAD), votings.poses(votes, "n=10")
    assert (np.abs(t - before).max(axis=1) > 1e-5).sum() == 4  # others stay
    assert 4 < len(expected) <= len(t)  # what is found twice is left out
    assert nearest(R, t, expected) < 1e-3


@pytest.mark.parametrize(
    ("preset", "names"),
    [
        ("lite_crop_head", (CROP_HEAD, INSTANCE_HEAD)),
        ("lite_flow", (CROP_HEAD, REFINER, CONTOUR)),
    ],
)
def test_close_up_refiner_and_outline_are_the_estimators_own(
    scene: Scene, image: np.ndarray, tmp_path: Path, preset: str, names: tuple[str, ...]
) -> None:
    layers = PRESETS[preset]
    network = random_network(scene, layers)
    if network.refiner is not None:
        torch.nn.init.normal_(network.refiner.output.weight, std=0.1)
    if network.instance_head is not None:
        torch.nn.init.normal_(network.instance_head.cell_output.weight, std=0.1)
    path = tmp_path / "model.pt"
    export(network, layers, scene, path)
    expected, votings, votes = both(path, image)
    assert votings.votings == (*VOTINGS, *names)
    R, t = votings.poses(votes, names[-1])
    assert layers.crop_head is not None
    assert len(expected) > layers.crop_head.max_crops
    refiner, head = layers.refiner, layers.instance_head
    if head is not None or (refiner is not None and refiner.max_refined):  # no duplicates
        assert len(expected) <= len(t)
        assert nearest(R, t, expected) < 1e-3
        return
    ours, its = np.lexsort(t.round(3).T), np.lexsort(expected.t.round(3).T)  # scores may differ
    np.testing.assert_allclose(t[ours], expected.t[its], atol=1e-4)
    np.testing.assert_allclose(R[ours], expected.R[its], atol=1e-3)
    for other in votings.votings[1:-1]:
        assert np.abs(votings.poses(votes, other)[1] - t).max() > 1e-3


def test_one_vote_is_the_best_member(model: Path, image: np.ndarray) -> None:
    votings = VotingModel(model, "cpu", LOW)
    votes = votings.hypothesize(image, K)
    _, t = votings.poses(votes, "n=1")
    h = votes.hypotheses
    quality = h.consistency[0] * h.score[0] ** GEOMETRIC_SCORE_POWER
    quality = torch.where(votes.member, quality, torch.tensor(-1.0))
    rows = (quality.amax(1) > MIN_QUALITY).nonzero()[:, 0]  # below, all count alike
    assert len(rows) > 5
    for row in rows:
        np.testing.assert_allclose(t[row], h.t[0][quality[row].argmax()], atol=1e-5)


def agreeing_votes(scene: Scene, count: int) -> Votes:
    """One instance of the box whose hypotheses differ in depth alone, ever less consistent."""
    R = torch.eye(3).expand(1, count, 3, 3)
    t = torch.tensor([0.0, 0.0, 0.5]) + torch.arange(count)[:, None] * torch.tensor([0, 0, 0.001])
    corners = torch.tensor(scene.objects[1].model.corners).float()
    seen = (corners + torch.tensor([0.0, 0.0, 0.5])) @ torch.tensor(K).float().T
    hypotheses = Hypotheses(
        score=torch.full((1, count), 0.5),
        class_index=torch.zeros(1, count, dtype=torch.long),
        boxes=torch.zeros(1, count, 4),
        keypoints=(seen[:, :2] / seen[:, 2:]).expand(1, count, 8, 2),
        R=R,
        t=t[None],
        consistency=1 - 1e-5 * torch.arange(count)[None],
    )
    member = torch.ones(1, count, dtype=torch.bool)
    return Votes(hypotheses, torch.tensor([0]), member, K, Fit((1.0, 1.0), (320, 256)))


def test_means_are_over_as_many_votes_as_named(scene: Scene, model: Path) -> None:
    votings, votes = VotingModel(model, "cpu"), agreeing_votes(scene, 100)
    for voting, count in (("n=1", 1), ("n=5", 5), ("n=10", 10), (ALL, 100)):
        _, t = votings.poses(votes, voting)
        assert t[0, 2] == pytest.approx(0.5 + 0.001 * (count - 1) / 2, abs=1e-4), voting
    R, t = votings.poses(votes, EPNP)  # all corners are those of the pose at 0.5 m
    np.testing.assert_allclose(t[0], [0, 0, 0.5], atol=1e-4)
    np.testing.assert_allclose(R[0], np.eye(3), atol=1e-3)


def test_no_instance_in_any_way_of_voting(model: Path, image: np.ndarray) -> None:
    votings = VotingModel(model, "cpu", 0.9)
    votes = votings.hypothesize(image, K)
    for voting in VOTINGS:
        R, t = votings.poses(votes, voting)
        assert R.shape == (0, 3, 3)
        assert t.shape == (0, 3)


def test_epnp_recovers_the_pose_despite_outliers(scene: Scene) -> None:
    rng = np.random.default_rng(0)
    corners = scene.objects[1].model.corners
    R, t = Rotation.random(None, rng).as_matrix(), np.array([0.05, -0.03, 0.7])
    points = np.tile(corners, (10, 1))
    seen = (points @ R.T + t) @ K.T
    pixels = seen[:, :2] / seen[:, 2:] + rng.normal(0, 0.3, (80, 2))
    pixels[::4] += rng.uniform(20, 60, (20, 2))
    found = ransac_epnp(points, pixels, K)
    assert found is not None
    assert Rotation.from_matrix(found[0] @ R.T).magnitude() < 0.02
    np.testing.assert_allclose(found[1], t, atol=0.01)


def test_the_ablation_prints_one_table(
    scene: Scene, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = scene.write(tmp_path / "toys", images=2)
    out = tmp_path / "ablation.json"
    arguments = ["--on", str(model), str(data), "--score-threshold", str(LOW)]
    assert ablation.main([*arguments, "--device", "cpu", "--out", str(out)]) == 0
    (result,) = json.loads(out.read_text())
    assert list(result["votings"]) == list(VOTINGS)
    assert result["images"] == 2
    printed = capsys.readouterr().out
    for voting in VOTINGS:
        assert 0 <= result["votings"][voting]["add_s_recall"] <= 1
        assert f"| {voting} |" in printed
    assert result["votings"][EPNP]["voting_ms_per_image"] > 0


def test_the_ablation_without_any_model_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ablation.main([]) == 1
    assert "--on MODEL DATA" in capsys.readouterr().err


def test_runtime_stages_add_up(model: Path, image: np.ndarray, tmp_path: Path) -> None:
    staged = runtime.StagedModel(model, "cpu", LOW)
    timing = runtime.measure_count(staged, 12, [(image, K), (image, K)], runs=3)
    assert timing.instances == 12
    assert timing.found == len(staged.estimator.estimate(image, K))
    assert all(len(timing.ms[stage]) == 3 for stage in runtime.STAGES)
    parts = sum(timing.mean(stage) for stage in ("network", "decode", "cluster"))
    assert 0.2 * timing.mean("total") < parts < 5 * timing.mean("total")
    runtime.plot([timing, timing], "a model", tmp_path / "runtime.json")
    assert (tmp_path / "runtime.svg").read_text().count("24 fps") >= 1
    assert (tmp_path / "runtime.png").stat().st_size > 1000
