"""The exported file: alone in a process, any image, refusals with a sentence."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from core_factory import make_catalogue, make_estimator, make_K, make_network

from cope_ros.core.deployment.model_file import METADATA_FILE, load_model
from cope_ros.core.deployment.runtime import Estimator
from cope_ros.core.errors import CopeError
from cope_ros.core.estimator import CopeEstimator
from cope_ros.core.network.presets import PRESETS
from cope_training import export
from cope_training.export import export_network
from cope_training.exported import check_parity, network_of

ALONE = """
import json, sys, torch
model = torch.jit.load(sys.argv[1])
torch.manual_seed(1)
image = torch.randint(0, 256, (1, 96, 128, 3), dtype=torch.uint8)
K = torch.tensor([[[200.0, 0, 80], [0, 200.0, 64], [0, 0, 1]]])
model.score_threshold.fill_(0.0)
with torch.inference_mode():
    out = model(image, K)
assert not any(name.startswith("cope") for name in sys.modules), "project code was imported"
torch.save([v.clone() for v in out], sys.argv[2])
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    catalogue, config = make_catalogue(), PRESETS["lite"]
    path = tmp_path_factory.mktemp("model") / "model.pt"
    network = make_network()
    export_network(network, config, catalogue, path, preset="lite", input_size=(160, 128))
    return path


def test_alone_in_a_process_it_gives_the_same(exported: Path, tmp_path: Path) -> None:
    result = tmp_path / "out.pt"
    command = [sys.executable, "-W", "ignore", "-c", ALONE, str(exported), str(result)]
    subprocess.run(command, check=True, cwd=tmp_path)
    estimator = make_estimator()
    torch.manual_seed(1)
    image = torch.randint(0, 256, (1, 96, 128, 3), dtype=torch.uint8)
    with torch.inference_mode():
        expected = estimator(image, make_K(1))
    for a, b in zip(expected, torch.load(result), strict=True):
        assert torch.allclose(a.float(), b.float(), atol=1e-4, rtol=1e-4)


def test_metadata_describes_the_objects(exported: Path) -> None:
    estimator = Estimator.load(exported, "cpu")
    assert estimator.catalogue.class_ids == ("object0", "object1", "object2")
    assert estimator.input_size == (160, 128)
    assert estimator.metadata["preset"] == "lite"


def test_a_file_is_exported_again_with_what_is_asked_for_alone(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, path = Estimator.load(exported, "cpu"), tmp_path / "model.pt"
    for asked, size, threshold in (
        ([], (160, 128), before.metadata["score_threshold"]),
        (["--score-threshold", "0.125"], (160, 128), 0.125),
        (["--width", "192"], (192, 128), before.metadata["score_threshold"]),
    ):
        assert export.main([str(exported), str(path), *asked]) == 0
        after = Estimator.load(path, "cpu")
        assert after.input_size == size
        assert after.metadata["score_threshold"] == threshold
        inside = load_model(path, torch.device("cpu"))[0].state_dict()["score_threshold"]
        assert float(inside) == pytest.approx(threshold)
        assert after.metadata["candidate_threshold"] == before.metadata["candidate_threshold"]
    capsys.readouterr()
    for wrong in ("1.5", "-0.1", "nan"):
        with pytest.raises(SystemExit, match="2"):
            export.main([str(exported), str(path), "--score-threshold", wrong])


@pytest.mark.parametrize("shape", [(128, 160), (480, 640), (90, 200), (33, 17)])
def test_any_image_size_and_results_in_its_pixels(exported: Path, shape: tuple[int, int]) -> None:
    estimator = Estimator.load(exported, "cpu")
    estimator.configure(score_threshold=0.0)
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    K = np.array([[shape[1], 0, shape[1] / 2], [0, shape[1], shape[0] / 2], [0, 0, 1]], float)
    out = estimator.estimate(image, K)
    assert len(out) > 0
    projected = project_corners(estimator, out, K)
    # The keypoints of the best hypothesis and the averaged pose describe the same pixels.
    size = np.ptp(projected, axis=1).max(axis=1)
    error = np.linalg.norm(projected - out.keypoints, axis=2).mean(axis=1)
    assert np.median(error / size) < 1.0


def project_corners(estimator: Estimator, out, K: np.ndarray) -> np.ndarray:
    corners = np.stack([estimator.catalogue[c].corners for c in out.class_index])
    points = corners @ out.R.transpose(0, 2, 1) + out.t[:, None]
    return (points / points[..., 2:]) @ K[:2].T


def test_classes_and_thresholds_act_on_the_next_image(exported: Path) -> None:
    estimator = Estimator.load(exported, "cpu")
    image = np.random.default_rng(0).integers(0, 256, (128, 160, 3), dtype=np.uint8)
    K = make_K(1)[0].numpy()
    assert len(estimator.estimate(image, K)) == 0
    estimator.configure(score_threshold=0.0, class_ids=["object1"])
    found = estimator.estimate(image, K)
    assert set(found.class_index.tolist()) == {1}
    with pytest.raises(CopeError, match=r"classes: .*'object9'"):
        estimator.configure(class_ids=["object9"])


@pytest.mark.parametrize(
    ("image", "K", "reason"),
    [
        (np.zeros((4, 4), np.uint8), np.eye(3), r"image: expected \(H, W, 3\) uint8"),
        (np.zeros((0, 4, 3), np.uint8), np.eye(3), "image"),
        (np.zeros((4, 4, 3), np.float32), np.eye(3), "image"),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((3, 3)), "K: expected positive focal"),
        (np.zeros((4, 4, 3), np.uint8), np.full((3, 3), np.nan), "K: expected finite"),
    ],
)
def test_bad_input_is_refused(
    exported: Path, image: np.ndarray, K: np.ndarray, reason: str
) -> None:
    with pytest.raises(CopeError, match=reason):
        Estimator.load(exported, "cpu").estimate(image, K)


