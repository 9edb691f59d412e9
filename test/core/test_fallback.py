"""CUDA that fails at the start or at a frame, told by stand-ins; and the node that goes on."""

import numpy as np
import pytest
import torch
from node_fakes import FakeEstimator, gray, make_image, make_info, milliseconds_of
from node_harness import running
from test_node_diagnostics import Watch

from cope_ros.core.deployment.fallback import RETRY_PERIOD, FallbackEstimator, is_cuda_failure
from cope_ros.core.errors import CopeError
from cope_ros.diagnostics.judgement import Level
from cope_ros.input.drops import Cause

K = np.eye(3)
IMAGE = gray()
OUT_OF_MEMORY = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
# What TorchScript makes of an error inside it.
LOST = RuntimeError(
    "The following operation failed in the TorchScript interpreter.\n"
    "Traceback of TorchScript (most recent call last):\n"
    "RuntimeError: CUDA error: unspecified launch failure\n"
)
DRIVER = RuntimeError("Found no NVIDIA driver on your system.")


class Machine:
    """Loads estimators; those on CUDA fail as told."""

    def __init__(self, at_load=(), at_frame=(), on_cpu=()):
        self.at_load, self.at_frame, self.on_cpu = list(at_load), list(at_frame), list(on_cpu)
        self.loads = []
        self.made = []

    def load(self, path, device="auto", half=False):
        """In place of ``Estimator.load``."""
        self.loads.append((device, half))
        errors = self.on_cpu if device == "cpu" else self.at_load
        if errors:
            raise errors.pop(0)
        where = "cpu" if device == "cpu" else "cuda:0"
        failures = [] if device == "cpu" else self.at_frame
        self.made.append(FakeEstimator(device=where, failures=failures))
        return self.made[-1]


def fall(machine, device="auto", half=False, **options):
    warnings = []
    estimator = FallbackEstimator(
        lambda d, h: machine.load(None, d, h), device, half, warnings.append, **options
    )
    return estimator, warnings


@pytest.mark.parametrize("error", [OUT_OF_MEMORY, LOST, DRIVER])
def test_failures_of_cuda_are_recognised(error):
    assert is_cuda_failure(error)


@pytest.mark.parametrize(
    "error",
    [
        CopeError("K: expected CUDA error"),
        RuntimeError("Expected all tensors to be on the same device, cuda:0 and cpu"),
        RuntimeError("bad kernel"),
        MemoryError("CUDA out of memory"),
    ],
)
def test_other_errors_are_not(error):
    assert not is_cuda_failure(error)


def test_a_failing_load_ends_on_the_cpu_without_half_precision():
    machine = Machine(at_load=[DRIVER])
    estimator, warnings = fall(machine, half=True)
    assert machine.loads == [("auto", True), ("cpu", False)]
    assert (estimator.device, estimator.fallback) == ("cpu", str(DRIVER))
    assert len(warnings) == 1
    estimator.estimate(IMAGE, K)


def test_without_failure_there_is_no_fallback():
    machine = Machine()
    estimator, warnings = fall(machine, "cuda:0")
    estimator.estimate(IMAGE, K)
    assert (estimator.device, estimator.fallback, warnings) == ("cuda:0", None, [])


@pytest.mark.parametrize("error", [OUT_OF_MEMORY, LOST])
def test_a_failing_frame_is_lost_and_the_next_runs_on_the_cpu_with_the_same_settings(error):
    machine = Machine(at_frame=[error])
    estimator, warnings = fall(machine)
    estimator.configure(score_threshold=0.3)
    estimator.configure(n_hypotheses=4)
    with pytest.raises(CopeError, match=r"this frame is lost.*CUDA"):
        estimator.estimate(IMAGE, K)
    assert len(estimator.estimate(IMAGE, K)) == 3
    assert machine.loads == [("auto", False), ("cpu", False)]
    assert machine.made[1].settings == [{"score_threshold": 0.3, "n_hypotheses": 4}]
    assert "CUDA" in estimator.fallback
    assert len(warnings) == 1


def test_errors_of_the_input_move_nothing():
    machine = Machine(at_frame=[CopeError("bad image"), RuntimeError("bad kernel")])
    estimator, _ = fall(machine)
    with pytest.raises(CopeError, match="bad image"):
        estimator.estimate(IMAGE, K)
    with pytest.raises(RuntimeError, match="bad kernel"):
        estimator.estimate(IMAGE, K)
    assert (estimator.device, len(machine.loads)) == ("cuda:0", 1)


def test_what_the_cpu_raises_is_not_taken_for_cuda():
    machine = Machine()
    estimator, _ = fall(machine, "cpu")
    machine.made[0].failures.append(LOST)
    with pytest.raises(RuntimeError, match="launch failure"):
        estimator.estimate(IMAGE, K)
    with pytest.raises(RuntimeError, match="driver"):
        fall(Machine(on_cpu=[DRIVER]), "cpu")
    assert len(machine.loads) == 1


def test_a_failing_reload_is_tried_again_later_and_not_at_every_frame():
    now = [100.0]
    machine = Machine(at_frame=[OUT_OF_MEMORY], on_cpu=[RuntimeError("not enough memory")])
    estimator, _ = fall(machine, clock=lambda: now[0])
    with pytest.raises(CopeError, match="loading on the CPU failed: not enough memory"):
        estimator.estimate(IMAGE, K)
    with pytest.raises(CopeError, match="no estimator"):
        estimator.estimate(IMAGE, K)
    assert len(machine.loads) == 2
    now[0] += RETRY_PERIOD
    assert len(estimator.estimate(IMAGE, K)) == 3
    assert len(machine.loads) == 3


@pytest.mark.parametrize(("device", "level"), [("auto", Level.WARN), ("cuda:0", Level.ERROR)])
def test_the_node_survives_cuda_and_says_so(device, level, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    machine = Machine(at_frame=[OUT_OF_MEMORY])
    with running(machine, {"device": device}) as rig:
        rig.connect()
        watch = Watch(rig)
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 7 * 2**20)
        rig.send(make_image(gray(), 1), make_info(stamp=1))
        rig.wait_for_drop(Cause.ESTIMATE)
        rig.send(make_image(gray(), 2), make_info(stamp=2))
        assert milliseconds_of(rig.wait_for(1).header.stamp) == 2
        values = watch.wait("inference", level, "CUDA failed, running on the CPU", "out of memory")
        assert (values["device"], values["device_parameter"]) == ("cpu", device)
    assert machine.loads == [(device, False), ("cpu", False)]
