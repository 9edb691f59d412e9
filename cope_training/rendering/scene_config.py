"""What random scenes are made of, as numbers."""

from dataclasses import dataclass, field, fields
from typing import Any

from cope_ros.core.renamed import unknown_keys

MAX_FACES = 8000  # of meshes in images that are kept


@dataclass(frozen=True)
class SceneConfig:
    """What is random, and within which bounds."""

    models: str = "models/demo"  # folder with models_info.json and meshes
    backgrounds: str | None = None  # folder of photographs, None: procedural pictures alone
    max_faces: int = MAX_FACES  # simplify meshes with more triangles, 0: never
    crop_size: int = 160  # px, side of a training crop
    image_width: int = 640  # px of the virtual camera that crops are cut from
    image_height: int = 480
    focal_min: float = 380.0  # px
    focal_max: float = 800.0
    instances_min: int = 1  # per crop
    instances_max: int = 6
    coverage_max: float = 0.0  # a crop's objects over its area, larger ones are fewer; 0: any
    whole_share: float = 0.0  # of crops that show their objects whole, where they are not hidden
    size_min: float = 70.0  # px, apparent size f * diameter / z of the first object
    size_max: float = 240.0
    size_exponent: float = 0.0  # the size to this power is evenly distributed; 0: its logarithm
    depth_min: float = 0.0  # m, of the first object, instead of its apparent size
    depth_max: float = 0.0  # m; 0: the apparent size decides
    same_class_share: float = 0.25  # of images with one class alone
    resting_share: float = 0.4  # of images with objects on a plane instead of in the air
    upright_share: float = 0.0  # of resting objects that stand with their z axis up
    elevation_min: float = 20.0  # degrees above that plane
    elevation_max: float = 90.0
    roll_sigma: float = 7.0  # degrees, standard deviation of an upright camera's roll
    depth_sigma: float = 0.08  # of the logarithm of the depths in a heap
    photograph_share: float = 0.6  # of backgrounds, where there are photographs
    ground_share: float = 0.5  # of heaps that have a ground behind them
    occlusion_share: float = 0.0  # of images with darker gaps between objects
    print_share: float = 0.0  # of backgrounds, grounds and clutter full of print and edges
    brightness_sigma: float = 0.12  # of the logarithm of a known object's linear colour
    tint_sigma: float = 0.05  # the same for each channel on its own
    fade_min: float = 0.0  # share of an object's colours that their mean replaces;
    fade_max: float = 0.0  # negative: their contrast grows
    saturation_sigma: float = 0.0  # of the logarithm of a factor on colours' distance from grey
    surface_offset_sigma: float = 0.0  # of surfaces along their normals, in diameters
    sharpening_min: float = 0.0  # times what smoothing takes from corners, put on them:
    sharpening_max: float = 0.0  # scans round them; negative: rounder
    repair_share: float = 0.8  # of shapes without the errors of their scans, see ``repairs``:
    openings: dict[int, tuple[float, ...]] = field(default_factory=dict)  # of an obj_id, a ball
    thin_ends: dict[int, tuple[float, ...]] = field(default_factory=dict)  # begin, tip, share
    lids: dict[int, tuple[float, ...]] = field(default_factory=dict)  # begin, tip; at any angle
    pattern_share: float = 0.0  # of known objects with stripes that are not theirs
    pattern_contrast: float = 0.5  # standard deviation of their logarithmic colours, at most
    clutter_max: int = 3  # unknown solids per crop
    clutter_meshes: str | None = None  # folder of everyday meshes in metres among those solids
    clutter_mesh_share: float = 0.6  # of the solids, where there are such meshes
    alike_share: float = 0.0  # of those solids, in a known object's colour and of several parts
    occluder_share: float = 0.3  # of images with a cut-out in front
    empty_share: float = 0.03  # of images without any known object

    @property
    def varies_corners(self) -> bool:
        """Whether known objects have sharper or rounder corners than their meshes."""
        return self.sharpening_min != 0 or self.sharpening_max != 0

    @property
    def varies_surfaces(self) -> bool:
        """Whether known objects are anywhere thicker or thinner than their meshes."""
        return self.varies_corners or self.surface_offset_sigma > 0


def make_scene_config(
    values: dict[str, Any], models: str, backgrounds: str | None = None
) -> SceneConfig:
    """The scenes that a training's ``data.scene`` describes.

    Args:
        values: SceneConfig's fields but for the folders.
        models, backgrounds: folders, see ``SceneConfig``.

    Raises:
        CopeError: unknown keys.
    """
    known = {f.name for f in fields(SceneConfig)} - {"models", "backgrounds"}
    if set(values) - known:
        raise unknown_keys("data.scene", set(values) - known, known)
    return SceneConfig(models=models, backgrounds=backgrounds, **values)
