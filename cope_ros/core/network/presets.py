"""Network configurations: one type, and presets."""

from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any

from cope_ros.core.errors import CopeError
from cope_ros.core.renamed import hint, unknown_keys

POSE_HEADS = ("published", "geometric")
STANDARDIZATIONS = ("diameter", "stride")


@dataclass(frozen=True)
class TowerConfig:
    """One of the three modules that slide over the pyramid."""

    channels: int
    depth: int  # convolutions before the output layer


@dataclass(frozen=True)
class InstanceHeadConfig:
    """The second stage on shared features, see ``refinement.instance_head.InstanceHead``."""

    cells: int = 14  # of a region's side
    feature_channels: int = 64  # of the shared map at stride 4
    channels: int = 96  # of the tower
    voxels: int = 0  # a side of objects' distance grids; 0: boxes instead, no pixels compared
    detail: int = 24  # channels of the encoder that compares pixels with the surface
    blocks: int = 3
    rounds: int = 2  # of region, tower and fit, with shared weights
    max_refined: int = 48  # instances of an image that are refined, best scores first
    doubt: bool = False  # whether it learns how far off the fit's covariance is


@dataclass(frozen=True)
class CropHeadConfig:
    """The crop head at single instances, see ``crop_head.CropHead``."""

    size: int  # px, side of a crop, a multiple of 16
    channels: int
    hidden: int  # width of the layers between map and pose
    max_crops: int = 12  # instances of an image that get one, best scores first; always as many
    rounds: int = 1  # each crop lies where the one before it found the object
    tta: int = 5  # crops of an instance in the last round, whose poses are averaged
    candidates: int = 1  # poses of an instance in place of views; a refiner's flow chooses


@dataclass(frozen=True)
class RefinerConfig:
    """The refiner of the crop head's poses, see ``refiner.Refiner``."""

    size: int  # px, side of a crop, a multiple of 16
    channels: int
    hidden: int  # width of the layers between map and correction
    points: int = 4096  # of each object's surface, drawn to compare with
    rounds: int = 1  # each corrects what the one before it found
    tta: int = 3  # crops of an instance in the last round, whose poses are averaged
    max_refined: int = 0  # best of the crop head's instances that are settled; 0: all of them
    flow: int = 0  # channels of the layers that see where the rendering's places are, 0: none
    flow_rounds: int = 2  # of rendering, flow and fit, in the same crop


@dataclass(frozen=True)
class ContourFitConfig:
    """The fit of poses to contours in the image, see ``contour_fit.ContourFit``."""

    size: int = 160  # px, side of a crop, a multiple of 8
    crop_scale: float = 1.7  # its side in apparent diameters of its object
    lines: int = 160  # across each contour
    faces: int = 4000  # most triangles of a mesh
    edges: int = 6400
    rounds: int = 2  # of correction by the refiner and fit
    last: float = 0.35  # of the way that the refiner goes from the last fit


@dataclass(frozen=True)
class NetworkConfig:
    """Everything that decides the network's layers."""

    backbone: str
    fold_batch_norm: bool  # backbone's batch norms merged into its convolutions, for good
    pyramid_channels: int
    class_tower: TowerConfig
    box_tower: TowerConfig
    key_tower: TowerConfig
    separable: bool  # depthwise-separable 3x3 convolutions in pyramid and towers
    norm: str  # of pyramid and towers, one of layers.NORMS
    pose_head: str  # one of POSE_HEADS
    pose_channels: tuple[int, int]  # hidden layers of the pose head
    standardization: str  # one of STANDARDIZATIONS, of keypoint and box targets
    coordinate_branch: TowerConfig | None = None  # corners' second look, see heads.KeyTower
    instance_head: InstanceHeadConfig | None = None
    crop_head: CropHeadConfig | None = None
    refiner: RefinerConfig | None = None  # of what the crop head found
    contour_fit: ContourFitConfig | None = None  # of what the refiner corrected

    def __post_init__(self) -> None:
        if self.refiner is not None and self.crop_head is None:
            raise CopeError("network.refiner: expected a crop_head, whose instances it corrects")
        if self.contour_fit is not None and self.refiner is None:
            raise CopeError("network.contour_fit: expected a refiner, whose corrections it fits")
        flow = self.refiner is not None and self.refiner.flow > 0
        if self.crop_head is not None and self.crop_head.candidates > 1 and not flow:
            raise CopeError(
                "network.crop_head.candidates: expected a refiner with flow, which chooses"
            )
        _expect("pose_head", self.pose_head, POSE_HEADS)
        _expect("standardization", self.standardization, STANDARDIZATIONS)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for checkpoints and YAML."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "NetworkConfig":
        """Reverses ``to_dict``.

        Raises:
            CopeError: a key is unknown or missing.
        """
        known = {f.name for f in fields(cls)}
        needed = {f.name for f in fields(cls) if f.default is MISSING}
        _check_keys("network", data, known)
        if needed - set(data):
            raise CopeError(f"network: missing keys {sorted(needed - set(data))}")
        values = dict(data)
        for key, kind in _NESTED.items():
            if values.get(key) is not None:
                _check_keys(f"network.{key}", values[key], {f.name for f in fields(kind)})
                values[key] = kind(**values[key])
        values["pose_channels"] = tuple(values["pose_channels"])
        return cls(**values)


