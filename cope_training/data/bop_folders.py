"""Where the scenes of a BOP data set lie, and what is there of each."""

import logging
from pathlib import Path

from cope_training.data.bop_json import image_number
from cope_training.data.notes import note_once

log = logging.getLogger(__name__)


def find_scene_folders(folder: Path, *names: str) -> dict[int, Path]:
    """scene_id -> folder of the scenes in a folder, ascending; of the folder itself if it is one.

    BOP names scenes by numbers. Where none is named so, others count, numbered from 0; else they
    are left out with a note, as are numbered folders without the file.

    Args:
        names: of the files, any of which makes a folder a scene, such as scene_gt.json.
    """

    def is_scene(path: Path) -> bool:
        return any((path / name).is_file() for name in names)

    if is_scene(folder):
        return {image_number(folder.name) or 0: folder}
    inside = sorted(p for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    scenes = [path for path in inside if is_scene(path)]
    numbered = {n: path for path in scenes if (n := image_number(path.name)) is not None}
    if not numbered:
        return dict(enumerate(scenes))
    bare = [p for p in inside if image_number(p.name) is not None and p not in scenes]
    _note_left_out(folder, bare, f"without {' and '.join(names)}")
    named = [p for p in scenes if p not in numbered.values()]
    _note_left_out(folder, named, "whose names are no scene numbers of their own")
    return dict(sorted(numbered.items()))


def _note_left_out(folder: Path, left: list[Path], what: str) -> None:
    if left:
        counted = f"({len(left)}), such as {left[0].name}"
        note_once(log, "%s: folders %s are left out %s", folder, what, counted)
