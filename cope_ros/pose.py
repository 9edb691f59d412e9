"""``cope_pose``: the poses in one photograph, as a table, as JSON and as a picture. Needs no ROS.

The focal length comes from --fx (px), --fov (horizontal, degrees), --camera (a camera.json or a
calibration YAML) or, without any of them, from the photograph's EXIF.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cope_ros.bundled import model_path
from cope_ros.core.deployment.runtime import Estimate, Estimator
from cope_ros.core.errors import CopeError
from cope_ros.output.debug_image import draw_instances
from cope_ros.output.messages import quaternions_from_matrices
from cope_ros.photograph import read_photograph
from cope_ros.photograph_camera import camera_of
from cope_ros.tracking import left_to_right
from cope_training.command import OK, command_parser, number, run_command
from cope_training.files import check_output_file

PICTURE_SIZE = 1600  # px, longer side of the overlay: lines and letters stay readable


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(_parser(), _run, arguments)


def _parser() -> argparse.ArgumentParser:
    assert __doc__ is not None
    parser = command_parser(
        "cope_pose", __doc__, "cope_pose photo.jpg --model models/mine --fx 900"
    )
    parser.add_argument("photo", type=Path, help="JPEG, PNG, HEIC or another image file")
    parser.add_argument("--model", default="demo", help="model directory or bundled model")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--fx", type=number(1), help="focal length, px")
    source.add_argument("--fov", type=number(5, 170), help="horizontal field of view, degrees")
    source.add_argument("--camera", type=Path, help="camera.json or calibration YAML")
    parser.add_argument("--fy", type=number(1), help="vertical focal length, px (default: as fx)")
    parser.add_argument("--cx", type=number(), help="principal point, px (default: the middle)")
    parser.add_argument("--cy", type=number(), help="principal point, px (default: the middle)")
    parser.add_argument("--score-threshold", type=number(0, 1), help="default: the model's")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--out", type=Path, help="the picture (default: beside the photo, _cope)")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    return parser


def _run(options: argparse.Namespace) -> int:
    out = options.out or options.photo.with_name(f"{options.photo.stem}_cope.jpg")
    if out.resolve() == options.photo.resolve():
        raise CopeError(f"{out}: is the photograph itself; name another picture with --out")
    photo = read_photograph(options.photo, upright=options.camera is None)
    _check_picture(out)
    if photo.turned:
        kept = "left alone: the intrinsics are those of the stored pixels"
        _note(f"EXIF orientation {'applied' if options.camera is None else kept}")
    image, K, source = camera_of(options, photo)
    _note(source)
    estimator = Estimator.load(model_path(options.model), options.device)
    estimator.configure(score_threshold=options.score_threshold)
    estimate = estimator.estimate(image, K)
    names = estimator.catalogue.class_ids
    slots = left_to_right(estimate).tolist()
    pairs = zip(estimate.class_index.tolist(), slots, strict=True)
    ids = [f"{names[index]}_{slot}" for index, slot in pairs]
    poses = [_row(estimate, row, ids[row], names) for row in range(len(estimate))]
    height, width = image.shape[:2]
    content = {
        "image": str(options.photo),
        "width": width,
        "height": height,
        "K": K.tolist(),
        "poses": poses,
    }
    if not options.json:
        print("\n".join(table(poses)))
    print(json.dumps(content, indent=2))
    labels = [f"{i} {s:.2f}" for i, s in zip(ids, estimate.score.tolist(), strict=True)]
    _save(out, *_sized(image, K), estimate, estimator.catalogue, labels)
    _note(f"picture: {out}")
    return OK


def _row(estimate: Estimate, row: int, name: str, names: Sequence[str]) -> dict[str, Any]:
    sigma = np.sqrt(np.maximum(np.diagonal(estimate.covariance[row]), 0))
    turn = quaternions_from_matrices(estimate.R[row : row + 1])[0]
    return {
        "id": name,
        "class_id": names[int(estimate.class_index[row])],
        "score": round(float(estimate.score[row]), 4),
        "position_m": [round(float(v), 5) for v in estimate.t[row]],
        "quaternion_xyzw": [round(float(v), 6) for v in turn],
        "sigma_m_rad": [round(float(v), 5) for v in sigma],
    }


def table(poses: Sequence[dict[str, Any]]) -> list[str]:
    """Lines of text, best score first: position with twice its standard deviation, quaternion."""
    head = f"{'id':<20} {'score':>5}  {'x':>7} {'y':>7} {'z':>7} {'±z':>6}  quaternion xyzw"
    lines = [head, f"{'':<20} {'':>5}  {'m':>7} {'m':>7} {'m':>7} {'m':>6}"]
    for pose in poses:
        x, y, z = pose["position_m"]
        turn = " ".join(f"{value:+.3f}" for value in pose["quaternion_xyzw"])
        spread = 2 * pose["sigma_m_rad"][2]
        numbers = f"{x:7.3f} {y:7.3f} {z:7.3f} {spread:6.3f}"
        lines.append(f"{pose['id']:<20.20} {pose['score']:5.2f}  {numbers}  {turn}")
    return lines if poses else ["nothing found"]


def _check_picture(path: Path) -> None:
    """Refuses a picture that could not be written, before any work.

    Raises:
        CopeError: of an unknown format, or in a folder that cannot be written.
    """
    if not cv2.haveImageWriter(str(path)):
        raise CopeError(f"{path}: expected a picture's name for --out, such as out.jpg or out.png")
    try:
        check_output_file(path)
    except CopeError as error:
        raise CopeError(f"{error}; name another picture with --out") from error
    if not path.parent.is_dir():
        raise CopeError(f"{path.parent}: no such folder; name another picture with --out")


def _sized(image: np.ndarray, K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The image and its K in the size of the picture."""
    scale = PICTURE_SIZE / max(image.shape[:2])
    if scale >= 1:
        return image, K
    shift = (scale - 1) / 2  # pixel centres lie at integers
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return small, np.array([[scale, 0, shift], [0, scale, shift], [0, 0, 1]]) @ K


def _save(
    path: Path,
    image: np.ndarray,
    K: np.ndarray,
    estimate: Estimate,
    catalogue: Any,
    labels: Sequence[str],
) -> None:
    drawn = draw_instances(image, K, estimate, catalogue, labels)
    if not cv2.imwrite(str(path), cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR)):
        raise CopeError(f"{path}: cannot be written")


def _note(text: str) -> None:
    print(f"cope_pose: note: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
