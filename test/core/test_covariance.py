"""Covariance factors: closed forms, the file that carries them, and their fit."""

from pathlib import Path

import pytest
import torch
from core_factory import make_catalogue, make_K, make_network

from cope_ros.core.deployment.model_file import REQUIRED, load_model
from cope_ros.core.detection.covariance import (
    TYPICAL_SUPPORT,
    CovarianceCalibration,
    check_factors,
    set_factors,
)
from cope_ros.core.errors import CopeError
from cope_ros.core.network.build import build_estimator
from cope_ros.core.network.presets import PRESETS
from cope_training.export import export_again, export_network

NAMES = ("object0", "object1", "object2")
FACTORS = {
    name: {"scale": [1.0 + c, 2.0, 3.0], "bias": [0.01 * c, 0.02, 0.3], "power": [0.0, 0.5, 1.0]}
    for c, name in enumerate(NAMES)
}


def make_calibration(factors: dict | None = FACTORS) -> CovarianceCalibration:
    module = CovarianceCalibration(len(NAMES))
    set_factors(module, factors, NAMES)
    return module


TYPICAL = torch.full((1,), int(TYPICAL_SUPPORT))


def random_spread(n: int, seed: int = 0) -> torch.Tensor:
    A = torch.randn(n, 6, 8, generator=torch.Generator().manual_seed(seed))
    return A @ A.transpose(1, 2)


def test_without_factors_nothing_changes() -> None:
    spread = random_spread(3)
    t = torch.tensor([[0.1, 0.2, 1.0]] * 3)
    out = make_calibration(None)(spread, t, torch.arange(3), torch.tensor([1, 5, 900]))
    assert torch.allclose(out, spread, atol=1e-5)


def test_on_the_optical_axis_the_blocks_are_the_coordinates() -> None:
    spread = torch.diag(torch.tensor([1.0, 4.0, 9.0, 16.0, 25.0, 36.0])).unsqueeze(0)
    out = make_calibration()(spread, torch.tensor([[0.0, 0.0, 2.0]]), torch.tensor([1]), TYPICAL)
    across, along, turn = 0.01 * 2, 0.02 * 2, 0.3
    expected = [4 + across**2, 16 + across**2, 36 + along**2]
    expected += [9 * v + turn**2 for v in (16, 25, 36)]
    assert torch.diagonal(out[0]).tolist() == pytest.approx(expected, rel=1e-5)
    assert out[0].sum().item() == pytest.approx(sum(expected), rel=1e-5)


def test_few_hypotheses_widen_a_block_by_its_power() -> None:
    spread = torch.eye(6).unsqueeze(0)
    t, index, calibrate = torch.tensor([[0.0, 0.0, 2.0]]), torch.tensor([1]), make_calibration()
    typical = torch.diagonal(calibrate(spread, t, index, TYPICAL)[0])
    few = torch.diagonal(calibrate(spread, t, index, TYPICAL // 5)[0])
    assert (few / typical).tolist() == pytest.approx([1, 1, 5, 25, 25, 25], rel=1e-4)
    assert torch.isfinite(calibrate(spread, t, index, 0 * TYPICAL)).all()


def test_it_turns_with_the_camera() -> None:
    spread = random_spread(1, 1)
    t = torch.tensor([[0.0, 0.0, 1.5]])
    turn = torch.linalg.matrix_exp(torch.tensor([[0, -0.2, 0.4], [0.2, 0, -0.1], [-0.4, 0.1, 0]]))
    J = torch.block_diag(turn, turn)
    index, calibrate = torch.tensor([2]), make_calibration()
    turned = calibrate(J @ spread @ J.T, t @ turn.T, index, TYPICAL)
    expected = J @ calibrate(spread, t, index, TYPICAL) @ J.T
    assert torch.allclose(turned, expected, atol=1e-4)


def test_it_stays_positive_definite_and_symmetric() -> None:
    spread = random_spread(50, 2)
    t = torch.randn(50, 3, generator=torch.Generator().manual_seed(3))
    out = make_calibration()(spread, t, torch.arange(50) % 3, torch.arange(50) + 2).double()
    assert torch.allclose(out, out.transpose(1, 2), atol=1e-4)
    assert (torch.linalg.eigvalsh(out) > 0).all()


@pytest.mark.parametrize(
    "factors",
    [
        {},
        {"object0": FACTORS["object0"]},
        {**FACTORS, "object2": {"scale": [1.0, 1.0]}},
        {**FACTORS, "object2": {"scale": [1.0, 1.0, 1.0], "bias": [0, 0, 0]}},
        {**FACTORS, "object2": {**FACTORS["object2"], "scale": [1.0, 1.0, -1.0]}},
        {**FACTORS, "object2": {**FACTORS["object2"], "bias": [1.0, 1.0, float("nan")]}},
        {**FACTORS, "object2": {**FACTORS["object2"], "power": "abc"}},
    ],
)
def test_wrong_factors_are_refused(factors: dict) -> None:
    with pytest.raises(CopeError, match="covariance"):
        make_calibration(factors)


def test_a_file_keeps_its_factors_its_weights_and_its_threshold(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "model.pt", tmp_path / "b" / "model.pt"
    config, catalogue = PRESETS["lite"], make_catalogue()
    size, options = (160, 128), {"preset": "lite", "score_threshold": 0.3}
    export_network(make_network(), config, catalogue, first, input_size=size, **options)
    export_again(first, second, FACTORS)
    loaded, metadata = load_model(second, torch.device("cpu"))
    plain, before = load_model(first, torch.device("cpu"))
    assert metadata["covariance"] == FACTORS
    assert all(metadata[key] == before[key] for key in REQUIRED)
    for model in (loaded, plain):
        assert float(model.score_threshold) == pytest.approx(0.3)
        model.score_threshold.fill_(0.0)
    image = torch.randint(0, 256, (1, 96, 128, 3), dtype=torch.uint8)
    with torch.inference_mode():
        new, old = loaded(image, make_K()), plain(image, make_K())
    valid = old[0][0]
    assert valid.any()
    assert torch.allclose(new[4][0][valid], old[4][0][valid], atol=1e-5)
    rows = (old[5][0][valid], old[4][0][valid], old[1][0][valid], old[8][0][valid])
    expected = make_calibration()(*rows)
    assert torch.allclose(new[5][0][valid], expected, rtol=1e-3, atol=1e-6)


def test_a_file_that_states_other_factors_than_it_has_is_refused() -> None:
    estimator = build_estimator(make_network(), PRESETS["lite"], make_catalogue())
    check_factors(estimator, None, NAMES, "file")
    with pytest.raises(CopeError, match=r"file: covariance: scale: expected .* got"):
        check_factors(estimator, FACTORS, NAMES, "file")
    set_factors(estimator.calibrate, FACTORS, NAMES)
    check_factors(estimator, FACTORS, NAMES, "file")
    with pytest.raises(CopeError, match="as the file states"):
        check_factors(estimator, None, NAMES, "file")
    with pytest.raises(CopeError, match="its module has none"):
        check_factors(torch.nn.Module(), FACTORS, NAMES, "file")
