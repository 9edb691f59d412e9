"""Draws which locations a frame trains, pyramid level by level (the paper's Figure 7).

``python -m cope_training.tasks.draw_locations --out locations.png`` renders a frame of the demo
objects; ``--bop FOLDER`` takes one of a BOP set. Left the frame with the boxes of its objects,
then one picture for each level: filled squares train all losses, hollow ones the class alone,
crosses neither (the ignored band of visibility). Colours tell instances apart.
"""

import argparse
import colorsys
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.detection.locations import STRIDES, make_locations
from cope_ros.core.errors import CopeError
from cope_training.data.frames import Frame
from cope_training.data.sources import build_source
from cope_training.engine.configuration import BopConfig, TrainConfig, load_config
from cope_training.engine.pictures import TRUTH, draw_cuboids, side_by_side
from cope_training.tasks.dense.targets import IGNORE, TargetBuilder, Targets, VisibilityRules

ENLARGE = 3  # small crops are drawn larger, up to this factor
TARGET_SIDE = 480  # px
FADE = 0.45  # of the frame's brightness behind the locations


def draw(frame: Frame, catalogue: Catalogue, rules: VisibilityRules) -> np.ndarray:
    """(H, W, 3) uint8: the frame and its locations on each level, side by side."""
    targets = TargetBuilder(catalogue, rules)([frame])
    height, width = frame.image.shape[:2]
    factor = max(1, min(ENLARGE, TARGET_SIDE // max(height, 1)))
    seen = np.flatnonzero(frame.visibility >= rules.ignore)
    boxes = draw_cuboids(
        frame.image, frame.K, frame.T_cam_obj[seen], frame.class_index[seen].tolist(), catalogue,
        TRUTH,
    )  # fmt: skip
    panels = [_enlarged(boxes, factor)]
    centers, strides = make_locations(height, width, torch.device("cpu"))
    faded = _enlarged((frame.image * FADE).astype(np.uint8), factor)
    for stride in STRIDES:
        panel = Image.fromarray(faded)
        rows = (strides == stride).nonzero().flatten()
        _mark(ImageDraw.Draw(panel), rows, centers, factor, targets, frame)
        panels.append(np.asarray(panel))
    return side_by_side(panels)


def count_by_level(targets: Targets) -> dict[int, int]:
    """Locations of each stride (px) that regress."""
    return {stride: int((targets.strides == stride).sum()) for stride in STRIDES}


def _mark(
    pen: ImageDraw.ImageDraw,
    rows: torch.Tensor,
    centers: torch.Tensor,
    factor: int,
    targets: Targets,
    frame: Frame,
) -> None:
    instance = dict(zip(targets.rows.tolist(), targets.instance.tolist(), strict=True))
    assert frame.instance_map is not None
    for row in rows.tolist():
        label = int(targets.labels[0, row])
        if label < 0 and label != IGNORE:
            continue
        x, y = centers[row].tolist()
        # The label's own rule: the pixel right of and below the centre.
        seen = int(frame.instance_map[int(y + 0.5), int(x + 0.5)])
        color = _color(instance.get(row, seen))
        u, v, half = (x + 0.5) * factor, (y + 0.5) * factor, 1.2 * factor
        box = (u - half, v - half, u + half, v + half)
        if label == IGNORE:
            pen.line(box, fill=color)
            pen.line((u - half, v + half, u + half, v - half), fill=color)
        elif row in instance:
            pen.rectangle(box, fill=color)
        else:
            pen.rectangle(box, outline=color)


def _color(instance: int) -> tuple[int, int, int]:
    """Hues far apart for neighbouring numbers (golden ratio)."""
    r, g, b = colorsys.hsv_to_rgb(instance * 0.618034 % 1.0, 0.75, 1.0)
    return int(255 * r), int(255 * g), int(255 * b)


def _enlarged(image: np.ndarray, factor: int) -> np.ndarray:
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def read_frame(config: TrainConfig, catalogue: Catalogue, options: argparse.Namespace) -> Frame:
    """The frame that the command line asks for, with everything shown that training shows."""
    if options.bop is not None:
        bop = BopConfig(folder=str(options.bop), split=options.split)
        config = replace(config, data=replace(config.data, bop=bop))
    plain = replace(config, augment=replace(config.augment, scale=0.0))
    return build_source(plain, catalogue).open()(options.frame)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("config/training/object.yaml"))
    parser.add_argument("--frame", type=int, default=0, help="number in the training's sequence")
    parser.add_argument("--bop", type=Path, help="root of a BOP set instead of rendered frames")
    parser.add_argument("--split", default="train_pbr", help="of the BOP set (train_pbr)")
    parser.add_argument("--out", type=Path, default=Path("out/locations.png"))
    options = parser.parse_args(arguments)
    try:
        config = load_config(options.config)
        catalogue = Catalogue.from_models_info(config.data.models_info_path)
        frame = read_frame(config, catalogue, options)
    except CopeError as error:
        print(f"draw_locations: {error}", file=sys.stderr)
        return 1
    visibility = config.visibility
    rules = VisibilityRules(visibility.foreground, visibility.regression, visibility.ignore)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw(frame, catalogue, rules)).save(options.out)
    counts = count_by_level(TargetBuilder(catalogue, rules)([frame]))
    told = ", ".join(f"{n} at stride {stride}" for stride, n in counts.items())
    print(f"{options.out}: {len(frame.class_index)} objects; locations: {told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
