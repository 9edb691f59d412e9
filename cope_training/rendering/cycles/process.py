"""Starts Blender in a process of its own and has it render shots.

Blender's package brings another numpy and is under the GPL: it is neither imported here nor
installed with this package. ``COPE_BPY`` names the folder of ``pip install --target FOLDER bpy``.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from cope_ros.core.errors import CopeError
from cope_training.rendering.cycles.look import Look
from cope_training.rendering.cycles.translation import translate
from cope_training.rendering.renderer import Renderer
from cope_training.rendering.scenes import Shot

WORKER = Path(__file__).with_name("worker.py")
FOLDER = "COPE_BPY"


def blender_folder() -> str | None:
    """What the worker needs on its path: a folder, "" where bpy is installed, None: no bpy."""
    folder = os.environ.get(FOLDER, "")
    if folder:
        return folder if (Path(folder) / "bpy").is_dir() else None
    return "" if importlib.util.find_spec("bpy") else None


class PathTracer:
    """A running Blender, to be closed.

    Args:
        samples: paths per pixel; noise beyond them is filtered away.
        threads: of rendering, 0 all.

    Raises:
        CopeError: bpy is missing or does not start.
    """

    def __init__(self, samples: int = 16, threads: int = 0) -> None:
        folder = blender_folder()
        if folder is None:
            raise CopeError(
                "path tracing needs Blender's package bpy: pip install --target FOLDER bpy "
                f'"numpy<2", then {FOLDER}=FOLDER; wheels exist for few versions of Python'
            )
        self._samples, self._threads = samples, threads or os.cpu_count() or 1
        self._scratch = tempfile.TemporaryDirectory(prefix="cope_cycles_")
        self._complaints = (Path(self._scratch.name) / "stderr").open("w+")  # a pipe would fill up
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        environment |= {"PYTHONPATH": folder} if folder else {}
        self._process = subprocess.Popen(
            [sys.executable, "-s", str(WORKER)], env=environment, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints,
        )  # fmt: skip
        try:
            self._expect("ready")
        except CopeError:
            self.close()
            raise

    def render(self, shot: Shot, renderer: Renderer, look: Look) -> np.ndarray:
        """(H, W, 3) uint8 sRGB: the shot, path-traced, before its background."""
        out = self._run(shot, renderer, look, labels=False)
        with Image.open(f"{out}.png") as image:
            rgba = np.asarray(image.convert("RGBA")).astype(np.float32)
        cover = rgba[..., 3:] / 255.0
        mixed = rgba[..., :3] * cover + shot.background * (1.0 - cover)
        return np.rint(mixed).astype(np.uint8)

    def labels(self, shot: Shot, renderer: Renderer) -> tuple[np.ndarray, np.ndarray]:
        """Depth (H, W) m, 0 where nothing is, and the placement's number from 1, as
        ``Renderer.draw_labels`` gives them."""
        out = self._run(shot, renderer, Look.plain(), labels=True)
        both = np.load(f"{out}.npy")
        return both[..., 0], np.rint(both[..., 1]).astype(np.int64)

    def _run(self, shot: Shot, renderer: Renderer, look: Look, labels: bool) -> str:
        folder = Path(self._scratch.name)
        scene = translate(shot, renderer.meshes, renderer.textures, look)
        (folder / "scene.json").write_text(json.dumps(scene.values))
        np.savez(folder / "arrays.npz", **scene.arrays)  # type: ignore[arg-type]
        for handle, picture in scene.textures.items():
            path = folder / f"texture{handle}.png"
            if not path.exists():  # a handle's picture never changes
                Image.fromarray(picture).save(path, compress_level=1)
        job = {"scene": str(folder), "out": str(folder / "out"), "samples": self._samples,
               "threads": self._threads, "labels": labels}  # fmt: skip
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
        except OSError:
            self._fail()
        self._expect("done")
        return str(folder / "out")

    def _expect(self, word: str) -> None:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            self._fail()
        if not answer.startswith(word):
            raise CopeError(f"Blender: {answer.strip().removeprefix('failed ')}")

    def _fail(self) -> None:
        self._process.wait()
        self._complaints.seek(0)
        lines = self._complaints.read().strip().splitlines()
        raise CopeError(f"Blender ended: {lines[-1] if lines else 'without a word'}")

    def close(self) -> None:
        """Ends Blender and removes what was exchanged."""
        self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._complaints):
            if pipe is not None:
                pipe.close()
        self._scratch.cleanup()
