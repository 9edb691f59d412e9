"""Which images of a rendered set go into which scene folder, and what is there already."""

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cope_ros.core.errors import CopeError
from cope_ros.core.json_fields import read_json

PARTS = ("rgb", "depth", "mask", "mask_visib")  # folders of a scene


@dataclass(frozen=True)
class ScenePlan:
    """Images that go into one scene folder; a number counts in the whole set."""

    folder: Path
    numbers: range


@dataclass(frozen=True)
class SetPlan:
    """A set of images in scenes of equal length, of which a shard takes every n-th scene.

    Shards share nothing but the set's folder: run after each other or at once, on one machine or
    several, together they write the files of one run without shards.
    """

    split: Path
    frames: int
    per_scene: int
    shard: tuple[int, int] = (1, 1)  # the i-th of n, from 1

    def scenes(self, start: int = 0) -> list[ScenePlan]:
        """The scenes to write, from the image number ``start`` on.

        Raises:
            CopeError: there are fewer scenes than shards.
        """
        end, (part, parts) = start + self.frames, self.shard
        numbers = range(start // self.per_scene, math.ceil(end / self.per_scene))
        if len(numbers) < parts:
            most = max(self.frames // parts, 1)
            raise CopeError(
                f"--shard {part}/{parts}: {self.frames} images are {len(numbers)} scenes of "
                f"{self.per_scene}; --images-per-scene {most} gives every shard one"
            )
        plans = []
        for scene in numbers:
            first, last = scene * self.per_scene, (scene + 1) * self.per_scene
            if scene % parts == part - 1:
                plans.append(
                    ScenePlan(self._folder(scene), range(max(first, start), min(last, end)))
                )
        return plans

    def start_of_more(self) -> int:
        """The number of the first image after those that are there.

        Raises:
            CopeError: a scene is broken, or longer than ``per_scene``.
        """
        there = self._there()
        if not there:
            return 0
        file = self._folder(there[-1]) / "scene_gt.json"
        count = len(read_json(file)) if file.exists() else 0
        if count > self.per_scene:
            raise CopeError(
                f"{file}: {count} images, more than --images-per-scene {self.per_scene}"
            )
        return there[-1] * self.per_scene + count

    def check_empty(self) -> None:
        """Raises CopeError: scenes of this shard are there already."""
        there = self._own()
        if there:
            raise CopeError(
                f"{self._folder(there[0])}: is there already; --overwrite replaces it, --append "
                "adds images after those that are there"
            )

    def clear(self) -> None:
        """Removes what this shard wrote before; other files in its scene folders stay."""
        for scene in self._own():
            folder = self._folder(scene)
            for name in PARTS:
                shutil.rmtree(folder / name, ignore_errors=True)
            for path in folder.glob("scene_*.json"):
                path.unlink()
            if not any(folder.iterdir()):
                folder.rmdir()

    def _folder(self, scene: int) -> Path:
        return self.split / f"{scene:06d}"

    def _there(self) -> list[int]:
        folders = self.split.iterdir() if self.split.is_dir() else ()
        return sorted(int(p.name) for p in folders if p.is_dir() and p.name.isdecimal())

    def _own(self) -> Sequence[int]:
        part, parts = self.shard
        return [scene for scene in self._there() if scene % parts == part - 1]


def same_json(first: Path, second: Path) -> bool:
    """Whether two JSON files hold the same; CopeError where one is broken."""
    return bool(read_json(first) == read_json(second))
