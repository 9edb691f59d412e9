"""``cope_render``: writes random scenes of given meshes as a BOP data set.

The default reproduces IC-BIN syn of the paper: 10 to 100 instances in every image. Image k depends
on the seed and k alone; a stopped run goes on with --append. With ``--renderer cycles`` the
same scenes are path-traced; the same command goes on where it stopped.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from cope_ros.core.errors import CopeError
from cope_training.command import command_parser, number, run_command, whole_number
from cope_training.data.bop_writer import DEPTH_SCALE, BopSceneWriter
from cope_training.data.set_plan import ScenePlan, SetPlan, same_json
from cope_training.files import check_output_folder, write_json, written_whole
from cope_training.progress import ProgressBar
from cope_training.rendering.meshes import load_mesh, save_ply
from cope_training.rendering.photographer import PATH_TRACED, Photographer, make_photographer
from cope_training.rendering.scene_config import SceneConfig
from cope_training.rendering.scenes import compose_scene, take
from cope_training.rendering.studio import Studio, find_mesh, load_objects

IMAGES_PER_SCENE = 1000  # as in BOP's train_pbr


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "cope_render", __doc__ or "",
        "cope_render models/demo out/boxes --frames 100",
        "cope_render models/demo out/boxes --frames 4000 --shard 2/4   # one of four jobs",
    )  # fmt: skip
    add, count, positive = parser.add_argument, whole_number(1), number(1.0)
    add("models", type=Path, help="folder with models_info.json and meshes (mm)")
    add("out", type=Path, help="data set folder to write")
    add("--frames", type=count, default=100, help="how many images (100)")
    add("--instances", type=count, nargs=2, default=(10, 100), metavar=("MIN", "MAX"))
    add("--split", default="train_pbr", help="name of the split's folder (train_pbr)")
    add("--size", type=whole_number(16, 8192), nargs=2, default=(640, 480),
        metavar=("WIDTH", "HEIGHT"))  # fmt: skip
    add("--focal", type=positive, nargs=2, default=(380.0, 800.0), metavar=("MIN", "MAX"),
        help="px")  # fmt: skip
    add("--apparent-size", type=positive, nargs=2, default=(50.0, 160.0), metavar=("MIN", "MAX"),
        help="px, focal length * diameter / distance")  # fmt: skip
    add("--backgrounds", type=Path, help="folder of photographs (jpg, png)")
    add("--seed", type=whole_number(0), default=0)
    add("--jpeg", type=whole_number(1, 100), metavar="QUALITY", help="write rgb as JPEG, not PNG")
    add("--renderer", choices=("raster", "cycles"), default="raster",
        help="raster (OpenGL), or cycles: path-traced, needs Blender's package bpy")  # fmt: skip
    add("--samples", type=count, default=16, help="cycles: paths per pixel (16)")
    add("--threads", type=whole_number(0), default=0, help="cycles: of rendering (all)")
    add("--environments", type=Path, help="cycles: folder of HDR pictures that light scenes")
    add("--clutter", type=Path, help="folder of everyday meshes (m) among the objects")
    add("--no-masks", action="store_true", help="leave out mask and mask_visib")
    add("--no-depth", action="store_true", help="leave out depth")
    add("--images-per-scene", type=count, default=IMAGES_PER_SCENE, help="(%(default)s)")
    add("--shard", type=shard, default=(1, 1), metavar="I/N",
        help="only the I-th of N parts (from 1), whole scenes; all parts make the set")  # fmt: skip
    there = parser.add_mutually_exclusive_group()
    there.add_argument("--overwrite", action="store_true", help="replace images that are there")
    there.add_argument("--append", action="store_true", help="add --frames more after them")
    return parser


def shard(text: str) -> tuple[int, int]:
    """A type of argparse's: "2/4" is the second of four."""
    try:
        part, parts = (int(word) for word in text.split("/"))
    except ValueError:
        part, parts = 0, 0
    if not 1 <= part <= parts:
        raise argparse.ArgumentTypeError(f"expected I/N with I from 1 to N, got {text}")
    return part, parts


def render_dataset(options: argparse.Namespace) -> int:
    """Writes the data set; image i depends on the seed and i alone.

    Returns:
        The number of images written.

    Raises:
        CopeError: images are there already, or the objects or backgrounds are at fault.
    """
    os.environ.setdefault("LP_NUM_THREADS", "1")
    check_output_folder(options.out)
    split = options.out / options.split
    plan = SetPlan(split, options.frames, options.images_per_scene, options.shard)
    scenes = plan.scenes(plan.start_of_more() if options.append else 0)
    # Labels of path-traced pictures are drawn anew; the pictures are kept elsewhere.
    goes_on = options.renderer == "cycles" and (options.out / PATH_TRACED / options.split).is_dir()
    replaces = options.overwrite or (goes_on and not options.append)
    if not options.append and not replaces:
        plan.check_empty()
    _check_models(options)
    with closing(make_photographer(options)) as photographer:
        clutter = str(options.clutter) if options.clutter else None
        objects = load_objects(options.models)
        studio = Studio(objects, options.backgrounds, options.seed, clutter_meshes=clutter)
        if replaces:
            plan.clear()
        _write_common(options, studio)
        return _write_scenes(options, scenes, studio, photographer)


