"""How frames run: one packed copy back, no waiting for the device, fallback without a graph."""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from core_factory import make_catalogue, make_estimator, make_K, make_network
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from cope_ros.core.deployment import execution
from cope_ros.core.deployment.execution import Direct, Graph, Stage, make_execution
from cope_ros.core.deployment.packing import layout, pack, unpack
from cope_ros.core.deployment.runtime import Estimator
from cope_ros.core.estimator import CopeEstimator
from cope_ros.core.network.presets import PRESETS
from cope_ros.core.types import Instances
from cope_training.data.photographs import read_image
from cope_training.export import export_network

# Operations that hand a value to the host or have as many results as the values say.
WAITING = (
    "_local_scalar_dense",
    "item",
    "nonzero",
    "masked_select",
    "equal",
    "unique",
    "is_nonzero",
)
SIZE = (160, 128)
DEMO = Path(__file__).resolve().parents[2] / "models" / "demo"
NO_CUDA = "no CUDA device: that models run there, captured and alike the CPU, is not shown"
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_CUDA)


class Recorder(TorchDispatchMode):
    """Counts the operations that reach the dispatcher."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls[func._overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


@contextmanager
def imagined_gpu(estimator: CopeEstimator) -> Iterator[None]:
    """Every tensor of ``estimator`` becomes one of a CUDA device that need not exist."""
    with FakeTensorMode(), torch.no_grad():
        for module in estimator.modules():
            for store in (module._parameters, module._buffers):
                for name, value in store.items():
                    if value is not None:
                        fake = torch.empty(value.shape, dtype=value.dtype, device="cuda")
                        is_parameter = isinstance(value, torch.nn.Parameter)
                        store[name] = torch.nn.Parameter(fake, False) if is_parameter else fake
        yield


@pytest.mark.parametrize("preset", ["paper", "improved", "lite"])
def test_nothing_waits_for_the_gpu(preset: str) -> None:
    estimator = make_estimator(preset)
    with imagined_gpu(estimator), Recorder() as recorder:
        image = torch.zeros(1, 128, 160, 3, dtype=torch.uint8, device="cuda")
        rows = pack(Instances(*estimator(image, torch.zeros(1, 3, 3, device="cuda"))))
    assert rows.device.type == "cuda"
    assert not [name for name in WAITING if recorder.calls[name]]
    assert recorder.calls["convolution"] > 20


def test_the_check_above_sees_a_value_that_is_read() -> None:
    estimator = make_estimator()
    with (
        imagined_gpu(estimator),
        pytest.raises(Exception, match=r"_local_scalar_dense|data.depend"),
    ):
        float(estimator.score_threshold)


def test_packed_rows_come_back_as_they_were() -> None:
    estimator = make_estimator()
    image = torch.randint(0, 256, (2, 128, 160, 3), dtype=torch.uint8)
    with torch.inference_mode():
        out = estimator(image, make_K(2))
        packed = pack(out)
    fields = layout(out)
    assert packed.shape == (2, 100, fields[-1].stop)
    assert [field.name for field in fields] == list(Instances._fields)
    for b in range(2):
        rows = unpack(packed[b].numpy(), fields)
        valid = out.valid[b]
        assert 0 < len(rows["score"]) == valid.sum()
        for name, value in rows.items():
            expected = getattr(out, name)[b][valid].numpy()
            assert value.dtype == expected.dtype
            assert np.array_equal(value, expected), name


def test_no_instance_packs_to_no_rows() -> None:
    estimator = make_estimator()
    estimator.score_threshold.fill_(1.0)
    with torch.inference_mode():
        out = estimator(torch.zeros(1, 64, 64, 3, dtype=torch.uint8), make_K(1))
    rows = unpack(pack(out)[0].numpy(), layout(out))
    assert rows["R"].shape == (0, 3, 3)
    assert rows["class_index"].dtype == np.int64


def test_direct_execution_fits_any_size() -> None:
    estimator = make_estimator()
    run = make_execution(estimator, SIZE, torch.device("cpu"))
    assert isinstance(run, Direct)
    image = torch.randint(0, 256, (90, 200, 3), dtype=torch.uint8)
    with torch.inference_mode():
        rows, fit = run(image, make_K(1)[0].numpy())
    assert rows.shape == (100, run.fields[-1].stop)
    assert fit.size == (160, 72)


@pytest.mark.filterwarnings("error")
def test_views_and_locked_images_are_images() -> None:
    estimator = Estimator.load(DEMO, "cpu")
    folder = DEMO / "sequence" / "000001"
    image = read_image(folder / "rgb" / "000000.jpg")
    camera = json.loads((folder / "scene_camera.json").read_text())["0"]
    K = np.reshape(camera["cam_K"], (3, 3))
    estimate = estimator.estimate(image, K)
    assert len(estimate) > 2
    locked = image.copy()
    locked.flags.writeable = False
    bgr, upside_down = image[..., ::-1].copy(), image[::-1].copy()
    for same in (locked, bgr[..., ::-1], upside_down[::-1], np.asfortranarray(image)):
        again = estimator.estimate(same, K)
        assert np.array_equal(again.score, estimate.score)
        assert np.array_equal(again.t, estimate.t)


def test_a_stage_on_the_cpu_copies_nothing() -> None:
    image = torch.zeros(4, 5, 3, dtype=torch.uint8)
    assert Stage(torch.device("cpu"))(image) is image


def test_failed_capture_warns_once_with_the_reason_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")

    estimator = make_estimator()
    monkeypatch.setattr(execution, "Graph", refuse)
    # The stand-in for a GPU whose tensors live on the host.
    monkeypatch.setattr(execution, "Direct", lambda *a: Direct(*a[:2], torch.device("cpu")))
    with caplog.at_level(logging.WARNING):
        run = make_execution(estimator, SIZE, torch.device("cuda"))
    assert run.name == "operation by operation"
    assert [record.getMessage().split(": ", 1)[1] for record in caplog.records] == [
        "CUDA error: operation not permitted when stream is capturing"
    ]


def test_other_errors_are_no_reason_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: Any) -> None:
        raise TypeError("a mistake in the program")

    monkeypatch.setattr(execution, "Graph", fault)
    with pytest.raises(TypeError):
        make_execution(make_estimator(), SIZE, torch.device("cuda"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("execution") / "model.pt"
    network, config = make_network(), PRESETS["lite"]
    export_network(network, config, make_catalogue(), path, preset="lite", input_size=SIZE)
    return path


@pytest.mark.cuda
@needs_cuda
def test_graph_gives_what_the_cpu_gives_and_follows_thresholds(exported: Path) -> None:
    cpu, gpu = Estimator.load(exported, "cpu"), Estimator.load(exported, "cuda:0")
    assert gpu.execution == Graph.name
    generator = np.random.default_rng(0)
    for shape in ((128, 160), (90, 200)):
        image = generator.integers(0, 256, (*shape, 3), dtype=np.uint8)
        for threshold in (0.0, 1.0, 0.0):
            found = []
            for estimator in (cpu, gpu):
                estimator.configure(score_threshold=threshold)
                found.append(estimator.estimate(image, make_K(1)[0].numpy()))
            assert abs(len(found[0]) - len(found[1])) <= 0.05 * len(found[0])
            if len(found[0]):
                assert abs(found[0].t[0] - found[1].t[0]).max() < 5e-3
