"""Materials of a glTF file, as far as a matt surface shows them: base colour and its texture."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cope_training.rendering.files.accessors import Buffers
from cope_training.rendering.files.assets import TRIMESH, TRIMESH_GRAY, TRIMESH_NOTE, Assets
from cope_training.rendering.files.parts import Texture, linear_from_srgb, srgb_from_linear

DARK = 0.01  # linear; below it a surface is seen by its own light, if it has one
CLAMP, MIRROR = 33071, 33648  # of a sampler's wrapS and wrapT


@dataclass(frozen=True)
class GltfMaterial:
    """A base colour; a texture is multiplied with it already."""

    factor: np.ndarray | None = None  # (3,) linear; None: no material
    texture: Texture | None = None
    uv_set: int = 0
    transform: np.ndarray | None = None  # (2, 3) of texture points (KHR_texture_transform)
    holes: bool = False  # parts of its texture are transparent

    def placed(self, uv: np.ndarray) -> np.ndarray:
        """(V, 2) texture points with (0, 0) at the bottom left, from glTF's at the top left."""
        if self.transform is not None:
            uv = uv @ self.transform[:, :2].T + self.transform[:, 2]
        return np.stack([uv[:, 0], 1.0 - uv[:, 1]], axis=1)


class Materials:
    """Reads materials when they are asked for; equal ones share their texture."""

    def __init__(self, tree: dict[str, Any], buffers: Buffers, assets: Assets) -> None:
        self._tree, self._buffers, self._assets = tree, buffers, assets
        self._known: dict[int, GltfMaterial] = {}
        self._pictures: dict[int, np.ndarray | None] = {}
        self._textures: dict[tuple[Any, ...], Texture] = {}

    def get(self, index: int | None) -> GltfMaterial:
        """The material of an index; None has no colour of its own.

        Raises:
            CopeError: its texture is missing or broken.
        """
        if index is None:
            return GltfMaterial()
        if index not in self._known:
            self._known[index] = self._read(self._tree["materials"][index])
        return self._known[index]

    def _read(self, material: dict[str, Any]) -> GltfMaterial:
        older = material.get("extensions", {}).get("KHR_materials_pbrSpecularGlossiness")
        if older is not None:
            factor, info = older.get("diffuseFactor"), older.get("diffuseTexture")
        else:
            pbr = material.get("pbrMetallicRoughness", {})
            factor, info = pbr.get("baseColorFactor"), pbr.get("baseColorTexture")
        if (
            factor is not None
            and max(factor[:3]) < DARK
            and any(material.get("emissiveFactor", ()))
        ):
            factor, info = material["emissiveFactor"], material.get("emissiveTexture")
        linear = np.array((1.0, 1.0, 1.0) if factor is None else factor[:3], dtype=np.float64)
        if info is None:
            return GltfMaterial(linear)
        generator = str(self._tree.get("asset", {}).get("generator", ""))
        if TRIMESH in generator and np.allclose(linear, TRIMESH_GRAY):
            self._assets.notes.append(TRIMESH_NOTE)
            linear = np.ones(3)
        moved = info.get("extensions", {}).get("KHR_texture_transform", {})
        texture = self._texture(info["index"], linear)
        uv_set = moved.get("texCoord", info.get("texCoord", 0))
        holes = texture is not None and material.get("alphaMode", "OPAQUE") == "MASK"
        return GltfMaterial(linear, texture, uv_set, _transform(moved) if moved else None, holes)

    def _texture(self, index: int, linear: np.ndarray) -> Texture | None:
        entry = self._tree["textures"][index]
        webp = entry.get("extensions", {}).get("EXT_texture_webp", {})
        source = webp.get("source", entry.get("source"))
        if source is None:
            self._assets.without("a texture has no picture in PNG, JPEG or WebP")
            return None
        sampler = self._tree["samplers"][entry["sampler"]] if "sampler" in entry else {}
        wraps = sampler.get("wrapS"), sampler.get("wrapT")
        key = source, wraps, tuple(linear.tolist())
        if key not in self._textures:
            pixels = self._picture(source)
            if pixels is None:
                return None
            if not np.allclose(linear, 1.0):
                light = linear_from_srgb(np.arange(256) / 255.0)
                tables = np.rint(255.0 * srgb_from_linear(light[:, None] * linear))
                channels = [tables[pixels[..., c], c] for c in range(3)]
                pixels = np.stack(channels, axis=2).astype(np.uint8)
            mirror = wraps[0] == MIRROR, wraps[1] == MIRROR
            clamp = wraps[0] == CLAMP, wraps[1] == CLAMP
            self._textures[key] = Texture(pixels, mirror, clamp)
        return self._textures[key]

    def _picture(self, index: int) -> np.ndarray | None:
        if index not in self._pictures:
            image = self._tree["images"][index]
            name = image.get("name") or f"image {index}"
            if "bufferView" in image:
                data = self._buffers.view(image["bufferView"])
                self._pictures[index] = self._assets.decode(data, name)
            elif image["uri"].startswith("data:"):
                data = self._buffers.bytes_of(image["uri"]) or b""
                self._pictures[index] = self._assets.decode(data, name)
            else:
                self._pictures[index] = self._assets.picture(image["uri"])
        return self._pictures[index]


def _transform(moved: dict[str, Any]) -> np.ndarray:
    """(2, 3): offset after rotation after scale."""
    angle = float(moved.get("rotation", 0.0))
    c, s = np.cos(angle), np.sin(angle)
    R = np.array([[c, s], [-s, c]])
    A = R * np.array(moved.get("scale", (1.0, 1.0)), dtype=np.float64)
    return np.column_stack([A, np.array(moved.get("offset", (0.0, 0.0)), dtype=np.float64)])
