"""How well ids stay with their objects: MOTA, IDF1 and switches on an image sequence.

``python -m cope_training.evaluation.tracking --model models/demo --data models/demo/sequence``
scores the tracker on what the model finds and, to tell the tracker's faults from the model's, on
simulated detections of the ground truth; beside it the numbering of every frame by itself. Prints
a table and writes ``out/eval/tracking_<model>.json``.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.runtime import Estimate, Estimator
from cope_ros.core.errors import CopeError
from cope_ros.tracking import Tracker, TrackSettings
from cope_training.data.photographs import read_image
from cope_training.evaluation.metrics.ground_truth import read_available
from cope_training.evaluation.metrics.scenes import Scenes, find_scenes
from cope_training.evaluation.metrics.scores import MIN_VISIBILITY
from cope_training.evaluation.metrics.tables import GroundTruth
from cope_training.evaluation.mot import MotScore, TruthFrame
from cope_training.evaluation.track_simulation import GOOD, POOR, as_estimate, simulate
from cope_training.progress import ProgressBar

OUT = Path("out/eval")
RATE = 10.0  # Hz, of the demo's sequence
PAUSE = 5.0  # s between two scenes of a sequence, beyond the tracker's timeout
SIMULATED = {"good detector": GOOD, "poor detector": POOR}
SEEDS = (0, 1, 2)  # of the simulated detectors; their figures are means
ID = 10**6  # slots of one class, at most
CROWD, CROWD_FRAMES = 100, 100  # instances and frames of the timing
NUMBERINGS = {
    "left to right": TrackSettings(enable=False),
    "tracked": TrackSettings(),
    "tracked, confirm 2": TrackSettings(confirm=2),
}
COLUMNS = ("mota", "idf1", "switches", "fragmentations", "misses", "false_alarms", "flips")


def truth_frames(gts: GroundTruth, catalogue: Catalogue, rate: float) -> list[TruthFrame]:
    """The ground truth with identities, which BOP does not state.

    An object keeps its row from image to image; another list of objects is another scene.

    Args:
        rate: images per second.
    """
    index_of = {item.obj_id: c for c, item in enumerate(catalogue)}
    frames: list[TruthFrame] = []
    before: list[int] | None = None
    shot = -1
    for number, key in enumerate(gts.images):
        rows = (
            (gts.scene_id == key[0]) & (gts.im_id == key[1]) & np.isin(gts.obj_id, list(index_of))
        )
        names = [key[0], *gts.obj_id[rows].tolist()]
        shot += names != before
        before = names
        frame = TruthFrame(
            stamp=number / rate + PAUSE * shot,
            ids=shot * ID + np.arange(int(rows.sum())),
            class_index=np.array([index_of[i] for i in names[1:]], dtype=np.int64),
            R=gts.R[rows],
            t=gts.t[rows],
            wanted=gts.visibility[rows] >= MIN_VISIBILITY,
            shot=shot,
        )
        frames.append(frame)
    return frames


def score(
    frames: Sequence[TruthFrame],
    estimates: Iterable[Estimate],
    catalogue: Catalogue,
    settings: TrackSettings,
) -> dict[str, float]:
    """Runs a fresh tracker over estimates; measures of ``MotScore`` and its ms per frame."""
    tracker, result = Tracker(catalogue), MotScore(catalogue)
    spent = 0.0
    for frame, estimate in zip(frames, estimates, strict=True):
        start = time.perf_counter()
        tracked = tracker.track(frame.stamp, estimate, settings)
        spent += time.perf_counter() - start
        shown = tracked.slots >= 0
        found = tracked.estimate
        ids = found.class_index[shown] * ID + tracked.slots[shown]
        result.add(frame, ids, found.class_index[shown], found.R[shown], found.t[shown])
    return result.summary() | {"ms_per_frame": 1e3 * spent / max(len(frames), 1)}


def evaluate(
    frames: Sequence[TruthFrame], estimates: Sequence[Estimate], catalogue: Catalogue, model: str
) -> dict[str, dict[str, dict[str, float]]]:
    """Every numbering on what the model found and on every simulated detector."""
    sources = {model: [list(estimates)]}
    for name, defects in SIMULATED.items():
        sources[name] = [simulate(frames, catalogue, defects, seed) for seed in SEEDS]
    results: dict[str, dict[str, dict[str, float]]] = {}
    for source, runs in sources.items():
        results[source] = {}
        for numbering, settings in NUMBERINGS.items():
            rows = [score(frames, run, catalogue, settings) for run in runs]
            means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
            results[source][numbering] = means
    return results


def crowd_ms(catalogue: Catalogue, count: int = CROWD) -> float:
    """Median CPU time in ms of tracking one frame of ``count`` instances seen again and again."""
    rng = np.random.default_rng(0)
    t = rng.uniform([-0.5, -0.4, 0.6], [0.5, 0.4, 1.2], (count, 3))
    index = rng.integers(len(catalogue), size=count)
    R = Rotation.random(count, rng=rng).as_matrix()
    tracker, spent = Tracker(catalogue), []
    for number in range(CROWD_FRAMES):
        estimate = as_estimate(index, R, t + rng.normal(0, 0.005, t.shape))
        start = time.process_time()
        tracker.track(number / 30.0, estimate, TrackSettings())
        spent.append(time.process_time() - start)
    return 1e3 * float(np.median(spent[1:]))


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Markdown: one row per source of detections and numbering."""
    lines = [
        "| detections | numbering | MOTA | IDF1 | switches | fragments | misses | false alarms "
        "| flips |",
        "|---|---|" + "---:|" * len(COLUMNS),
    ]
    for source, rows in results.items():
        for numbering, row in rows.items():
            cells = [f"{row[key]:.3f}" for key in ("mota", "idf1")]
            cells += [f"{row[key]:.0f}" for key in COLUMNS[2:-1]]
            cells.append(f"{100 * row['flips']:.1f} %")
            lines.append("| " + " | ".join([source, numbering, *cells]) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model directory or model.pt")
    parser.add_argument("--data", type=Path, required=True, help="BOP scene with moving camera")
    parser.add_argument("--rate", type=float, default=RATE, help="images per second (%(default)s)")
    parser.add_argument("--limit", type=int, help="the first N images only")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--out", type=Path, default=OUT, help="default: %(default)s")
    args = parser.parse_args(arguments)
    try:
        return _run(args)
    except CopeError as error:
        print(f"tracking: {error}", file=sys.stderr)
        return 1


def _run(args: argparse.Namespace) -> int:
    scenes = find_scenes(args.data)
    gts = read_available(scenes, args.limit)
    estimator = Estimator.load(args.model, args.device)
    frames = truth_frames(gts, estimator.catalogue, args.rate)
    name = args.model.name if args.model.is_dir() else args.model.parent.name
    estimates = _estimates(estimator, scenes, gts)
    results = evaluate(frames, estimates, estimator.catalogue, name)
    crowd = crowd_ms(estimator.catalogue)
    content: dict[str, Any] = {
        "model": name,
        "data": scenes.root.name,
        "images": len(frames),
        "rate_hz": args.rate,
        "results": results,
        "crowd": {"instances": CROWD, "cpu_ms_per_frame": crowd},
    }
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / f"tracking_{name}.json"
    path.write_text(json.dumps(content, indent=2) + "\n")
    print(table(results))
    print(f"{CROWD} instances: {crowd:.2f} ms of CPU time per frame")
    print(f"written: {path}")
    return 0


def _estimates(estimator: Estimator, scenes: Scenes, gts: GroundTruth) -> list[Estimate]:
    """What the model finds in every image, without what tracking does not read."""
    progress, found = ProgressBar(), []
    for number, key in enumerate(gts.images):
        image = read_image(scenes.image_path(*key), str(scenes.root))
        estimate = estimator.estimate(image, gts.K[key])
        found.append(replace(estimate, keypoints=np.zeros((len(estimate), 0, 2))))
        progress("inference", (number + 1) / len(gts.images))
    return found


if __name__ == "__main__":
    sys.exit(main())
