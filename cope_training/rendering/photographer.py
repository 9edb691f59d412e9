"""Who takes the picture of a shot whose labels the raster renderer has drawn."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from cope_ros.core.errors import CopeError
from cope_training.data.frames import Frame
from cope_training.files import write_json, written_whole
from cope_training.rendering.cycles.look import environments, random_look
from cope_training.rendering.cycles.process import PathTracer
from cope_training.rendering.scenes import Shot
from cope_training.rendering.studio import Studio

PATH_TRACED = "path_traced"  # folder of the pictures
LOOK_STREAM = 1  # random numbers apart from the scene's, which stays the raster renderer's


class Photographer:
    """The raster renderer's own picture; to be closed, as those that hold a process."""

    def __call__(self, studio: Studio, shot: Shot, frame: Frame, number: int) -> Frame:
        """The frame with its picture."""
        return frame

    def close(self) -> None:
        """Ends what was started."""


class CyclesPhotographer(Photographer):
    """Path-traced pictures, kept in a folder until they are asked for again.

    Labels take a tenth of a second, a picture many: a rendering that was stopped goes on after
    having read the pictures that are there.

    Args:
        tracer: is closed with this.
        folder: of the pictures, ``<number>.png``.
        pictures: HDR pictures, may be empty.
        seed: of looks.
    """

    def __init__(self, tracer: PathTracer, folder: Path, pictures: list[Path], seed: int) -> None:
        self._tracer, self._folder, self._pictures, self._seed = tracer, folder, pictures, seed
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, studio: Studio, shot: Shot, frame: Frame, number: int) -> Frame:
        """The frame with its path-traced picture, from the folder where it is there."""
        path = self._folder / f"{number:06d}.png"
        if path.is_file():
            with Image.open(path) as image:
                return replace(frame, image=np.array(image.convert("RGB")))
        look = random_look(np.random.default_rng([self._seed, number, LOOK_STREAM]), self._pictures)
        picture = self._tracer.render(shot, studio.renderer, look)
        with written_whole(path) as part:
            Image.fromarray(picture).save(part)
        return replace(frame, image=picture)

    def close(self) -> None:
        """Ends Blender."""
        self._tracer.close()


def make_photographer(options: argparse.Namespace) -> Photographer:
    """The one that ``cope_render``'s command line asks for.

    Raises:
        CopeError: Blender or the HDR pictures are missing, or the pictures of ``out`` were made by
            another command.
    """
    if options.renderer == "raster":
        return Photographer()
    pictures = environments(options.environments)
    folder = options.out / PATH_TRACED / options.split
    tracer = PathTracer(options.samples, options.threads)
    try:
        _check_same_command(folder, options)
        return CyclesPhotographer(tracer, folder, pictures, options.seed)
    except CopeError:
        tracer.close()
        raise


def _check_same_command(folder: Path, options: argparse.Namespace) -> None:
    """A picture of another scene under the same number would carry wrong labels."""
    decides = ("models", "instances", "size", "focal", "apparent_size", "backgrounds", "seed",
               "samples", "environments", "clutter")  # fmt: skip
    asked = json.loads(json.dumps({k: vars(options)[k] for k in decides}, default=str))
    path = folder / "command.json"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, asked)
        return
    made = json.loads(path.read_text())
    other = [f"--{k.replace('_', '-')} {made.get(k)}" for k in decides if made.get(k) != asked[k]]
    if other:
        raise CopeError(
            f"{folder}: its pictures were made with {', '.join(other)}; expected the same command, "
            "or another --out"
        )
