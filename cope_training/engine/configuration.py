"""The training configuration: frozen dataclasses, loaded from YAML, kept in checkpoints."""

import os
from dataclasses import asdict, dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import yaml

from cope_ros.bundled import config_path
from cope_ros.core.errors import CopeError
from cope_training.engine.finishing_config import FinishingConfig, ValidationConfig, check_stages
from cope_training.engine.nested_config import build, merged
from cope_training.tasks.crop_head.config import CropHeadTraining
from cope_training.tasks.instance_head.config import InstanceHeadTraining
from cope_training.tasks.refiner.config import RefinerTraining

SCORE_THRESHOLD = 0.5  # where object and background are equally likely
DENSE, JOINT, CROP_HEAD, REFINER = "dense", "joint", "crop_head", "refiner"  # tasks of a training
_DIRECT = ("rot", "tra", "points", "init")  # losses of the direct pose
# Table 3: groups of losses; one loss of each group has to have a weight.
SUPERVISIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    "IM": (),
    "DR": (_DIRECT,),
    "DR-P": (_DIRECT, ("proj",)),
    "DR-PC": (_DIRECT, ("proj",), ("cons",)),
}


@dataclass(frozen=True)
class LossConfig:
    """Weights of Eq. 9 (published values) and of the improved preset's additions."""

    key: float = 1.3
    box: float = 1.0
    cls: float = 1.0
    tra: float = 1.0
    rot: float = 0.3
    cons: float = 0.1
    proj: float = 0.15
    points: float = 0.0  # symmetric point matching over the diameter
    init: float = 0.0  # the same for the pose before the Gauss-Newton steps
    surface: float = 0.0  # object coordinates of what each location sees
    size: float = 0.0  # logarithm of the apparent size
    beta: float = 1.0 / 9.0  # huber's turn from quadratic to linear (sigma = 3)
    pose_start: float = 0.0  # share of the training after which poses are supervised
    max_pose_rows: int = 1024  # locations that get a pose in a batch

    def supervised(self, mode: str) -> "LossConfig":
        """The weights of one row of the paper's Table 3.

        Args:
            mode: ``IM`` keypoints and boxes alone, ``DR`` the direct pose too, ``DR-P`` and its
                projection, ``DR-PC`` and its consistency with the keypoints; "" changes nothing.

        Raises:
            CopeError: another mode, or one whose losses have no weight.
        """
        if not mode:
            return self
        if mode not in SUPERVISIONS:
            raise CopeError(f"supervision: expected one of {list(SUPERVISIONS)}, got {mode!r}")
        kept = SUPERVISIONS[mode]
        without = [group for group in kept if not any(getattr(self, name) for name in group)]
        if without:
            raise CopeError(f"supervision {mode}: expected weights for loss.{without[0][0]}, got 0")
        names = {name for group in kept for name in group}
        pose = {name for group in SUPERVISIONS["DR-PC"] for name in group}
        off: dict[str, Any] = dict.fromkeys(pose - names, 0.0)
        return replace(self, **off)

    @property
    def supervises_coordinates(self) -> bool:
        """Whether the corners' tower is taught its second look."""
        return bool(self.surface or self.size)

    @property
    def supervises_pose(self) -> bool:
        """Whether any loss needs the pose head (Table 3: IM is without)."""
        return any((self.tra, self.rot, self.cons, self.proj, self.points, self.init))


@dataclass(frozen=True)
class VisibilityConfig:
    """Visible fractions, see ``targets.VisibilityRules``."""

    foreground: float = 0.25
    regression: float = 0.5
    ignore: float = 0.25


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW, Adam or Muon, with one cycle, a plateau's falling rate or a constant one."""

    name: str = "adamw"  # adamw, adam or muon
    schedule: str = "onecycle"  # onecycle, plateau or constant
    learning_rate: float = 1e-3
    backbone_factor: float = 0.5  # the pretrained part learns more slowly
    weight_decay: float = 1e-4
    clip_norm: float = 5.0
    warm_up: float = 0.05  # share of the training in which the rate rises
    ema_decay: float = 0.999  # 0 turns the moving average off
    epoch_samples: int = 50_000  # plateau: images after which the mean loss is looked at
    plateau_factor: float = 0.1  # of the rate when the loss no longer falls
    plateau_patience: int = 2  # epochs without a better loss before that


@dataclass(frozen=True)
class AugmentConfig:
    """Chances of the photometric augmentations; ranges are the paper's Table 4."""

    enabled: bool = True
    strength: float = 1.0  # multiplies every chance
    camera: float = 0.0  # chance of each effect of cheap cameras, which the table lacks
    scale: float = 0.0  # images are enlarged by up to this share or made smaller (paper: 0.05)
    scale_by: str = "intrinsics"  # what follows: K (exact), or depth for heads that know no K


