"""Half precision: what it spares, where it serves, and how far it moves the poses."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from core_factory import make_catalogue, make_K, make_network

from cope_ros.core import geometry
from cope_ros.core.deployment.precision import half_dtype, halve
from cope_ros.core.deployment.runtime import Estimator
from cope_ros.core.errors import CopeError
from cope_ros.core.network.build import build_estimator
from cope_ros.core.network.presets import PRESETS
from cope_ros.core.types import Instances
from cope_training.bench.agreement import LIMITS, angle_deg, compare, scene_images
from cope_training.export import export_network, script
from cope_training.exported import network_of

SIZE = (160, 128)
DEMO = Path(__file__).resolve().parents[2] / "models" / "demo"
NO_CUDA = "no CUDA device: that half precision serves there is not shown"
HALVES = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)


@HALVES
def test_half_precision_leaves_stem_and_pose_head_alone(dtype: torch.dtype) -> None:
    network = make_network()
    image = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    scripted = torch.jit.script(network)
    with torch.inference_mode():
        expected = scripted(image)
        halve(scripted, dtype)
        got = scripted(image)
    for name, value in scripted.state_dict().items():
        exact = name.startswith(
            (
                "backbone.stem",
                "pose_head",
                "mean",
                "std",
                "instance_head.regions",
                "instance_head.fit",
                "instance_head.surface",
            )
        )
        kept = before[name].dtype if name in before else torch.float32
        assert value.dtype == (kept if exact else dtype), name
        if exact and name in before:
            assert torch.equal(value, before[name])
    for a, b in zip(expected, got, strict=True):
        assert b.dtype == dtype
        assert 0 < (a - b.float()).abs().max() < 30 * torch.finfo(dtype).eps * a.abs().max()


@HALVES
def test_half_precision_of_the_whole_demo_model(dtype: torch.dtype) -> None:
    """From the image to refined instances, on the part of an image that two objects fill."""
    image, K = next(iter(scene_images(DEMO / "sequence" / "000001", 1)))
    image = np.ascontiguousarray(image[150:406, 120:440])
    K = K - np.array([[0, 0, 120], [0, 0, 150], [0, 0, 0]])
    inputs = [torch.from_numpy(value)[None] for value in (image, K.astype(np.float32))]
    network, config, catalogue, _ = network_of(DEMO)
    runs = []
    for half in (False, True):
        scripted = script(build_estimator(network, config, catalogue))
        scripted.candidate_threshold.fill_(0.5)
        if half:
            halve(scripted.network, dtype)
        with torch.inference_mode():
            runs.append(Instances(*scripted(*inputs)))
    exact, rounded = runs
    sure = exact.valid[0] & (exact.score[0] > 0.4)  # other rows are no instances
    for row in torch.nonzero(sure).flatten():
        apart = (rounded.t[0, rounded.valid[0]] - exact.t[0, row]).norm(dim=1).min()
        limit = 0.004 if dtype == torch.float16 else 0.015  # of the distance
        assert apart < limit * exact.t[0, row, 2]
    assert sure.sum() >= 2


def test_half_precision_where_it_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exported = tmp_path / "model.pt"
    parts = make_network(), PRESETS["lite"], make_catalogue()
    export_network(*parts, exported, preset="lite", input_size=SIZE)
    image, K = np.zeros((*SIZE[::-1], 3), np.uint8), make_K(1)[0].numpy()
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    estimator = Estimator.load(exported, "cpu", half=True)
    assert next(estimator._model.network.pyramid.parameters()).dtype == torch.bfloat16
    estimator.estimate(image, K)
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False, raising=False)
    assert half_dtype(torch.device("cuda", 0)) == torch.float16
    with pytest.raises(CopeError, match="half: expected a GPU or a CPU with bfloat16"):
        Estimator.load(exported, "cpu", half=True)


def test_a_file_of_before_names_what_it_lacks() -> None:
    scripted = torch.jit.script(make_network())
    backbone = torch.nn.Module()  # as a file exported before has it
    for name, child in scripted.backbone.named_children():
        backbone.add_module(name, child)
    older = torch.nn.Module()
    older.backbone = backbone
    with pytest.raises(CopeError, match=r"half: .*bfloat16; export it again"):
        halve(older, torch.bfloat16)


def test_angle_by_hand() -> None:
    turn = geometry.exp_so3(torch.tensor([0.0, math.radians(0.05), 0.0]))
    assert angle_deg(np.eye(3), turn.numpy()) == pytest.approx(0.05, rel=1e-3)
    assert angle_deg(np.eye(3), np.diag([1.0, -1.0, -1.0])) == pytest.approx(180.0)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_CUDA)
def test_half_precision_agrees_on_the_demo_scenes() -> None:
    """Within 0.5 mm and 0.2 degrees at 1 m in the median over ten images."""
    images = list(scene_images(DEMO / "sequence" / "000001", 10))
    runs = [Estimator.load(DEMO, "cuda:0", half=half) for half in (False, True)]
    result = compare(*[[run.estimate(image, K) for image, K in images] for run in runs])
    assert len(result.shift_mm) > 50
    assert np.median(result.shift_mm) < LIMITS[0]
    assert np.median(result.turn_deg) < LIMITS[1]
