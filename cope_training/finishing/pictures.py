"""A card's pictures: the curve of a training, and what its model finds in validation images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from cope_ros.core.deployment.runtime import Estimator
from cope_training.data.photographs import read_image
from cope_training.engine.pictures import ESTIMATE, TRUTH, draw_cuboids
from cope_training.engine.planning import MEASURED_ON
from cope_training.evaluation.metrics.scores import MIN_VISIBILITY
from cope_training.evaluation.validation import ValidationSet

SHEET = (3, 2)  # images beside and below one another
SHEET_SCALE = 0.75
JPEG_QUALITY = 88
CURVES = {"right": "as they are", "true_rotation": "true rotation", "true_depth": "true depth"}


def save_curve(
    path: Path,
    history: Sequence[Mapping[str, Any]],
    known: Sequence[Sequence[float]],
) -> None:
    """Validation recall over the crops, and that of a training whose figures are known.

    Args:
        path: of the PNG.
        history: entries of ``validator.read_history``.
        known: (crops, recall).
    """
    figure, axes = plt.subplots(figsize=(6.0, 3.4), dpi=110)
    entries = [entry for entry in history if "all" in entry["rows"]]
    crops = [entry["crops"] for entry in entries]
    for name, label in CURVES.items():
        axes.plot(crops, [entry["rows"]["all"][name] for entry in entries], "o-", label=label)
    if known:
        axes.plot(*np.transpose(known), "k--", linewidth=1, label=MEASURED_ON)
    axes.set(xlabel="crops", ylabel="ADD(-S) recall, half visible", ylim=(0, 1.02))
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def save_contact_sheet(path: Path, runner: Estimator, validation: ValidationSet) -> None:
    """Validation images, evenly spread, with true cuboids and what was found.

    Args:
        path: of the JPEG.
    """
    keys = validation.gts.images
    rows = np.rint(np.linspace(0, len(keys) - 1, min(len(keys), SHEET[0] * SHEET[1]))).astype(int)
    pictures = [_drawn(runner, validation, keys[i]) for i in np.unique(rows).tolist()]
    width, height = (round(side * SHEET_SCALE) for side in pictures[0].shape[1::-1])
    across = min(SHEET[0], len(pictures))
    sheet = Image.new("RGB", (across * width, -(-len(pictures) // across) * height), "white")
    for place, picture in enumerate(pictures):
        small = Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)
        sheet.paste(small, (place % across * width, place // across * height))
    sheet.save(path, quality=JPEG_QUALITY)


def _drawn(runner: Estimator, validation: ValidationSet, key: tuple[int, int]) -> np.ndarray:
    """One image with its cuboids."""
    gts, K = validation.gts, validation.gts.K[key]
    image = read_image(validation.scenes.image_path(*key), str(validation.scenes.root))
    rows = (gts.scene_id == key[0]) & (gts.im_id == key[1]) & (gts.visibility >= MIN_VISIBILITY)
    index = {item.obj_id: c for c, item in enumerate(runner.catalogue)}
    classes = [index[i] for i in gts.obj_id[rows].tolist()]
    truth = _matrices(gts.R[rows], gts.t[rows])
    found = runner.estimate(image, K)
    drawn = draw_cuboids(image, K, truth, classes, runner.catalogue, TRUTH)
    poses = _matrices(found.R, found.t)
    return draw_cuboids(drawn, K, poses, found.class_index.tolist(), runner.catalogue, ESTIMATE)


def _matrices(R: np.ndarray, t: np.ndarray) -> np.ndarray:
    T = np.tile(np.eye(4), (len(t), 1, 1))
    T[:, :3, :3], T[:, :3, 3] = R, t
    return T
