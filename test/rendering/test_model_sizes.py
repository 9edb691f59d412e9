"""Meshes that are not what models_info.json says: one line with both sizes, everywhere."""

import json
from pathlib import Path

import pytest
import torch

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_training.evaluation.metrics.objects import load_objects as load_eval_objects
from cope_training.rendering.meshes import models_info_entry, save_ply
from cope_training.rendering.primitives import cuboid
from cope_training.rendering.studio import load_objects
from cope_training.tasks.refiner.surface_points import surface_points


def folder_of(path: Path, unit: float, moved: float = 0.0) -> Path:
    """A models folder of a box of 1 m, whose mesh is in another unit or moved by so many m."""
    path.mkdir()
    box = cuboid()
    (path / "models_info.json").write_text(json.dumps({"7": models_info_entry(box, "box")}))
    box.vertices[:, 0] += moved
    save_ply(path / "obj_000007.ply", box, unit)
    return path


def read_points(folder: Path) -> torch.Tensor:
    catalogue = Catalogue.from_models_info(folder / "models_info.json")
    return surface_points(folder, catalogue, 16)


@pytest.mark.parametrize("load", [load_objects, load_eval_objects, read_points])
def test_meshes_of_other_sizes_are_refused_with_both(tmp_path: Path, load) -> None:
    load(folder_of(tmp_path / "right", 0.001))  # millimetres, as BOP has it
    text = r"metres/obj_000007\.ply: object 7: .* 1000 x 1000 x 1000 mm, got 1 x 1 x 1 mm .*m inst"
    with pytest.raises(CopeError, match=text):
        load(folder_of(tmp_path / "metres", 1.0))
    with pytest.raises(CopeError, match=r"got 2000 x 2000 x 2000 mm$"):
        load(folder_of(tmp_path / "double", 0.0005))
    with pytest.raises(CopeError, match=r"begins at -500, -500, -500 mm, got -400, -500, -500 mm"):
        load(folder_of(tmp_path / "moved", 0.001, 0.1))
    load(folder_of(tmp_path / "rounded", 0.001, 0.01))
