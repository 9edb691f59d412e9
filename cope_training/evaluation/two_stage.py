"""The usual way beside this one: NMS and a RANSAC-EPnP per instance (the paper's Figure 3).

``python -m cope_training.evaluation.two_stage`` plants 1 to 100 instances into the head outputs
of a model and measures, in turn in one run, this pipeline (poses, clustering, averaging) and the
two-stage one (torchvision's NMS per class, then OpenCV's RANSAC-EPnP on the corners that the
instance's hypotheses predict). Both include the same network. Writes ``out/bench/two_stage.json``
and ``.png``.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision.ops import batched_nms, box_iou

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.memory import keep_freed_memory
from cope_ros.core.deployment.model_file import load_model
from cope_ros.core.deployment.runtime import resolve_device
from cope_ros.core.detection.decoding import decode_boxes, decode_keypoints, output_scales
from cope_ros.core.detection.locations import make_locations
from cope_ros.core.detection.scores import class_probability
from cope_ros.core.errors import CopeError
from cope_training.bench.candidates import camera, shipped, write_planted
from cope_training.bench.measure import interleaved
from cope_training.bench.planted import plant, plant_into
from cope_training.evaluation.voting import ransac_epnp

COUNTS = (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
ROUNDS = 5
SCORE, IOU, VOTES = 0.5, 0.5, 10  # as the estimator's defaults


class TwoStage:
    """Detections by NMS, then one PnP after the other."""

    def __init__(self, scripted: Any, catalogue: Catalogue, by_diameter: bool) -> None:
        self._scripted, self._catalogue, self._by_diameter = scripted, catalogue, by_diameter
        self._diameters = scripted.decode.diameters

    def __call__(self, image: torch.Tensor, K: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Poses (R, t) of all instances of a (1, H, W, 3) uint8 image on the device."""
        logits, raw_boxes, raw_keys = self._scripted.network(image)[:3]
        score, classes = class_probability(logits[0].float()).max(-1)
        kept = (score >= SCORE).nonzero().squeeze(1)
        centers, strides = make_locations(image.shape[1], image.shape[2], image.device)
        score, classes, center = score[kept], classes[kept], centers[kept]
        scales = output_scales(self._by_diameter, self._diameters[classes], strides[kept])
        boxes = decode_boxes(raw_boxes[0, kept].float(), center, scales.box)
        keys = decode_keypoints(raw_keys[0, kept].float(), center, scales.key).cpu().numpy()
        leaders = batched_nms(boxes, score, classes, IOU)
        member = (box_iou(boxes[leaders], boxes) > IOU) & (classes == classes[leaders, None])
        rank = torch.where(member, score, torch.zeros_like(score))
        votes = rank.topk(min(VOTES, rank.shape[1]), dim=1)
        index, weight = votes.indices.cpu().numpy(), votes.values.cpu().numpy()
        return self._poses(classes[leaders].tolist(), index, weight, keys, K)

    def _poses(
        self,
        classes: list[int],
        index: np.ndarray,
        weight: np.ndarray,
        keys: np.ndarray,
        K: np.ndarray,
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        poses = []
        for row, class_index in enumerate(classes):
            pixels = keys[index[row][weight[row] > 0]].reshape(-1, 2).astype(np.float64)
            corners = np.tile(self._catalogue[class_index].corners, (len(pixels) // 8, 1))
            pose = ransac_epnp(corners, pixels, K)
            if pose is not None:
                poses.append(pose)
        return poses


def measure(model: Path, device: torch.device, rounds: int) -> dict[str, Any]:
    """ms per image of both ways and of the network alone, per number of instances."""
    if device.type == "cpu":
        keep_freed_memory()  # as everything that runs models here does
    (candidate,) = [c for c in shipped(model.parent) if c.name == model.name]
    K = camera(candidate.size)
    with tempfile.TemporaryDirectory() as folder:
        write_planted(candidate, Path(folder) / "model.pt")
        scripted, _ = load_model(folder, device)
    usual = TwoStage(scripted, candidate.catalogue, candidate.by_diameter)
    image = torch.zeros(1, candidate.size[1], candidate.size[0], 3, dtype=torch.uint8)
    image, K_here, K_numpy = image.to(device), K.to(device)[None], K.double().numpy()
    found: dict[tuple[str, int], int] = {}

    def run(way: str, count: int) -> None:
        if way == "this pipeline":
            found[way, count] = int(scripted(image, K_here)[0].sum())
        elif way == "NMS + RANSAC-EPnP":
            found[way, count] = len(usual(image, K_numpy))
        else:
            scripted.network(image)[0].sum().item()

    ways = ("network alone", "this pipeline", "NMS + RANSAC-EPnP")
    keys = [(way, n) for n in COUNTS for way in ways]
    size, by_diameter = candidate.size, candidate.by_diameter
    outputs = {n: plant(n, candidate.catalogue, by_diameter, size, K) for n in COUNTS}
    with torch.inference_mode():
        for way in ways:  # the first calls specialise
            for _ in range(3):
                run(way, COUNTS[0])
        times = interleaved(
            {i: partial(run, *key) for i, key in enumerate(keys)},
            rounds,
            lambda i: plant_into(scripted.network, outputs[keys[i][1]]),
        )
    ms = {way: [float(np.median(times[keys.index((way, n))])) for n in COUNTS] for way in ways}
    number = {way: [found.get((way, n)) for n in COUNTS] for way in ways[1:]}
    return {"model": candidate.name, "counts": list(COUNTS), "ms": ms, "found": number}


def plot(result: dict[str, Any], where: str, path: Path) -> None:
    """Median ms per image over the number of instances."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.8))
    styles = (("--", "#777777"), ("o-", "#2a6fdb"), ("o-", "#d1495b"))
    for (way, ms), (line, color) in zip(result["ms"].items(), styles, strict=True):
        axes.plot(result["counts"], ms, line, color=color, ms=4, label=way)
    axes.set(xlabel="instances in the image", ylabel="ms per image", ylim=(0, None))
    axes.set_title(f"{result['model']} on {where}", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, bbox_inches="tight", dpi=130)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("models/demo"), help="its folder")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    args = parser.parse_args(arguments)
    try:
        device = resolve_device(args.device)
        start = time.perf_counter()
        result = measure(args.model, device, args.rounds)
    except CopeError as error:
        print(f"two_stage: {error}", file=sys.stderr)
        return 1
    where = "a GPU" if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    args.out.mkdir(parents=True, exist_ok=True)
    content = {"device": where, "seconds": round(time.perf_counter() - start, 1), **result}
    (args.out / "two_stage.json").write_text(json.dumps(content, indent=2) + "\n")
    plot(result, where, args.out / "two_stage.png")
    for way, ms in result["ms"].items():
        print(f"{way}: 1 instance {ms[0]:.1f} ms, {COUNTS[-1]} instances {ms[-1]:.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
