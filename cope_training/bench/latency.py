"""Latency from host image to host instances over 1 to 100 instances: ``make bench``.

``python -m cope_training.bench.latency`` measures every shipped model on rendered scenes and with
planted head outputs, and the presets with random weights and planted outputs. Writes
``out/bench/latency.json``, plots and a report (``report.html``, ``report.md``).
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.model_file import load_model
from cope_ros.core.deployment.runtime import Estimator, resolve_device
from cope_ros.core.errors import CopeError
from cope_training.bench import measure, memory
from cope_training.bench.candidates import Candidate, camera, random_preset, shipped, write_planted
from cope_training.bench.operations import count_operations
from cope_training.bench.planted import plant, plant_into
from cope_training.bench.report import write_report
from cope_training.evaluation.runtime import render_frames

COUNTS = (1, 10, 50, 100)
ROUNDS = {"cuda": 200, "cpu": 20}
SCENES = 2  # rendered per count
SEED = 20_000
MESH_PLACES = ("", "meshes/", "textured/")
DATA = Path(os.environ.get("COPE_DATA", "../shared/data"))
RENDERED_THRESHOLD = 0.2  # lets a small network find most of the instances


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    device: torch.device
    half: bool
    rounds: int
    out: Path


def measure_candidate(candidate: Candidate, options: Options) -> tuple[dict[str, Any], str]:
    """All figures of one model, and the profile of its stages as text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        write_planted(candidate, path)
        planted = Estimator.load(path, str(options.device), options.half)
        result = _planted(candidate, planted, options)
        stages = measure.Stages(planted._model, candidate.size, options.device)
        image, K = _blank(candidate.size), camera(candidate.size)
        result["stages_ms"] = measure.stage_ms(stages, image, K, max(5, options.rounds // 2))
        text = measure.profile_table(stages, image, K)
        model = candidate.shipped or path
        result["operations"] = _operations(model, image, K, options.device)
        result["peak_memory_mb"] = round(memory.peak_mb(model, str(options.device), options.half))
        meshes = mesh_folder(candidate)
        if meshes is not None:
            result = {**result, **_rendered(candidate, meshes, options)}
    network_gflop = measure.gflop(candidate.network, candidate.size)
    result["gflop"] = round(network_gflop, 2)
    floor = 1e3 * network_gflop / measure.peak_gflops(options.device, options.half)
    result["floor_ms"] = round(floor, 3)
    result["achieved_over_floor"] = round(result["p50_ms"] / floor, 2)
    return result, text


def _operations(path: Path, image: np.ndarray, K: torch.Tensor, device: torch.device) -> int:
    """Of the file as it is loaded, on one frame."""
    model, _ = load_model(path, device)
    batch = torch.from_numpy(image).to(device).unsqueeze(0)
    return count_operations(model, batch, K.float().to(device).unsqueeze(0))


def _planted(candidate: Candidate, estimator: Estimator, options: Options) -> dict[str, Any]:
    """Figures with planted head outputs; leaves the scene of most instances planted."""
    size, K = candidate.size, camera(candidate.size)
    outputs = {n: plant(n, candidate.catalogue, candidate.by_diameter, size, K) for n in COUNTS}
    image = _blank(size)
    found: dict[int, list[int]] = {n: [] for n in COUNTS}

    def prepare(count: int) -> None:
        plant_into(estimator._model.network, outputs[count])

    def run(count: int) -> None:
        found[count].append(len(estimator.estimate(image, K.numpy())))

    cases = {n: partial(run, n) for n in COUNTS}
    times = measure.interleaved(cases, options.rounds, prepare)
    summary = _summary(times, found)
    return {
        "execution": estimator.execution,
        "precision": "half" if options.half else "float32",
        "input": list(size),
        "preset": candidate.preset,
        "scenes": "planted",
        **summary,
        "planted": summary,
    }


def mesh_folder(candidate: Candidate) -> Path | None:
    """Where a shipped model's meshes are: beside it, or in the data set that COPE_DATA holds.

    Returns:
        None where there are none; the model is then measured on planted scenes alone.
    """
    if candidate.shipped is None:
        return None
    for folder in (candidate.shipped.parent, DATA / candidate.name / "models"):
        if any(next(folder.glob(f"{inner}obj_*"), None) for inner in MESH_PLACES):
            return folder
    return None


def _rendered(candidate: Candidate, meshes: Path, options: Options) -> dict[str, Any]:
    """Figures of the shipped file on rendered scenes of each number of instances.

    None, with the reason on stderr, on a machine that cannot render.
    """
    assert candidate.shipped is not None
    try:
        frames = {n: render_frames(meshes, n, SCENES, SEED) for n in COUNTS}
    except CopeError as error:
        print(f"{candidate.name}: no rendered scenes: {error}", file=sys.stderr)
        return {}
    estimator = Estimator.load(candidate.shipped, str(options.device), options.half)
    estimator.configure(score_threshold=RENDERED_THRESHOLD)
    found: dict[int, list[int]] = {n: [] for n in COUNTS}

    def run(count: int) -> None:
        image, K = frames[count][len(found[count]) % SCENES]
        found[count].append(len(estimator.estimate(image, K)))

    cases = {n: partial(run, n) for n in COUNTS}
    times = measure.interleaved(cases, options.rounds, lambda _: None)
    return {"scenes": "rendered", **_summary(times, found)}


def _summary(times: dict[int, list[float]], found: dict[int, list[int]]) -> dict[str, Any]:
    each = {n: measure.quantiles(values) for n, values in times.items()}
    every = measure.quantiles([t for values in times.values() for t in values])
    low, high = each[COUNTS[0]], each[COUNTS[-1]]
    return {
        "p50_ms": every["p50"],
        "p99_ms": every["p99"],
        "by_instances": {str(n): q["p50"] for n, q in each.items()},
        "by_instances_p99": {str(n): q["p99"] for n, q in each.items()},
        "found": {str(n): round(float(np.mean(counts)), 1) for n, counts in found.items()},
        "ratio_100_over_1": round(high["p50"] / low["p50"], 3),
        "ratio_100_over_1_p99": round(high["p99"] / low["p99"], 3),
        "samples": sum(len(values) for values in times.values()),
    }


def _blank(size: tuple[int, int]) -> np.ndarray:
    return np.zeros((size[1], size[0], 3), np.uint8)


def device_name(device: torch.device) -> str:
    """In words: the GPU, or the number of CPU threads."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"CPU, {torch.get_num_threads()} threads"


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measures the models asked for and writes everything after each.

    Raises:
        CopeError: device or model unknown.
    """
    device = resolve_device(args.device)
    rounds = args.rounds or ROUNDS[device.type]
    half = device.type == "cuda" if args.half is None else args.half
    options = Options(device, half, rounds, args.out)
    args.out.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"device": device_name(device), "models": {}}
    path = args.out / "latency.json"
    if args.only and path.is_file():  # a part is measured anew, the others stay
        old = json.loads(path.read_text())
        content["models"] = old["models"] if old["device"] == content["device"] else {}
    for candidate in _candidates(args):
        result, text = measure_candidate(candidate, options)
        result["load_average"] = round(os.getloadavg()[0], 1)
        content["models"][candidate.name] = result
        path.write_text(json.dumps(content, indent=2) + "\n")
        slug = candidate.name.split()[0]
        (args.out / f"profile_{slug}.txt").write_text(text + "\n")
        print(
            f"{candidate.name}: p50 {result['p50_ms']} ms, p99 {result['p99_ms']} ms, "
            f"100 over 1: {result['ratio_100_over_1']}, {result['operations']} operations",
            flush=True,
        )
    write_report(args.out, content)
    return content


def _candidates(args: argparse.Namespace) -> list[Candidate]:
    found = shipped(args.models)
    if not found:
        raise CopeError(f"{args.models}: expected folders with a model.pt, found none")
    catalogue: Catalogue = found[0].catalogue
    names = [*(c.name for c in found), *args.presets]
    only = {name for word in args.only for name in word.split(",") if name}
    unknown = sorted(only - set(names))
    if unknown:
        raise CopeError(f"--only: expected some of {names}, got {unknown}")
    wanted = only or set(names)
    chosen = [c for c in found if c.name in wanted]
    return chosen + [random_preset(p, catalogue) for p in args.presets if p in wanted]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"), help="shipped models")
    parser.add_argument("--presets", nargs="*", default=["paper", "improved"])
    parser.add_argument(
        "--only", nargs="*", default=[], help="names, by commas or blanks; other results are kept"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument(
        "--half", action=argparse.BooleanOptionalAction, help="half precision; a GPU's default"
    )
    parser.add_argument("--rounds", type=int, default=0, help="calls per number of instances")
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    try:
        run(parser.parse_args(arguments))
    except CopeError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
