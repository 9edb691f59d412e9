"""A shot as the numbers that Blender takes; needs no Blender.

Blender's world has z up, its camera looks along -z with y up. The camera is put at the origin of
a world whose vertical is the shot's, so that environment pictures stand upright. Units stay metres.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cope_training.rendering.cycles.look import DEFOCUS_DEPTH, Look
from cope_training.rendering.meshes import Mesh
from cope_training.rendering.scene import Lighting, Material, Pattern, Placement
from cope_training.rendering.scenes import Shot

FLIP = np.diag([1.0, -1.0, -1.0, 1.0])  # Blender's camera axes from ours and back
MIN_ROUGHNESS, MAX_ROUGHNESS = 0.08, 1.0
EASE = 1.5  # how much faster than on average a keyed motion is half way


@dataclass(frozen=True)
class BlenderScene:
    """Plain values for JSON, arrays and pictures that it names by key."""

    values: dict[str, Any]
    arrays: dict[str, np.ndarray]
    textures: dict[int, np.ndarray]  # handle -> (H, W, 3) uint8 sRGB


def translate(
    shot: Shot, meshes: Sequence[Mesh], textures: Sequence[np.ndarray], look: Look
) -> BlenderScene:
    """All of a shot but its background picture.

    Args:
        shot: what is to be seen.
        meshes: by a placement's handle.
        textures: by a material's handle.
        look: light, lens and motion.
    """
    T_world_cam = world_from_cam(shot.lighting.up, look.yaw)
    placements = [*shot.instances, *shot.clutter]
    objects = [
        _object(number, placement, meshes[placement.mesh], T_world_cam)
        for number, placement in enumerate(placements, start=1)
    ]
    arrays: dict[str, np.ndarray] = {}
    pictures: dict[int, np.ndarray] = {}
    for placement, entry in zip(placements, objects, strict=True):
        mesh = meshes[placement.mesh]
        arrays |= _mesh_arrays(f"mesh{placement.mesh}", mesh)
        if placement.material.texture is not None:
            pictures[placement.material.texture] = textures[placement.material.texture]
            entry["texture"] = f"texture{placement.material.texture}"
        elif mesh.texture is not None:
            pictures[-1 - placement.mesh] = mesh.texture
            entry["texture"] = f"texture{-1 - placement.mesh}"
        if placement.material.pattern is not None:
            arrays[f"pattern{entry['number']}"] = pattern_at(
                mesh.vertices, placement.material.pattern
            )
    values = {
        "camera": camera_values(shot.K, shot.size, look, _focus(shot)) | {
            "matrix": (T_world_cam @ FLIP).tolist(),
        },
        "objects": objects,
        "lights": lights(shot.lighting, T_world_cam, _focus(shot), look),
        "world": world(shot.lighting, look),
        "seed": look.seed,
    }  # fmt: skip
    return BlenderScene(values, arrays, pictures)


def world_from_cam(up: np.ndarray, yaw: float) -> np.ndarray:
    """(4, 4) rotation of the camera frame's ``up`` (3,) to +z, and by ``yaw`` about it."""
    z = np.asarray(up, float) / np.linalg.norm(up)
    aside = np.eye(3)[np.argmin(np.abs(z))]
    x = np.cross(aside, z)
    x /= np.linalg.norm(x)
    y = np.cross(z, x)
    c, s = np.cos(yaw), np.sin(yaw)
    T = np.eye(4)
    T[:3, :3] = np.stack([c * x - s * y, s * x + c * y, z])
    return T


def camera_values(
    K: np.ndarray, size: tuple[int, int], look: Look, focus: float
) -> dict[str, float | list[float]]:
    """Blender's lens for intrinsics with pixel centres at integers.

    The sensor is one unit (mm) wide for each pixel of the image's width, so that lens and shift
    are fx and the principal point's offset; the pixels' aspect makes fy of fx.

    Args:
        K: (3, 3) without skew.
        size: width, height.
        look: of defocus and smear.
        focus: m, distance that is sharp.
    """
    width, height = size
    fx, fy = float(K[0, 0]), float(K[1, 1])
    aspect = fy / fx  # pixel width over height
    blur = fx * (1.0 / focus - 1.0 / (DEFOCUS_DEPTH * focus))  # px of an aperture of one metre
    aperture = look.defocus / blur  # m
    return {
        "width": width, "height": height, "lens": fx, "sensor": float(width),
        "aspect_x": max(aspect, 1.0), "aspect_y": max(1.0 / aspect, 1.0),
        "shift_x": -(float(K[0, 2]) - (width - 1) / 2) / width,
        "shift_y": (float(K[1, 2]) - (height - 1) / 2) / width / aspect,
        "focus": focus,
        "fstop": 1e-3 * fx / aperture if aperture > 0 else 0.0,
        "move": (np.array([*(-look.smear / (fx, fy) * focus / EASE), 0.0])).tolist(),
    }  # fmt: skip


