"""Renders jobs with Blender's Cycles; a program of its own, started by ``process.PathTracer``.

Reads a line of JSON per job from standard input (``scene``: folder with scene.json, arrays.npz and
textures; ``out``: file without suffix; ``samples``; ``labels``) and answers each with a line.
It imports bpy, numpy and nothing of this package, so that it runs with the numpy that bpy needs.
"""

import json
import os
import sys
from pathlib import Path

import blender_scene  # beside this file
import bpy
import numpy as np


def main() -> None:
    """Serves jobs until standard input ends; whatever Blender prints goes nowhere."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    answers.write(f"ready {bpy.app.version_string}\n")
    for line in sys.stdin:
        job = json.loads(line)
        try:
            render(job)
            answers.write("done\n")
        except Exception as error:  # said to the parent, which raises it
            answers.write(f"failed {type(error).__name__}: {error}".replace("\n", " ") + "\n")


def render(job: dict) -> None:
    """One picture (``out``.png, straight alpha) or its labels (``out``.npy: depth and number)."""
    folder = Path(job["scene"])
    values = json.loads((folder / "scene.json").read_text())
    with np.load(folder / "arrays.npz") as file:
        arrays = dict(file)
    blender_scene.build(values, arrays, folder, labels=job["labels"])
    scene = bpy.context.scene
    configure(scene, values, job)
    if job["labels"]:
        scene.render.filepath = job["out"] + ".exr"
        bpy.ops.render.render(write_still=True)
        np.save(job["out"] + ".npy", read_labels(job["out"] + ".exr"))
    else:
        scene.render.filepath = job["out"] + ".png"
        bpy.ops.render.render(write_still=True)


def configure(scene: "bpy.types.Scene", values: dict, job: dict) -> None:
    """Engine, noise, filter, size and file format."""
    camera, labels = values["camera"], job["labels"]
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y = camera["width"], camera["height"]
    scene.render.resolution_percentage = 100
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = (
        camera["aspect_x"],
        camera["aspect_y"],
    )
    scene.render.threads_mode, scene.render.threads = "FIXED", job["threads"]
    scene.render.film_transparent = labels or not values["world"]["show"]
    cycles = scene.cycles
    cycles.samples = 1 if labels else job["samples"]
    cycles.seed = values["seed"] % (2**31 - 1)
    cycles.use_adaptive_sampling = False
    cycles.use_denoising = not labels
    cycles.max_bounces, cycles.sample_clamp_indirect = 6, 10.0
    cycles.pixel_filter_type = "BOX" if labels else "BLACKMAN_HARRIS"
    cycles.filter_width = 0.01 if labels else 1.5
    moves = not labels and any(camera["move"])
    scene.render.use_motion_blur, scene.render.motion_blur_shutter = moves, 1.0
    scene.view_settings.view_transform = "Raw" if labels else "Standard"
    image = scene.render.image_settings
    image.file_format = "OPEN_EXR" if labels else "PNG"
    image.color_mode, image.color_depth = "RGBA", "32" if labels else "8"


def read_labels(path: str) -> np.ndarray:
    """(H, W, 2) float32 from a float picture: depth in m, number of the object; row 0 on top."""
    image = bpy.data.images.load(path)
    image.colorspace_settings.name = "Non-Color"
    flat = np.empty(image.size[0] * image.size[1] * 4, np.float32)
    image.pixels.foreach_get(flat)
    bpy.data.images.remove(image)
    return flat.reshape(image_shape(path, flat))[::-1, :, :2].copy()


def image_shape(path: str, flat: np.ndarray) -> tuple:
    """(H, W, 4) of the render just made."""
    render = bpy.context.scene.render
    assert len(flat) == render.resolution_x * render.resolution_y * 4, path
    return render.resolution_y, render.resolution_x, 4


if __name__ == "__main__":
    main()
