"""BOP's targets files: which images are evaluated and how many instances of each object.

Source: BOP Challenge 2019, ``test_targets_bop19.json`` (``scene_id, im_id, obj_id, inst_count``),
and 2024, ``test_targets_bop24.json`` (``scene_id, im_id`` alone: detection).
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cope_ros.core.errors import CopeError
from cope_ros.core.json_fields import read_json, whole_number
from cope_training.data.notes import note_once

log = logging.getLogger(__name__)

Image = tuple[int, int]  # scene_id, im_id


@dataclass(frozen=True)
class Targets:
    """The content of a targets file."""

    path: Path
    images: frozenset[Image]
    counts: Mapping[tuple[int, int, int], int] | None  # (scene, image, object); None in BOP24

    def check(
        self, annotated: Mapping[tuple[int, int, int], int], images: frozenset[Image]
    ) -> None:
        """Makes sure that no target asks for more than the ground truth has.

        Args:
            annotated: instances in the ground truth by scene, image and object.
            images: that have ground truth; of others the targets are left out with a note.

        Raises:
            CopeError: one does; or the file names no image that has ground truth.
        """
        missing = sorted(self.images - images)
        if len(missing) == len(self.images):
            raise CopeError(f"{self.path}: names none of the images that have ground truth")
        if missing:
            scene_id, im_id = missing[0]
            note_once(
                log,
                "%s: targets in images without ground truth are left out (%d images), such as "
                "scene %d image %d",
                *(self.path, len(missing), scene_id, im_id),
            )
        for (scene_id, im_id, obj_id), count in (self.counts or {}).items():
            there = annotated.get((scene_id, im_id, obj_id), 0)
            if (scene_id, im_id) in images and there < count:
                raise CopeError(
                    f"{self.path}: scene {scene_id} image {im_id}: asks for {count} instances of "
                    f"object {obj_id}, but the ground truth has {there}"
                )


def read_targets(path: Path) -> Targets:
    """Reads a targets file of either form.

    Raises:
        CopeError: it is none; names the place and the key.
    """
    entries = read_json(path)
    if not isinstance(entries, list):
        raise CopeError(f"{path}: expected a list of targets, got a {type(entries).__name__}")
    counts: dict[tuple[int, int, int], int] = {}
    images: set[Image] = set()
    for place, entry in enumerate(entries):
        where = f"{path}: target {place}"
        image = whole_number(entry, "scene_id", where), whole_number(entry, "im_id", where)
        images.add(image)
        if "obj_id" in entry or "inst_count" in entry:
            key = (*image, whole_number(entry, "obj_id", where))
            count = whole_number(entry, "inst_count", where)
            if count < 1:
                raise CopeError(f"{where}: inst_count: expected at least 1, got {count}")
            if counts.setdefault(key, count) != count:
                raise CopeError(f"{where}: inst_count: {count}, but {counts[key]} before")
    if counts and len({key[:2] for key in counts}) < len(images):
        raise CopeError(f"{path}: expected obj_id and inst_count in all targets or in none")
    return Targets(path, frozenset(images), counts or None)