def _focus(shot: Shot) -> float:
    """Median depth of the known objects, of everything where there is none, m."""
    placed = shot.instances or shot.clutter
    depths = [float(p.T_cam_obj[2, 3]) for p in placed]
    return max(float(np.median(depths)), 0.05) if depths else 1.0


def _object(
    number: int, placement: Placement, mesh: Mesh, T_world_cam: np.ndarray
) -> dict[str, Any]:
    return {
        "number": number,
        "mesh": f"mesh{placement.mesh}",
        "matrix": (T_world_cam @ placement.T_cam_obj).tolist(),
        **material_values(placement.material, mesh.mean_albedo),
    }


def material_values(material: Material, mean: np.ndarray) -> dict[str, Any]:
    """Blinn-Phong's exponent as the roughness of the microfacet model with the same lobe."""
    alpha = np.sqrt(2.0 / (material.shininess + 2.0))
    return {
        "tint": np.asarray(material.tint, float).tolist(),
        "mean": mean.tolist(),
        "fade": float(material.fade),
        "vivid": float(material.vivid),
        "roughness": float(np.clip(np.sqrt(alpha), MIN_ROUGHNESS, MAX_ROUGHNESS)),
        "specular": float(np.clip(2.0 * material.specular, 0.05, 1.0)),
    }


def pattern_at(points: np.ndarray, pattern: Pattern) -> np.ndarray:
    """(V, 3) factors on the linear albedo at (V, 3) points of the mesh's frame."""
    phase = points.astype(np.float64) @ pattern.waves[:, :3].T + pattern.waves[:, 3]
    steps = np.clip(pattern.hardness * np.sin(phase), -1.0, 1.0)
    return np.exp(steps @ pattern.colors).astype(np.float32)


def _mesh_arrays(key: str, mesh: Mesh) -> dict[str, np.ndarray]:
    arrays = {
        f"{key}.vertices": mesh.vertices.astype(np.float32),
        f"{key}.faces": mesh.faces.astype(np.int32),
        f"{key}.normals": mesh.normals.astype(np.float32),
        f"{key}.albedo": ((mesh.colors / 255.0) ** 2).astype(np.float32),  # as the raster renderer
    }
    return arrays if mesh.uv is None else arrays | {f"{key}.uv": mesh.uv.astype(np.float32)}


def lights(
    lighting: Lighting, T_world_cam: np.ndarray, focus: float, look: Look
) -> list[dict[str, Any]]:
    """Suns for distant lights, square lamps that face the scene for near ones.

    A white surface that faces a light of colour 1 is to look white in both renderers: its radiance
    is irradiance over pi. A lamp of P watt gives P / (pi d^2) at distance d on its axis.
    """
    made = []
    for light in lighting.lights:
        way, color = light.position[:3], light.color
        if light.position[3] == 0:
            direction = T_world_cam[:3, :3] @ (way / np.linalg.norm(way))
            made.append(
                {
                    "kind": "SUN",
                    "direction": direction.tolist(),
                    "energy": (np.pi * color).tolist(),
                    "size": 0.09 * look.lamp_size,
                }
            )
            continue
        target = np.array([0.0, 0.0, focus])
        distance = float(np.linalg.norm(way - target))
        direction = T_world_cam[:3, :3] @ ((way - target) / distance)
        made.append({"kind": "AREA", "direction": direction.tolist(),
                     "position": (T_world_cam[:3, :3] @ way).tolist(),
                     "energy": (np.pi**2 * distance**2 * color).tolist(),
                     "size": min(look.lamp_size, distance)})  # fmt: skip
    return made


def world(lighting: Lighting, look: Look) -> dict[str, Any]:
    """Light from all around: an environment picture, or sky above and ground below."""
    return {
        "sky": lighting.sky.tolist(),
        "ground": lighting.ground.tolist(),
        "environment": str(look.environment.resolve()) if look.environment else None,
        "scale": look.environment_scale,
        "show": look.show_environment,
    }
