"""A folder of models: models_info.json (BOP's, mm) and meshes, to which objects are added.

Either this project's layout (``meshes/``, ``textured/``) or BOP's, with the meshes beside
models_info.json. What is there already stays as it is, keys that this project does not know too.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_ros.core.json_fields import read_json
from cope_training.files import check_output_folder, write_json, written_whole

INFO = "models_info.json"


class ModelsFolder:
    """Reads what is there; writes an object whole or not at all."""

    def __init__(self, folder: Path) -> None:
        """Raises CopeError: it cannot be written, or its models_info.json is broken."""
        check_output_folder(folder)
        self.folder = folder
        self._info: dict[str, Any] = {}
        if (folder / INFO).exists():
            self._info = read_json(folder / INFO)
            self.catalogue = Catalogue.from_dict(self._info, str(folder / INFO))
        else:
            self.catalogue = Catalogue(())

    @property
    def next_id(self) -> int:
        """The lowest obj_id beyond those that are there."""
        return max((item.obj_id for item in self.catalogue), default=0) + 1

    @property
    def is_bop(self) -> bool:
        """Whether meshes lie beside models_info.json."""
        return not (self.folder / "meshes").is_dir() and any(self.folder.glob("obj_*.ply"))

    def add(
        self, entry: Mapping[str, Any], meshes: Mapping[str, Callable[[Path], object]]
    ) -> Catalogue:
        """Adds an object under ``next_id``.

        Args:
            entry: of models_info.json, with its name.
            meshes: writers of the object's PLY files by sub-folder; in BOP's layout the one of
                "textured", if there is any, else that of "meshes".

        Returns:
            The catalogue with the object.

        Raises:
            CopeError: the name is taken, a file is there already, or the entry describes no
                object. Nothing was written then.
        """
        number = self.next_id
        self._check_name(str(entry["name"]))
        info = {**self._info, str(number): dict(entry)}
        catalogue = Catalogue.from_dict(info, str(self.folder / INFO))
        name = f"obj_{number:06d}.ply"
        places = {self.folder / sub / name: write for sub, write in meshes.items()}
        if self.is_bop:
            best = meshes.get("textured", meshes["meshes"])
            places = {self.folder / name: best}
        for path in places:
            if path.exists():
                raise CopeError(f"{path}: is there already, but not in {self.folder / INFO}")
        self._write(places, info)
        return catalogue

    def _check_name(self, name: str) -> None:
        for item in self.catalogue:
            if item.class_id.casefold() == name.casefold():
                raise CopeError(
                    f"{self.folder / INFO}: an object is named {item.class_id!r} already"
                )

    def _write(self, places: Mapping[Path, Callable[[Path], object]], info: dict[str, Any]) -> None:
        made = [path for path in (self.folder, *(p.parent for p in places)) if not path.exists()]
        try:
            for path, write in places.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                with written_whole(path) as beside:
                    write(beside)
            write_json(self.folder / INFO, info)
        except BaseException:
            for path in places:
                path.unlink(missing_ok=True)
            for folder in reversed(made):
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()
            raise


def cleaned_name(text: str) -> str:
    """A class's name without spaces at its ends.

    Raises:
        CopeError: what is left is empty or no part of a topic-like name: TF has it too.
    """
    name = text.strip()
    if not name or name in (".", "..") or not name.isprintable() or "/" in name or "\\" in name:
        raise CopeError(
            f"name: expected printable characters without slashes, got {text!r} (--name)"
        )
    return name
