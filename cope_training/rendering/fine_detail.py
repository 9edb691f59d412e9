"""How fine pictures are: the mean absolute Laplacian of their grey values.

``python -m cope_training.rendering.fine_detail FOLDER ... --backgrounds FOLDER`` prints it for the
images of folders and for backgrounds as scenes get them (parts of 320x320).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cope_training.command import command_parser, run_command
from cope_training.data.photographs import is_image_name, read_image
from cope_training.rendering.backgrounds import load_photographs
from cope_training.rendering.textures import random_crop

SIDE = 320  # px
LIMIT = 40  # pictures of each folder


def fine_detail(image: np.ndarray) -> float:
    """Mean of |4 g - g_left - g_right - g_above - g_below|, gray levels of 0 to 255.

    Args:
        image: (H, W, 3) uint8.
    """
    g = image.mean(axis=2)
    inner = 4 * g[1:-1, 1:-1] - g[1:-1, :-2] - g[1:-1, 2:] - g[:-2, 1:-1] - g[2:, 1:-1]
    return float(np.abs(inner).mean())


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    program = "python -m cope_training.rendering.fine_detail"
    parser = command_parser("fine_detail", __doc__ or "", f"{program} lmo/test/000002/rgb")
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--backgrounds", type=Path, nargs="*", default=[])
    return run_command(parser, _run, arguments)


def _run(options: argparse.Namespace) -> None:
    for folder in options.folders:
        paths = sorted(p for p in folder.iterdir() if is_image_name(p))[:LIMIT]
        _say(folder, [fine_detail(read_image(path)) for path in paths])
    for folder in options.backgrounds:
        rng = np.random.default_rng(0)
        pictures = load_photographs(folder, LIMIT, rng)
        parts = [random_crop(rng, picture, (SIDE, SIDE)) for picture in pictures]
        _say(folder, [fine_detail(part) for part in parts])


def _say(folder: Path, values: list[float]) -> None:
    mean = f"{np.mean(values):.2f}" if values else "none"
    print(f"{folder}: {mean} in the mean of {len(values)}")


if __name__ == "__main__":
    sys.exit(main())
