"""Network configurations: one type, and presets."""

from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any

from cope_ros.core.errors import CopeError

POSE_HEADS = ("published", "geometric")
STANDARDIZATIONS = ("diameter", "stride")


@dataclass(frozen=True)
class TowerConfig:
    """One of the three modules that slide over the pyramid."""

    channels: int
    depth: int  # convolutions before the output layer


@dataclass(frozen=True)
class CloseUpConfig:
    """The close-up at single instances, see ``closeup.CloseUp``."""

    size: int  # px, side of a window, a multiple of 16
    channels: int
    hidden: int  # width of the layers between map and pose
    slots: int = 12  # instances of an image that get one, best scores first; always as many
    rounds: int = 1  # each window lies where the one before it found the object
    views: int = 5  # windows of an instance in the last round, whose poses are averaged
    guesses: int = 1  # poses of an instance in place of views; a refiner's flow chooses


@dataclass(frozen=True)
class RefinerConfig:
    """The refiner of the close-up's poses, see ``refiner.Refiner``."""

    size: int  # px, side of a window, a multiple of 16
    channels: int
    hidden: int  # width of the layers between map and correction
    points: int = 4096  # of each object's surface, drawn to compare with
    rounds: int = 1  # each corrects what the one before it found
    views: int = 3  # windows of an instance in the last round, whose poses are averaged
    slots: int = 0  # best of the close-up's instances that are settled; 0: all of them
    flow: int = 0  # channels of the layers that see where the drawing's places are, 0: none
    flow_rounds: int = 2  # of drawing, flow and fit, in the same window


@dataclass(frozen=True)
class RegionConfig:
    """The fit of poses to outlines in the image, see ``region.RegionFit``."""

    size: int = 160  # px, side of a window, a multiple of 8
    window: float = 1.7  # its side in apparent diameters of its object
    lines: int = 160  # across each outline
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
    group_norm: bool  # in pyramid and towers
    pose_head: str  # one of POSE_HEADS
    pose_channels: tuple[int, int]  # hidden layers of the pose head
    standardization: str  # one of STANDARDIZATIONS, of keypoint and box targets
    surface_tower: TowerConfig | None = None  # corners' second look, see heads.KeyTower
    closeup: CloseUpConfig | None = None
    refiner: RefinerConfig | None = None  # of what the close-up found
    region: RegionConfig | None = None  # of what the refiner corrected

    def __post_init__(self) -> None:
        if self.refiner is not None and self.closeup is None:
            raise CopeError("network.refiner: expected a closeup, whose instances it corrects")
        if self.region is not None and self.refiner is None:
            raise CopeError("network.region: expected a refiner, whose corrections it fits")
        flow = self.refiner is not None and self.refiner.flow > 0
        if self.closeup is not None and self.closeup.guesses > 1 and not flow:
            raise CopeError("network.closeup.guesses: expected a refiner with flow, which chooses")
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
        if set(data) - known or needed - set(data):
            raise CopeError(
                f"network: unknown keys {sorted(set(data) - known)}, "
                f"missing keys {sorted(needed - set(data))}"
            )
        values = dict(data)
        for key in ("class_tower", "box_tower", "key_tower", "surface_tower"):
            if values.get(key) is not None:
                values[key] = TowerConfig(**values[key])
        if values.get("closeup") is not None:
            values["closeup"] = CloseUpConfig(**values["closeup"])
        if values.get("refiner") is not None:
            values["refiner"] = RefinerConfig(**values["refiner"])
        if values.get("region") is not None:
            values["region"] = RegionConfig(**values["region"])
        values["pose_channels"] = tuple(values["pose_channels"])
        return cls(**values)


def _expect(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise CopeError(f"network.{name}: expected one of {', '.join(allowed)}, got {value!r}")


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
        group_norm=False,
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
        group_norm=True,
        pose_head="geometric",
        pose_channels=(256, 256),
        standardization="stride",
        surface_tower=TowerConfig(128, 3),
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
        group_norm=True,
        pose_head="geometric",
        pose_channels=(256, 256),
        standardization="stride",
        surface_tower=TowerConfig(128, 3),
    ),
}
# With a close-up at the best instances: far better poses, at three times the time.
PRESETS["lite_closeup"] = replace(
    PRESETS["lite"], closeup=CloseUpConfig(size=96, channels=128, hidden=256)
)

# And the same poses compared with drawings of themselves.
PRESETS["lite_refiner"] = replace(
    PRESETS["lite"],
    closeup=CloseUpConfig(size=96, channels=128, hidden=256, views=1),
    refiner=RefinerConfig(size=96, channels=128, hidden=256),
)

# And fitted to their outlines.
PRESETS["lite_region"] = replace(
    PRESETS["lite_refiner"],
    closeup=CloseUpConfig(size=96, channels=128, hidden=256, views=1, slots=16),
    refiner=RefinerConfig(size=96, channels=128, hidden=256, views=1),
    region=RegionConfig(),
)

# And the refiner's poses follow from where each place of the drawing is seen.
PRESETS["lite_flow"] = replace(
    PRESETS["lite_region"],
    closeup=CloseUpConfig(size=96, channels=128, hidden=256, views=1, slots=24, guesses=2),
    refiner=RefinerConfig(
        size=96, channels=128, hidden=256, views=1, slots=12, flow=64, flow_rounds=3
    ),
    region=RegionConfig(rounds=1),
)


def get_preset(name: str) -> NetworkConfig:
    """A preset by name.

    Raises:
        CopeError: no such preset.
    """
    _expect("preset", name, tuple(PRESETS))
    return PRESETS[name]