@dataclass(frozen=True)
class BopConfig:
    """A BOP data set to train on, alone or mixed with rendered frames."""

    folder: str = ""  # root of the set, empty: rendered frames alone
    split: str = "train_pbr"
    share: float = 1.0  # of the training images; the rest is rendered
    crop: int = 0  # px, side of the windows cut out of the images; 0: whole images


@dataclass(frozen=True)
class DataConfig:
    """Where frames come from: rendered while training, read from a BOP set, or both.

    Paths may hold environment variables, as in ``$COPE_DATA/lmo/models``.
    """

    meshes: str = "models/demo"  # folder with models_info.json and meshes/
    models_info: str = ""  # file with the objects' names, empty: the one beside the meshes
    backgrounds: str = ""  # folder of photographs, may be empty
    scene: dict[str, Any] = field(default_factory=dict)  # SceneConfig's fields
    bop: BopConfig = field(default_factory=BopConfig)
    workers: int = 1
    repeats: int = 1  # of each frame, with another augmentation every time
    pool: int = 0  # frames kept on the device and drawn from at random, 0: none, see ``FramePool``

    def path(self, name: str) -> str:
        """The path in a field, its environment variables replaced.

        Args:
            name: of the field, ``bop.folder`` for one of a nested block.

        Raises:
            CopeError: a variable is not set.
        """
        expanded = os.path.expandvars(attrgetter(name)(self))
        if "$" in expanded:
            raise CopeError(f"data.{name}: {expanded}: expected the variable to be set")
        return expanded

    @property
    def models_info_path(self) -> Path:
        """The file that describes the objects."""
        return Path(self.path("models_info") or Path(self.path("meshes")) / "models_info.json")


@dataclass(frozen=True)
class TrainConfig:
    """One training."""

    task: str = DENSE  # what learns: the dense part of a network, its crop_head or its refiner
    preset: str = "lite"
    pretrained: str = "mobilenet_v2"  # ImageNet weights to start from, "" for none
    init: str = ""  # model to begin with instead, of other objects too: a bundled one or a path
    seed: int = 1
    samples: int = 200_000  # training images in all
    hours: float = 0.0  # of training, which set the schedule where they end before ``samples``
    batch: int = 16  # images per step, of all processes together
    freeze_stem: bool = True
    bfloat16: bool = False  # layers compute with it where the device does, see ``mixed_precision``
    pose_pretraining: int = 4000  # steps on geometry alone before the images
    checkpoint_minutes: float = 5.0
    score_threshold: float = SCORE_THRESHOLD  # of the exported file, unless its user sets one
    candidate_threshold: float = 0.0  # of hypotheses, where refinement lowers scores
    supervision: str = ""  # IM, DR, DR-P or DR-PC (Table 3); empty: the losses' weights as given
    stages: list[str] = field(default_factory=lambda: ["training", "export"])  # of STAGES
    # (crops, ADD(-S) at least half visible) of a training whose figures are known
    expected: list[list[float]] = field(default_factory=list)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    finishing: FinishingConfig = field(default_factory=FinishingConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    visibility: VisibilityConfig = field(default_factory=VisibilityConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    instance_head: InstanceHeadTraining = field(default_factory=InstanceHeadTraining)
    crop_head: CropHeadTraining = field(default_factory=CropHeadTraining)
    refiner: RefinerTraining = field(default_factory=RefinerTraining)
    gpu: dict[str, Any] = field(default_factory=dict)  # what replaces the above on a CUDA device

    def __post_init__(self) -> None:
        """Checks the stages."""
        check_stages(self.stages)

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return max(1, self.samples // self.batch)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; ``from_dict`` reads it back."""
        return asdict(self)

    def of_objects(self, folder: Path) -> "TrainConfig":
        """The same training on the objects of another models folder, all rendered."""
        return replace(self, data=replace(self.data, meshes=str(folder), models_info=""))

    def on(self, device: str) -> "TrainConfig":
        """The configuration for a device: with what ``gpu`` replaces, on CUDA."""
        if not device.startswith("cuda") or not self.gpu:
            return self
        return config_from_dict(merged(self.to_dict() | {"gpu": {}}, self.gpu), "config.gpu")

    def with_overrides(self, **values: Any) -> "TrainConfig":
        """A copy with the given top-level values that are not None."""
        return replace(self, **{k: v for k, v in values.items() if v is not None})


def load_config(path: Path | str) -> TrainConfig:
    """Reads a training configuration from YAML.

    Args:
        path: of the file, or the bare name of a bundled one.

    Raises:
        CopeError: the file is missing or a key is unknown; names the file and the key.
    """
    path = config_path(path)
    try:
        data = yaml.safe_load(Path(path).read_text()) or {}
    except OSError as error:
        raise CopeError(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise CopeError(f"{path}: expected YAML, got {error}") from error
    return config_from_dict(data, str(path))


def config_from_dict(data: dict[str, Any], source: str = "config") -> TrainConfig:
    """Builds a TrainConfig; unknown keys are errors."""
    return build(TrainConfig, data, source)
