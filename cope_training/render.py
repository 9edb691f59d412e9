"""``cope_render``: writes random scenes of given meshes as a BOP data set.

The default reproduces IC-BIN syn of the paper: 10 to 100 instances in every image. With
``--renderer cycles`` the same scenes are path-traced; the same command goes on where it stopped.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cope_ros.core.errors import CopeError
from cope_training.data.bop_writer import DEPTH_SCALE, BopSceneWriter
from cope_training.rendering.photographer import Photographer, make_photographer
from cope_training.rendering.scene_config import SceneConfig
from cope_training.rendering.scenes import compose_scene, take
from cope_training.rendering.studio import Studio, find_mesh, load_objects

IMAGES_PER_SCENE = 1000  # as in BOP's train_pbr


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="cope_render", description="Render scenes of known objects as a BOP data set."
    )
    add = parser.add_argument
    add("models", type=Path, help="folder with models_info.json and meshes (mm)")
    add("out", type=Path, help="data set folder to write")
    add("--frames", type=int, default=100, help="how many images (100)")
    add("--instances", type=int, nargs=2, default=(10, 100), metavar=("MIN", "MAX"))
    add("--split", default="train_pbr", help="name of the split's folder (train_pbr)")
    add("--size", type=int, nargs=2, default=(640, 480), metavar=("WIDTH", "HEIGHT"))
    add("--focal", type=float, nargs=2, default=(380.0, 800.0), metavar=("MIN", "MAX"), help="px")
    add("--apparent-size", type=float, nargs=2, default=(50.0, 160.0), metavar=("MIN", "MAX"),
        help="px, focal length * diameter / distance")  # fmt: skip
    add("--backgrounds", type=Path, help="folder of photographs (jpg, png)")
    add("--seed", type=int, default=0)
    add("--jpeg", type=int, metavar="QUALITY", help="write rgb as JPEG instead of PNG")
    add("--renderer", choices=("raster", "cycles"), default="raster",
        help="raster (OpenGL), or cycles: path-traced, needs Blender's package bpy")  # fmt: skip
    add("--samples", type=int, default=16, help="cycles: paths per pixel (16)")
    add("--threads", type=int, default=0, help="cycles: of rendering (all)")
    add("--environments", type=Path, help="cycles: folder of HDR pictures that light scenes")
    add(
        "--clutter",
        type=Path,
        help="folder of everyday meshes (m) among the objects",
    )
    add("--no-masks", action="store_true", help="leave out mask and mask_visib")
    add("--no-depth", action="store_true", help="leave out depth")
    options = parser.parse_args(arguments)
    low, high = options.instances
    if not 1 <= low <= high:
        parser.error(f"--instances: expected 1 <= MIN <= MAX, got {low} {high}")
    if options.frames < 1:
        parser.error(f"--frames: expected at least 1, got {options.frames}")
    return options


def render_dataset(options: argparse.Namespace) -> int:
    """Writes the data set; frame i depends on the seed and i alone.

    Returns:
        The number of instances written.
    """
    os.environ.setdefault("LP_NUM_THREADS", "1")
    config = replace(
        SceneConfig(),
        image_width=options.size[0], image_height=options.size[1],
        focal_min=options.focal[0], focal_max=options.focal[1],
        size_min=options.apparent_size[0], size_max=options.apparent_size[1], empty_share=0.0,
        clutter_meshes=str(options.clutter) if options.clutter else None,
    )  # fmt: skip
    with make_photographer(options) as photographer:
        objects = load_objects(options.models)
        studio = Studio(
            objects, options.backgrounds, options.seed, clutter_meshes=config.clutter_meshes
        )
        _write_common(options, studio)
        return _write_scenes(options, config, studio, photographer)


def _write_scenes(
    options: argparse.Namespace, config: SceneConfig, studio: Studio, photographer: Photographer
) -> int:
    written = 0
    writer: BopSceneWriter | None = None
    try:
        for number in range(options.frames):
            if number % IMAGES_PER_SCENE == 0:
                if writer is not None:
                    writer.close()
                folder = options.out / options.split / f"{number // IMAGES_PER_SCENE:06d}"
                writer = BopSceneWriter(folder, studio.catalogue, options.jpeg)
            assert writer is not None
            written += _write_frame(options, config, studio, photographer, writer, number)
            if sys.stderr.isatty():
                print(f"\r{number + 1}/{options.frames}", end="", file=sys.stderr, flush=True)
    finally:  # what is there after Ctrl-C is a data set, too
        if writer is not None:
            writer.close()
    return written


def _write_frame(
    options: argparse.Namespace,
    config: SceneConfig,
    studio: Studio,
    photographer: Photographer,
    writer: BopSceneWriter,
    number: int,
) -> int:
    rng = np.random.default_rng([options.seed, number])
    count = int(rng.integers(options.instances[0], options.instances[1] + 1))
    shot = compose_scene(rng, studio, config, count)
    frame, drawn = take(studio, shot)
    frame = photographer(studio, shot, frame, number)
    masks = None
    if not options.no_masks:
        masks = studio.renderer.silhouettes(shot.instances, shot.K, shot.size)
    writer.add(frame, drawn.pixels, None if options.no_depth else drawn.depth, masks)
    return len(shot.instances)


def _write_common(options: argparse.Namespace, studio: Studio) -> None:
    """Copies the models (BOP: models/obj_000001.ply) and describes a typical camera."""
    models = options.out / "models"
    models.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(options.models / "models_info.json", models / "models_info.json")
    for item in studio.catalogue:
        path = find_mesh(options.models, item.obj_id, prefer_texture=False)
        shutil.copyfile(path, models / path.name)
    width, height = options.size
    focal = float(np.sqrt(options.focal[0] * options.focal[1]))
    camera = {"fx": focal, "fy": focal, "cx": (width - 1) / 2, "cy": (height - 1) / 2}
    camera |= {"width": width, "height": height, "depth_scale": DEPTH_SCALE}
    (options.out / "camera.json").write_text(json.dumps(camera, indent=2) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 when done, 2 with one sentence when the input is at fault."""
    options = parse_arguments(arguments)
    try:
        written = render_dataset(options)
    except CopeError as error:
        print(f"cope_render: {error}", file=sys.stderr)
        return 2
    print(f"wrote {options.frames} images with {written} instances to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