_NESTED: dict[str, Any] = {
    "class_tower": TowerConfig,
    "box_tower": TowerConfig,
    "key_tower": TowerConfig,
    "coordinate_branch": TowerConfig,
    "instance_head": InstanceHeadConfig,
    "crop_head": CropHeadConfig,
    "refiner": RefinerConfig,
    "contour_fit": ContourFitConfig,
}


def _check_keys(source: str, data: dict[str, Any], known: set[str]) -> None:
    if set(data) - known:
        raise unknown_keys(source, set(data) - known, known)


def _expect(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise CopeError(
            f"network.{name}: expected one of {', '.join(allowed)}, got {value!r}{hint(value)}"
        )


PRESETS: dict[str, NetworkConfig] = {
    # As published: appendix A of the paper, ResNet101, 178 GMAC at 640x480.
    "paper": NetworkConfig(
        backbone="resnet101",
        fold_batch_norm=False,
        pyramid_channels=256,
        class_tower=TowerConfig(256, 4),
        box_tower=TowerConfig(512, 4),
        key_tower=TowerConfig(512, 4),
        separable=False,
        norm="none",
        pose_head="published",
        pose_channels=(512, 256),
        standardization="diameter",
    ),
    # Any camera, narrower heads, pose from normalised coordinates; small enough to move.
    "improved": NetworkConfig(
        backbone="efficientnet_lite0",
        fold_batch_norm=True,
        pyramid_channels=256,
        class_tower=TowerConfig(128, 2),
        box_tower=TowerConfig(128, 2),
        key_tower=TowerConfig(256, 4),
        separable=False,
        norm="layer",
        pose_head="geometric",
        pose_channels=(256, 256),
        standardization="stride",
        coordinate_branch=TowerConfig(128, 3),
        instance_head=InstanceHeadConfig(voxels=40, doubt=True),
    ),
    # The same for two CPU cores or a Jetson.
    "lite": NetworkConfig(
        backbone="mobilenet_v2",
        fold_batch_norm=True,
        pyramid_channels=96,
        class_tower=TowerConfig(64, 2),
        box_tower=TowerConfig(64, 2),
        key_tower=TowerConfig(160, 3),
        separable=True,
        norm="layer",
        pose_head="geometric",
        pose_channels=(256, 256),
        standardization="stride",
        coordinate_branch=TowerConfig(128, 3),
        instance_head=InstanceHeadConfig(voxels=40, doubt=True),
    ),
}
# With a crop head before the instance head, for objects whose sides are hard to tell apart.
PRESETS["lite_crop_head"] = replace(
    PRESETS["lite"],
    crop_head=CropHeadConfig(size=96, channels=128, hidden=256, max_crops=24, rounds=2, tta=1),
    instance_head=InstanceHeadConfig(voxels=40, doubt=True, rounds=3),
)

# Without an instance head: the crop head's poses compared with renderings of themselves.
PRESETS["lite_refiner"] = replace(
    PRESETS["lite"],
    norm="group",
    instance_head=None,
    crop_head=CropHeadConfig(size=96, channels=128, hidden=256, tta=1),
    refiner=RefinerConfig(size=96, channels=128, hidden=256),
)

# And fitted to their contours.
PRESETS["lite_contour"] = replace(
    PRESETS["lite_refiner"],
    crop_head=CropHeadConfig(size=96, channels=128, hidden=256, tta=1, max_crops=16),
    refiner=RefinerConfig(size=96, channels=128, hidden=256, tta=1),
    contour_fit=ContourFitConfig(),
)

# And the refiner's poses follow from where each place of the rendering is seen.
PRESETS["lite_flow"] = replace(
    PRESETS["lite_contour"],
    crop_head=CropHeadConfig(size=96, channels=128, hidden=256, tta=1, max_crops=24, candidates=2),
    refiner=RefinerConfig(
        size=96, channels=128, hidden=256, tta=1, max_refined=12, flow=64, flow_rounds=3
    ),
    contour_fit=ContourFitConfig(rounds=1),
)


def get_preset(name: str) -> NetworkConfig:
    """A preset by name.

    Raises:
        CopeError: no such preset.
    """
    _expect("preset", name, tuple(PRESETS))
    return PRESETS[name]
