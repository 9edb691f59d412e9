"""What the renderer draws: placed meshes, materials, lights; and what it gives back."""

from dataclasses import dataclass, field

import numpy as np


def _ones() -> np.ndarray:
    return np.ones(3)


@dataclass(frozen=True)
class Pattern:
    """Stripes across an object that are not its own: three waves with softer or harder edges."""

    waves: np.ndarray  # (3, 4) radians per metre of the mesh's frame along x, y, z; phase
    colors: np.ndarray  # (3, 3) of each wave's crest: logarithm of the factor on the linear albedo
    hardness: float = 1.0  # slope of an edge; 1 is a sine


@dataclass(frozen=True)
class Material:
    """How a placed mesh reflects light."""

    tint: np.ndarray = field(default_factory=_ones)  # (3,) factor on the linear albedo
    specular: float = 0.05  # strength of the highlight, 0 is matt
    shininess: float = 30.0  # Blinn-Phong exponent
    texture: int | None = None  # handle of a texture used instead of the mesh's own
    fade: float = 0.0  # share of the mesh's colours that its mean replaces; negative: more contrast
    vivid: float = 1.0  # factor on what makes a colour differ from grey
    pattern: Pattern | None = None


@dataclass(frozen=True)
class Placement:
    """One drawn object."""

    mesh: int  # handle from Renderer.add_mesh
    T_cam_obj: np.ndarray  # (4, 4) m; scaling is allowed for clutter
    material: Material = field(default_factory=Material)
    casts_shadow: bool = True  # a ground need not


@dataclass(frozen=True)
class Light:
    """A point light, or a distant one where ``position[3]`` is 0."""

    position: np.ndarray  # (4,) homogeneous, camera frame, m
    color: np.ndarray  # (3,) linear


@dataclass(frozen=True)
class Lighting:
    """Up to three lights and light from all around, from above and below different."""

    lights: tuple[Light, ...]
    up: np.ndarray  # (3,) unit vector away from the ground, camera frame
    sky: np.ndarray  # (3,) linear
    ground: np.ndarray  # (3,) linear
    shadow: float = 0.0  # share of the first light that a shadow takes away, 0 draws none
    shadow_texels: int = 384  # 96, 192 or 384 across the scene; fewer make a softer edge
    occlusion: float = 0.0  # share of the light that narrow gaps lose, see ``ambient_occlusion``

    @classmethod
    def plain(cls) -> "Lighting":
        """White light from above the camera, for pictures and tests."""
        key = Light(np.array([-0.4, -0.8, -0.6, 0.0]), np.full(3, 0.65))
        up = np.array([0.0, -1.0, 0.0])
        return cls((key,), up, np.full(3, 0.45), np.full(3, 0.3))


@dataclass(frozen=True)
class Rendering:
    """A picture and its exact labels; N instances in the order in which they were given."""

    image: np.ndarray  # (H, W, 3) uint8 sRGB
    depth: np.ndarray  # (H, W) float32 m along the optical axis, 0 where nothing was drawn
    instance_map: np.ndarray  # (H, W) int16, instance seen at the pixel's centre, -1 none
    visibility: np.ndarray  # (N,) float32, visible pixels over the whole silhouette's (BOP)
    pixels: np.ndarray  # (N, 2) int64, of the whole silhouette, in and outside the image; visible
    boxes: np.ndarray  # (N, 4) float32 x1 y1 x2 y2, px, of the whole mesh, unclipped
