"""What a machine with a GPU runs first: every model as one CUDA graph, against eager and CPU.

``python -m pytest -m cuda test/core`` needs torch, numpy, pillow and pytest. COPE_MODELS names
another folder of models than ``models``, COPE_DATA the data sets (LM-O's images).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from core_factory import make_catalogue

from cope_ros.core.deployment.execution import Graph, fastest_convolutions
from cope_ros.core.deployment.graph_check import check_graph
from cope_ros.core.deployment.model_file import load_model
from cope_ros.core.deployment.packing import pack, unpack
from cope_ros.core.deployment.runtime import Estimate, Estimator
from cope_ros.core.network.presets import PRESETS
from cope_ros.core.types import from_outputs
from cope_training.bench.agreement import compare, scene_images
from cope_training.bench.candidates import camera, random_preset, write_planted
from cope_training.bench.planted import plant, plant_into

NO_CUDA = "no CUDA device: that models run there, captured and alike the CPU, is not shown"
pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_CUDA),
]
ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted(Path(os.environ.get("COPE_MODELS", ROOT / "models")).glob("*/model.pt"))
CUDA = torch.device("cuda", 0)
IMAGES = 6
PLANTED = 20  # instances of a planted scene
THRESHOLD = 0.3  # of scores: instances that are surely there on every device

Frames = list[tuple[np.ndarray, np.ndarray]]


def frames_of(model: Path) -> Frames:
    """Images that show the model's objects, else those of the bundled sequence."""
    data = Path(os.environ.get("COPE_DATA", ROOT.parent / "shared" / "data"))
    scene = data / model.parent.name / "test" / "000002"
    if not scene.is_dir():
        scene = ROOT / "models" / "demo" / "sequence" / "000001"
    return list(scene_images(scene, IMAGES))


def as_estimates(rows: np.ndarray, run: Graph) -> Estimate:
    return Estimate(**unpack(rows, run.fields))


def assert_same(first: list[Estimate], second: list[Estimate], millimetres: float) -> int:
    """Instances of both agree: all found, nine of ten within the limit at 1 m and 0.2 degrees."""
    both = compare(first, second)
    count = len(both.shift_mm)
    assert both.unmatched <= 0.03 * (count + both.unmatched), both.summary()
    if count:
        assert np.quantile(both.shift_mm, 0.9) < millimetres, both.summary()
        assert np.quantile(both.turn_deg, 0.9) < 0.2, both.summary()
    return count


@contextmanager
def nothing_waits() -> Iterator[None]:
    """Every wait for the device is an error."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.parent.name)
def test_each_model_file_is_captured_and_gives_what_eager_and_the_cpu_give(path: Path) -> None:
    check_graph(load_model(path, CUDA)[0], str(path))
    cpu, gpu = Estimator.load(path, "cpu"), Estimator.load(path, "cuda:0")
    assert gpu.execution == Graph.name
    model = load_model(path, CUDA)[0]
    frames = frames_of(path)
    for estimator in (cpu, gpu):
        estimator.configure(score_threshold=THRESHOLD)
    model.score_threshold.fill_(THRESHOLD)
    replayed = [gpu.estimate(image, K) for image, K in frames]
    eager = [eager_estimate(model, gpu, image, K) for image, K in frames]
    assert assert_same(replayed, eager, 0.5) > IMAGES
    assert assert_same([cpu.estimate(image, K) for image, K in frames], replayed, 1.0) > IMAGES


def eager_estimate(
    model: torch.jit.ScriptModule, gpu: Estimator, image: np.ndarray, K: np.ndarray
) -> Estimate:
    """The model operation by operation on an image of the graph's own size."""
    assert image.shape[1::-1] == gpu.input_size
    batch = torch.from_numpy(image).to(CUDA).unsqueeze(0)
    intrinsics = torch.from_numpy(K).float().to(CUDA).unsqueeze(0)
    with torch.inference_mode(), fastest_convolutions():
        rows = pack(from_outputs(model(batch, intrinsics)))
    return Estimate(**unpack(rows[0].cpu().numpy(), gpu._execute.fields))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.parent.name)
def test_no_model_file_waits_for_the_gpu(path: Path) -> None:
    model, _ = load_model(path, CUDA)
    frames = frames_of(path)
    with torch.inference_mode():
        for image, K in frames[:4]:  # TorchScript specialises during the first ones
            batch = torch.from_numpy(image).to(CUDA).unsqueeze(0)
            intrinsics = torch.from_numpy(K).float().to(CUDA).unsqueeze(0)
            torch.cuda.synchronize()
            with nothing_waits():
                rows = pack(from_outputs(model(batch, intrinsics)))
    assert torch.isfinite(rows).all()


@pytest.mark.parametrize("preset", PRESETS)
def test_each_preset_is_captured_and_follows_its_inputs(preset: str, tmp_path: Path) -> None:
    candidate = random_preset(preset, make_catalogue())
    write_planted(candidate, tmp_path / "model.pt")
    model, _ = load_model(tmp_path / "model.pt", CUDA)
    check_graph(model, preset)
    K, size = camera(candidate.size), candidate.size
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8) for _ in range(3)]
    with torch.inference_mode():
        run = Graph(model, size, CUDA)
        for count, image in zip((PLANTED, 0, 2 * PLANTED), images, strict=True):
            outputs = plant(count, candidate.catalogue, candidate.by_diameter, size, K)
            plant_into(model.network, outputs)
            replayed = as_estimates(run(torch.from_numpy(image), K.numpy())[0], run)
            batch = torch.from_numpy(image).to(CUDA).unsqueeze(0)
            with fastest_convolutions():
                rows = pack(from_outputs(model(batch, K.to(CUDA).unsqueeze(0))))
            eager = as_estimates(rows[0].cpu().numpy(), run)
            assert abs(assert_same([replayed], [eager], 1.0) - count) <= 0.1 * count