def test_files_that_are_no_model_are_refused_by_name(exported: Path, tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    with pytest.raises(CopeError, match=r"missing\.pt: .*found no such file"):
        load_model(tmp_path / "missing.pt", cpu)
    corrupt = tmp_path / "corrupt.pt"
    corrupt.write_bytes(exported.read_bytes()[:5000])
    with pytest.raises(CopeError, match=r"corrupt\.pt: expected a TorchScript file"):
        load_model(corrupt, cpu)
    bare = tmp_path / "bare.pt"
    torch.jit.save(torch.jit.script(torch.nn.Identity()), str(bare))
    with pytest.raises(CopeError, match=r"bare\.pt: expected an export of cope_ros"):
        load_model(bare, cpu)
    other = tmp_path / "other.pt"
    extra = {METADATA_FILE: json.dumps({"format": "other/1"})}
    torch.jit.script(torch.nn.Identity()).save(str(other), _extra_files=extra)
    with pytest.raises(CopeError, match=r"other\.pt: expected format 'cope_ros/1', got 'other/1'"):
        load_model(other, cpu)


def test_devices_are_refused_by_name(exported: Path) -> None:
    with pytest.raises(CopeError, match="device: expected auto, cpu or cuda:N, got 'gpu'"):
        Estimator.load(exported, "gpu")
    with pytest.raises(CopeError, match="device: 'cuda:99' asked for"):
        Estimator.load(exported, "cuda:99")


def test_input_size_has_to_fit_the_pyramid(tmp_path: Path) -> None:
    catalogue, config = make_catalogue(), PRESETS["lite"]
    network = make_network()
    with pytest.raises(CopeError, match="multiples of 32"):
        export_network(
            network, config, catalogue, tmp_path / "m.pt", preset="lite", input_size=(100, 64)
        )


def test_a_file_that_computes_something_else_fails_the_export(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CopeError, match=r"model\.pt: \w+ differs by .* from the network's"):
        check_parity(other_estimator(), exported)
    catalogue, config = make_catalogue(), PRESETS["lite"]
    # Scripting that silently yields another network.
    script, wrong = torch.jit.script, other_estimator()
    monkeypatch.setattr(torch.jit, "script", lambda _: script(wrong))
    with pytest.raises(CopeError, match="differs by"):
        export_network(make_network(), config, catalogue, tmp_path / "m.pt", preset="lite")
    assert not (tmp_path / "m.pt").exists()


def other_estimator() -> CopeEstimator:
    estimator = make_estimator(seed=7)
    estimator.score_threshold.fill_(0.5)
    with torch.no_grad():
        estimator.network.class_tower.output.bias.fill_(3.0)
    return estimator


def test_the_widest_layers_take_half_the_room_and_change_next_to_nothing(tmp_path: Path) -> None:
    catalogue, config = make_catalogue(), PRESETS["lite_refiner"]
    network, path = make_network("lite_refiner"), tmp_path / "model.pt"
    export_network(network, config, catalogue, path, preset="lite_refiner", input_size=(160, 128))
    stored, _ = load_model(path, torch.device("cpu"))
    weights = stored.state_dict()
    assert weights["network.refiner.hidden.0.weight"].dtype == torch.float16
    rebuilt, _, _, _ = network_of(path)
    for part in ("crop_head", "refiner"):
        wide = getattr(rebuilt, part).hidden[0].weight
        assert wide.dtype == torch.float32
        exact = getattr(network, part).hidden[0].weight
        assert torch.allclose(wide, exact, rtol=1e-3, atol=1e-6)
    assert path.stat().st_size < 4 * sum(p.numel() for p in network.parameters()) - 3_000_000
