"""A model's folder as the node takes it: which files, and those that are missing."""

import shutil
from pathlib import Path
from typing import Any

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.json_fields import read_json
from cope_training.files import write_json
from cope_training.rendering.studio import find_mesh

MESHES = ("meshes", "textured")
README, CARD = "README.md", "CARD.md"
MARK = "<!-- written by cope_train -->"  # of cards that may be written again


def add_objects(models: Path, folder: Path, catalogue: Catalogue) -> None:
    """Puts ``models_info.json`` and meshes beside a model, where they are not there already."""
    if folder.resolve() == models.resolve():
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "models_info.json", _named(models / "models_info.json", catalogue))
    for name in MESHES:
        if (models / name).is_dir():
            shutil.copytree(models / name, folder / name, dirs_exist_ok=True)
    if not (models / MESHES[0]).is_dir():  # BOP keeps them beside models_info.json
        (folder / MESHES[0]).mkdir(exist_ok=True)
        for item in catalogue:
            path = find_mesh(models, item.obj_id, prefer_texture=False)
            shutil.copyfile(path, folder / MESHES[0] / path.name)


def _named(path: Path, catalogue: Catalogue) -> dict[str, Any]:
    """A models_info.json with the names that a model gives: BOP's own files have none."""
    info: dict[str, dict[str, Any]] = read_json(path)
    for key in info:
        name = {"name": catalogue[catalogue.index_of(int(key))].class_id}
        info[key] = name | info[key] | name  # first, whatever the file calls it
    return info


def card_path(folder: Path) -> Path:
    """Where a card goes: README.md, unless a person wrote that."""
    readme = folder / README
    own = not readme.exists() or MARK in readme.read_text()
    return readme if own else folder / CARD


def missing(model: Path) -> list[str]:
    """What a model's folder lacks, in words."""
    folder = model.parent
    wanted = {
        model.name: "the model",
        f"{model.stem}.sha256": "its checksum",
        "models_info.json": "the objects",
        MESHES[0]: "the objects' meshes, for pictures and markers",
        card_path(folder).name: "the card",
    }
    return [f"{name} ({what})" for name, what in wanted.items() if not (folder / name).exists()]
