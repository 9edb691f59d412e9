"""Depth through a model file: the optional input, its fitting to the network's size, refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch
from core_factory import make_catalogue, make_estimator, make_K, make_network
from depth_scene import box_surface

from cope_ros.core.deployment.preprocessing import DepthImage, fit_depth
from cope_ros.core.deployment.runtime import Estimator
from cope_ros.core.errors import CopeError
from cope_ros.core.network.presets import PRESETS
from cope_ros.core.refinement.depth_fit import DepthFit
from cope_ros.core.types import Instances
from cope_training.export import export_again, export_network
from cope_training.exported import surfaces_of, trained_surfaces

SIZE = (160, 128)
IMAGE = np.random.default_rng(0).integers(0, 256, (128, 160, 3), dtype=np.uint8)
K = make_K(1)[0].numpy()


def surfaces() -> torch.Tensor:
    sizes = [np.ptp(item.corners, axis=0) for item in make_catalogue()]
    return torch.stack([box_surface(tuple(size)) for size in sizes])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same network without and with surfaces."""
    folder = tmp_path_factory.mktemp("models")
    found = {"plain": folder / "plain.pt", "deep": folder / "deep.pt"}
    for name, path in found.items():
        given = surfaces() if name == "deep" else None
        export_network(
            make_network(), PRESETS["lite"], make_catalogue(), path,
            preset="lite", input_size=SIZE, score_threshold=0.0, surfaces=given,
        )  # fmt: skip
    return found


def load(path: Path) -> Estimator:
    estimator = Estimator.load(path, "cpu")
    estimator.configure(score_threshold=0.0)
    return estimator


def test_without_depth_both_files_say_the_same(files: dict[str, Path]) -> None:
    plain, deep = load(files["plain"]), load(files["deep"])
    assert (plain.takes_depth, deep.takes_depth) == (False, True)
    a, b = plain.estimate(IMAGE, K), deep.estimate(IMAGE, K)
    assert len(a) > 0
    assert np.array_equal(a.t, b.t)
    assert np.array_equal(a.covariance, b.covariance)
    assert not b.depth_share.any()


def test_unknown_depth_changes_nothing(files: dict[str, Path]) -> None:
    estimator = load(files["deep"])
    a = estimator.estimate(IMAGE, K)
    for value in (0.0, np.nan, np.inf, -1.0):
        depth = DepthImage(np.full((128, 160), value, np.float32), K)
        b = estimator.estimate(IMAGE, K, depth)
        assert np.array_equal(a.t, b.t)
        assert not b.depth_share.any()


def test_a_model_without_surfaces_refuses_depth(files: dict[str, Path]) -> None:
    estimator = load(files["plain"])
    depth = DepthImage(np.ones((128, 160), np.float32), K)
    for ask in (
        lambda: estimator.estimate(IMAGE, K, depth),
        lambda: estimator.configure(depth=True),
    ):
        with pytest.raises(CopeError, match=r"depth: expected a model with its objects' surfaces"):
            ask()


@pytest.mark.parametrize(
    ("depth", "reason"),
    [
        (np.ones((128, 160), np.uint16), r"depth: expected \(H, W\) float32"),
        (np.ones((128, 160, 1), np.float32), r"depth: expected \(H, W\) float32"),
        (np.ones((0, 160), np.float32), r"depth: expected \(H, W\) float32"),
    ],
)
def test_other_depth_is_refused(files: dict[str, Path], depth: np.ndarray, reason: str) -> None:
    with pytest.raises(CopeError, match=reason):
        load(files["deep"]).estimate(IMAGE, K, DepthImage(depth, K))


def test_surfaces_survive_another_export(files: dict[str, Path], tmp_path: Path) -> None:
    again = tmp_path / "again.pt"
    export_again(files["deep"], again, None)
    assert torch.allclose(surfaces_of(again), surfaces(), atol=1e-3)
    assert surfaces_of(files["plain"]) is None
    assert load(again).takes_depth


def test_meshes_that_are_elsewhere_leave_depth_out(tmp_path: Path) -> None:
    catalogue = make_catalogue()
    assert trained_surfaces(None, str(tmp_path / "gone"), catalogue) is None
    assert trained_surfaces(None, "$UNSET_VARIABLE/models", catalogue) is None
    with pytest.raises(CopeError):
        trained_surfaces(tmp_path / "gone", "", catalogue)


def test_depth_comes_to_the_pixels_of_the_image() -> None:
    depth = np.arange(12 * 16, dtype=np.float32).reshape(12, 16) + 1.0
    K_depth = np.array([[20.0, 0, 7.5], [0, 20.0, 5.5], [0, 0, 1]])
    same = fit_depth(DepthImage(depth, K_depth), K_depth, 16, 12)
    assert np.array_equal(same, depth)
    K_double = np.array([[40.0, 0, 15.5], [0, 40.0, 11.5], [0, 0, 1]])
    double = fit_depth(DepthImage(depth, K_depth), K_double, 32, 24)
    assert np.array_equal(double, depth.repeat(2, 0).repeat(2, 1))
    wide = fit_depth(DepthImage(depth, K_depth), K_depth, 20, 12)
    assert np.array_equal(wide[:, :16], depth)
    assert not wide[:, 16:].any()  # the padding of the network's input
    holes = depth.copy()
    holes[0, :3] = (np.nan, np.inf, -2.0)
    assert not fit_depth(DepthImage(holes, K_depth), K_depth, 16, 12)[0, :3].any()


def test_the_estimator_applies_the_fit_to_its_poses() -> None:
    estimator = make_estimator()
    corners, diameters = estimator_sizes()
    estimator.depth_fit = DepthFit(surfaces(), corners, diameters).eval()
    image, K_batch = torch.from_numpy(IMAGE).unsqueeze(0), make_K(1)
    with torch.inference_mode():
        plain = estimator(image, K_batch)
        depth = torch.full((1, 128, 160), float(plain.t[0, 0, 2].clamp(0.2, 3.0)))
        fitted = Instances(*estimator(image, K_batch, depth))
        expected = estimator.depth_fit(
            depth, K_batch, plain.class_index, plain.R, plain.t, plain.covariance
        )
    for name, value in zip(("R", "t", "covariance", "depth_share"), expected, strict=True):
        assert torch.allclose(getattr(fitted, name), value, atol=1e-6), name
    assert torch.equal(fitted.score, plain.score)


def estimator_sizes() -> tuple[torch.Tensor, torch.Tensor]:
    catalogue = make_catalogue()
    corners = torch.tensor(np.stack([item.corners for item in catalogue])).float()
    return corners, torch.tensor([item.diameter for item in catalogue]).float()
