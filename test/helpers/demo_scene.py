"""A tiny BOP data set and model directory for the demonstration's tests."""

import json
from pathlib import Path

import cv2
import numpy as np
import trimesh

from cope_ros.core.catalogue import MM, Catalogue

K = np.array([[150.0, 0.0, 80.0], [0.0, 152.0, 60.0], [0.0, 0.0, 1.0]])
SIZE = (160, 120)  # width, height, px
BRICK = (60.0, 40.0, 20.0)  # mm; turned by 180 degrees about z it looks the same
WEDGE = (30.0, 50.0, 70.0)  # mm; no symmetry
HALF_TURN = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_model(folder: Path) -> Catalogue:
    """Writes models_info.json and the meshes of two boxes; model.pt is an empty file."""
    (folder / "meshes").mkdir(parents=True)
    (folder / "model.pt").touch()
    infos = {}
    for obj_id, (name, size) in enumerate({"brick": BRICK, "wedge": WEDGE}.items(), start=1):
        trimesh.creation.box(size).export(folder / "meshes" / f"obj_{obj_id:06d}.ply")
        low = {f"min_{axis}": -side / 2 for axis, side in zip("xyz", size, strict=True)}
        sides = {f"size_{axis}": side for axis, side in zip("xyz", size, strict=True)}
        infos[str(obj_id)] = {"name": name, "diameter": np.linalg.norm(size), **low, **sides}
    infos["1"]["symmetries_discrete"] = [HALF_TURN.reshape(-1).tolist()]
    (folder / "models_info.json").write_text(json.dumps(infos))
    return Catalogue.from_models_info(folder / "models_info.json")


def poses(im_id: int) -> dict[int, np.ndarray]:
    """T_cam_obj (4, 4) in metres by obj_id: one brick and one wedge, moving with the image."""
    turn = trimesh.transformations.euler_matrix(0.4, -0.3, 0.2 * im_id)
    left, right = turn.copy(), turn.T.copy()
    left[:3, 3] = -0.06, 0.01 * im_id, 0.4
    right[:3, 3] = 0.05, 0.01, 0.35 + 0.02 * im_id
    return {1: left, 2: right}


def write_scene(folder: Path, images: int, visibility: float = 1.0) -> None:
    """Writes a BOP scene of random images with the poses above as ground truth."""
    (folder / "rgb").mkdir(parents=True)
    rng = np.random.default_rng(0)
    cameras, truths, infos = {}, {}, {}
    for im_id in range(images):
        pixels = rng.integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "rgb" / f"{im_id:06d}.png"), pixels)
        cameras[im_id] = {"cam_K": K.reshape(-1).tolist(), "depth_scale": 1.0}
        truths[im_id] = [
            {
                "obj_id": obj_id,
                "cam_R_m2c": T[:3, :3].reshape(-1).tolist(),
                "cam_t_m2c": (T[:3, 3] / MM).tolist(),
            }
            for obj_id, T in poses(im_id).items()
        ]
        infos[im_id] = [{"visib_fract": visibility} for _ in truths[im_id]]
    for name, content in (("camera", cameras), ("gt", truths), ("gt_info", infos)):
        (folder / f"scene_{name}.json").write_text(json.dumps(content))
