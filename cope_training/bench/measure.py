"""Times of the whole call and of its stages on one model."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from cope_ros.core.deployment.packing import pack
from cope_ros.core.deployment.precision import half_dtype
from cope_ros.core.deployment.preprocessing import fit_image
from cope_ros.core.detection.clustering import cluster, select_leaders
from cope_ros.core.detection.instances import MIN_SUPPORT
from cope_ros.core.types import Hypotheses, Instances

STAGES = ("preprocess", "network", "decode", "pose head", "clustering", "averaging", "copy")
TOP_OPERATIONS = 8  # rows of a stage's profile
MATRIX = 4096  # side of the product that measures the device's peak


def interleaved(
    cases: Mapping[int, Callable[[], Any]], rounds: int, prepare: Callable[[int], None]
) -> dict[int, list[float]]:
    """ms of every call; the cases take turns, so that noise hits all of them alike.

    Args:
        cases: key to what is timed.
        prepare: called, untimed, before each call with its key.
    """
    times: dict[int, list[float]] = {key: [] for key in cases}
    gc.collect()
    for _ in range(rounds):
        for key, call in cases.items():
            prepare(key)
            start = time.perf_counter()
            call()
            times[key].append(1e3 * (time.perf_counter() - start))
    return times


def quantiles(times: list[float]) -> dict[str, float]:
    """Median and 99th percentile, ms."""
    p50, p99 = np.quantile(times, (0.5, 0.99))
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3)}


class Stages:
    """The parts of a scripted estimator, each to be called by itself."""

    def __init__(self, scripted: Any, size: tuple[int, int], device: torch.device) -> None:
        self.scripted, self.size, self.device = scripted, size, device

    def calls(self, image: np.ndarray, K: torch.Tensor) -> dict[str, Callable[[], Any]]:
        """Stage or sum of stages -> call; what one needs of another is computed once, here."""
        s, width, height = self.scripted, *self.size
        pixels = torch.from_numpy(image)
        batch = fit_image(pixels, width, height)[0].to(self.device)[None]
        camera = K.float().to(self.device)[None]
        h = Hypotheses(*s.hypothesize(batch, camera))
        active = h.score >= s.hypothesis_threshold()
        leads, leader = cluster(h.boxes, h.class_index, active, s.iou_threshold)
        support = torch.zeros_like(leader).scatter_add_(1, leader, active.long())
        rows, valid = select_leaders(leads & (support >= MIN_SUPPORT), s.cluster.max_instances)
        member = (leader[:, None] == rows[..., None]) & active[:, None] & valid[..., None]
        out = Instances(*s.group(h))
        return {
            "preprocess": lambda: fit_image(pixels, width, height)[0].to(self.device),
            "network": lambda: s.network(batch),
            "network to poses": lambda: s.hypothesize(batch, camera),
            "pose head": lambda: s.decode.poses(h.keypoints, h.class_index, camera),
            "clustering to averaging": lambda: s.group(h),
            "averaging": lambda: s.cluster.average(h, rows, member, s.n_hypotheses),
            "copy": lambda: pack(out)[0].cpu().numpy(),
        }

    def wait(self) -> None:
        """Until the device has done its work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def stage_ms(stages: Stages, image: np.ndarray, K: torch.Tensor, rounds: int) -> dict[str, float]:
    """Median ms of every stage; operations are launched one by one here, also on a GPU.

    Decoding and clustering are what remains of the sums that hold them, so that noise can
    make a short one negative.
    """
    with torch.inference_mode():
        calls = stages.calls(image, K)
        times: dict[str, list[float]] = {name: [] for name in calls}
        for turn in range(rounds + 2):  # the first two specialise
            for name, call in calls.items():
                stages.wait()
                start = time.perf_counter()
                call()
                stages.wait()
                if turn >= 2:
                    times[name].append(1e3 * (time.perf_counter() - start))
    for rest, whole, parts in (
        ("decode", "network to poses", ("network", "pose head")),
        ("clustering", "clustering to averaging", ("averaging",)),
    ):
        rows = zip(times[whole], *(times[part] for part in parts), strict=True)
        times[rest] = [total - sum(known) for total, *known in rows]
    return {name: round(statistics.median(times[name]), 3) for name in STAGES}


def profile_table(stages: Stages, image: np.ndarray, K: torch.Tensor) -> str:
    """The dearest operations of every stage, as text."""
    on_gpu = stages.device.type == "cuda"
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if on_gpu else [])
    order = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    parts = []
    with torch.inference_mode():
        for name, call in stages.calls(image, K).items():
            call()
            with profile(activities=activities) as profiler:
                for _ in range(3):
                    call()
                stages.wait()
            table = profiler.key_averages().table(
                sort_by=order, row_limit=TOP_OPERATIONS, max_name_column_width=40
            )
            parts.append(f"== {name} (3 calls)\n{table}")
    return "\n".join(parts)


def gflop(network: torch.nn.Module, size: tuple[int, int]) -> float:
    """Floating-point operations of one pass, in 10^9; a multiply-add counts as two."""
    blank = torch.zeros(1, size[1], size[0], 3, dtype=torch.uint8)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(blank)
    return counter.get_total_flops() / 1e9


def peak_gflops(device: torch.device, half: bool) -> float:
    """10^9 operations per second of a large matrix product: what the device can do at best."""
    side = MATRIX if device.type == "cuda" else MATRIX // 4
    dtype = half_dtype(device) if half else torch.float32
    A = torch.randn(side, side, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(20):
        start = time.perf_counter()
        A @ A
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best / 1e9
