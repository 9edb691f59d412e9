"""Where training frames come from: rendered, read from a BOP set, mixed, scaled.

Every source is a small picklable description; ``open`` prepares a worker process.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_ros.core.network.presets import get_preset
from cope_training.data.bop_stream import BopStream
from cope_training.data.crops import scale_about
from cope_training.data.frames import Frame, FrameSource
from cope_training.data.instance_crops import BLOCK, InstanceCropFrames
from cope_training.engine.configuration import CROP_HEAD, REFINER, DataConfig, TrainConfig
from cope_training.rendering.scene_config import SceneConfig, make_scene_config
from cope_training.tasks.refiner.config import MARGIN

SCALE_MODES = ("intrinsics", "depth")
REPEAT_POOL = 64  # distance of two uses, in new frames; at a start all uses are new for as long
MAX_KEPT = 1024  # frames that wait for their next use


@dataclass(frozen=True)
class RenderedFrames:
    """Random crops of rendered scenes; frame i depends on the seed and i alone."""

    scene: SceneConfig
    seed: int  # of the frames and of the pools of pictures

    def open(self) -> Callable[[int], Frame]:
        """Opens a renderer and uploads everything."""
        os.environ["LP_NUM_THREADS"] = "0"  # Mesa draws in this thread; set before the context
        from cope_training.rendering.scenes import sample_crop
        from cope_training.rendering.studio import Studio, load_objects

        objects = load_objects(self.scene.models, self.scene.max_faces)
        studio = Studio.for_scenes(objects, self.scene, self.seed)

        def render(number: int) -> Frame:
            return sample_crop(np.random.default_rng([self.seed, number]), studio, self.scene)

        return render


@dataclass(frozen=True)
class BopFrames:
    """Images of a BOP split in random order, see ``BopStream``."""

    folder: Path  # of the split
    catalogue: Catalogue
    seed: int
    crop: int = 0  # px, 0: whole images

    def open(self) -> Callable[[int], Frame]:
        """Lists the images."""
        return BopStream(self.folder, self.catalogue, self.seed, self.crop)


@dataclass(frozen=True)
class MixedFrames:
    """Two sources in turn, the first with an exact share of any run of frames."""

    first: FrameSource
    second: FrameSource
    share: float  # of the first, in (0, 1)

    def open(self) -> Callable[[int], Frame]:
        """Opens both."""
        first, second = self.first.open(), self.second.open()

        def read(number: int) -> Frame:
            before = int(np.floor(number * self.share))  # frames of the first until here
            if int(np.floor((number + 1) * self.share)) > before:
                return first(before)
            return second(number - before)

        return read


@dataclass(frozen=True)
class RepeatedFrames:
    """Each frame of a source several times, ``repeats * pool`` frames apart.

    One frame in ``repeats`` is new, so that rendering keeps an even pace; what differs between
    the times a frame is shown is the augmentation.
    """

    source: FrameSource
    repeats: int  # of each frame
    pool: int = REPEAT_POOL

    def open(self) -> Callable[[int], Frame]:
        """Opens the source."""
        read = self.source.open()
        kept: dict[int, Frame] = {}

        def repeated(number: int) -> Frame:
            turn, age = divmod(number, self.repeats)
            own = turn + (self.repeats - 1 - age) * self.pool
            if own not in kept:
                if len(kept) >= self.repeats * self.pool:  # of several workers, none sees all uses
                    for old in [k for k in kept if k < turn]:
                        del kept[old]
                kept[own] = read(own)
            return kept[own]

        return repeated


@dataclass(frozen=True)
class ScaledFrames:
    """Frames enlarged or made smaller by up to ``limit``, the geometry following."""

    source: FrameSource
    limit: float  # share, 0.05 as published
    by: str  # one of SCALE_MODES
    seed: int

    def open(self) -> Callable[[int], Frame]:
        """Opens the source."""
        read = self.source.open()

        def scaled(number: int) -> Frame:
            rng = np.random.default_rng([self.seed, 2, number])
            factor = rng.uniform(1.0 - self.limit, 1.0 + self.limit)
            return scale_about(read(number), factor, self.by)

        return scaled


def check_recorded(config: TrainConfig, catalogue: Catalogue) -> None:
    """Reads the ground truth of the BOP set once, if there is one: its faults come at the start.

    Raises:
        CopeError: names the file, the image and the key.
    """
    bop = config.data.bop
    if bop.folder and bop.share > 0:
        folder = Path(config.data.path("bop.folder")) / bop.split
        BopStream(folder, catalogue, config.seed, bop.crop).check()


def training_scenes(data: DataConfig) -> SceneConfig:
    """The random scenes that a training renders, environment variables put in.

    Raises:
        CopeError: unknown keys, or a variable is not set.
    """
    backgrounds = data.path("backgrounds") or None
    return make_scene_config(data.scene, models=data.path("meshes"), backgrounds=backgrounds)


def build_source(config: TrainConfig, catalogue: Catalogue) -> FrameSource:
    """The source that a configuration names.

    Raises:
        CopeError: a value is out of its range; names the key.
    """
    data, bop, augment = config.data, config.data.bop, config.augment
    if not 0.0 <= bop.share <= 1.0:
        raise CopeError(f"data.bop.share: expected 0 to 1, got {bop.share}")
    if not 0.0 <= augment.scale < 0.5:
        raise CopeError(f"augment.scale: expected 0 to 0.5, got {augment.scale}")
    if augment.scale_by not in SCALE_MODES:
        modes = " or ".join(SCALE_MODES)
        raise CopeError(f"augment.scale_by: expected {modes}, got {augment.scale_by!r}")
    if data.repeats < 1:
        raise CopeError(f"data.repeats: expected at least 1, got {data.repeats}")
    scene = training_scenes(data)
    source: FrameSource = RenderedFrames(scene, config.seed)
    if bop.folder and bop.share > 0:
        folder = Path(data.path("bop.folder")) / bop.split
        recorded = BopFrames(folder, catalogue, config.seed, bop.crop)
        if bop.share < 1 and bop.crop != scene.crop_size:
            raise CopeError(
                f"data.bop.crop: expected data.scene.crop_size ({scene.crop_size}) where rendered "
                f"frames are mixed in, got {bop.crop}"
            )
        source = MixedFrames(recorded, source, bop.share) if bop.share < 1 else recorded
    if data.repeats > 1:
        pool = max(BLOCK, min(REPEAT_POOL, MAX_KEPT // data.repeats // BLOCK * BLOCK))
        source = RepeatedFrames(source, data.repeats, pool)
    if augment.scale:
        source = ScaledFrames(source, augment.scale, augment.scale_by, config.seed)
    layers = get_preset(config.preset)
    for task, part, spread, margin in (
        (CROP_HEAD, layers.crop_head, config.crop_head, 0),
        (REFINER, layers.refiner, config.refiner, MARGIN),
    ):
        if config.task == task and part is not None:
            source = InstanceCropFrames(
                source, data.repeats, catalogue, spread, part.size, config.seed, margin
            )
    return source
