"""How long scoring a result file takes, stage by stage.

``python -m cope_training.evaluation.benchmark RESULTS.csv DATA``
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cope_ros.core.errors import CopeError
from cope_training.data.bop_csv import read_results
from cope_training.evaluation.metrics import find_scenes, load_objects, measure, read_ground_truth
from cope_training.progress import ProgressBar


def benchmark(results: Path, data: Path) -> dict[str, float]:
    """Seconds of every stage, ``total`` last.

    Raises:
        CopeError: a file is missing or malformed.
    """
    start = time.perf_counter()
    scenes = find_scenes(data)
    objects = load_objects(scenes.models_folder)
    gts = read_ground_truth(scenes)
    seconds = {"data set": time.perf_counter() - start}
    before = time.perf_counter()
    ests = read_results(results, set(objects))
    seconds["result file"] = time.perf_counter() - before
    seconds |= measure(ests, gts, objects, progress=ProgressBar()).seconds
    return seconds | {"total": time.perf_counter() - start}


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="BOP result file")
    parser.add_argument("data", type=Path, help="BOP data set")
    args = parser.parse_args(arguments)
    try:
        seconds = benchmark(args.results, args.data)
    except CopeError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    for stage, spent in seconds.items():
        print(f"{stage:<12} {spent:8.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