def _write_scenes(
    options: argparse.Namespace, scenes: list[ScenePlan], studio: Studio, photographer: Photographer
) -> int:
    show, total, done = ProgressBar(), sum(len(s.numbers) for s in scenes), 0
    try:
        for scene in scenes:
            for _ in _write_scene(options, scene, studio, photographer):
                done += 1
                show("rendering", done / total)
    except KeyboardInterrupt:
        show.close()
        print(f"\n{done} of {total} images are whole; --append adds more", file=sys.stderr)
        raise
    return total


def _write_scene(
    options: argparse.Namespace, scene: ScenePlan, studio: Studio, photographer: Photographer
) -> Iterator[int]:
    """Writes a scene's images; yields the number of each."""
    config = replace(
        SceneConfig(),
        image_width=options.size[0], image_height=options.size[1],
        focal_min=options.focal[0], focal_max=options.focal[1],
        size_min=options.apparent_size[0], size_max=options.apparent_size[1], empty_share=0.0,
        clutter_meshes=str(options.clutter) if options.clutter else None,
    )  # fmt: skip
    append = options.append and scene.numbers.start % options.images_per_scene > 0
    writer = BopSceneWriter(scene.folder, studio.catalogue, options.jpeg, append=append)
    try:
        for index in scene.numbers:
            _write_frame(options, config, studio, photographer, writer, index)
            yield index
    finally:
        writer.close()


def _write_frame(
    options: argparse.Namespace,
    config: SceneConfig,
    studio: Studio,
    photographer: Photographer,
    writer: BopSceneWriter,
    index: int,
) -> None:
    rng = np.random.default_rng([options.seed, index])
    count = int(rng.integers(options.instances[0], options.instances[1] + 1))
    shot = compose_scene(rng, studio, config, count)
    frame, drawn = take(studio, shot)
    frame = photographer(studio, shot, frame, index)
    masks = None
    if not options.no_masks:
        masks = studio.renderer.silhouettes(shot.instances, shot.K, shot.size)
    writer.add(frame, drawn.pixels, None if options.no_depth else drawn.depth, masks)


def _check_models(options: argparse.Namespace) -> None:
    """Raises CopeError: the set has other models already."""
    ours, theirs = (f / "models_info.json" for f in (options.models, options.out / "models"))
    if not theirs.exists() or options.overwrite or not ours.is_file():
        return
    if not same_json(ours, theirs):
        raise CopeError(
            f"{theirs}: the set has other models than {ours}; --overwrite replaces them"
        )


def _write_common(options: argparse.Namespace, studio: Studio) -> None:
    """Writes the models (BOP: models/obj_000001.ply) and describes a typical camera."""
    models = options.out / "models"
    models.mkdir(parents=True, exist_ok=True)
    if models.resolve() != options.models.resolve():
        for item in studio.catalogue:
            source = find_mesh(options.models, item.obj_id, prefer_texture=False)
            with written_whole(models / f"obj_{item.obj_id:06d}.ply") as path:
                if source.suffix == ".ply" and b"TextureFile" not in source.read_bytes()[:2000]:
                    shutil.copyfile(source, path)
                else:  # what it names beside itself would be missing there
                    save_ply(path, replace(load_mesh(source), uv=None, texture=None))
        with written_whole(models / "models_info.json") as path:
            shutil.copyfile(options.models / "models_info.json", path)
    width, height = options.size
    focal = float(np.sqrt(options.focal[0] * options.focal[1]))
    camera = {"fx": focal, "fy": focal, "cx": (width - 1) / 2, "cy": (height - 1) / 2}
    camera |= {"width": width, "height": height, "depth_scale": DEPTH_SCALE}
    write_json(options.out / "camera.json", camera)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = _parser()

    def work(options: argparse.Namespace) -> None:
        for name in ("instances", "focal", "apparent_size"):
            low, high = getattr(options, name)
            if low > high:
                parser.error(f"--{name.replace('_', '-')}: expected MIN <= MAX, got {low} {high}")
        written = render_dataset(options)
        print(f"wrote {written} images to {options.out / options.split}")

    return run_command(parser, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
