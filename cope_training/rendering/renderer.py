"""A headless OpenGL renderer with exact labels (EGL; on a GPU or Mesa's llvmpipe).

Pinhole camera without distortion, ``u = fx x / z + cx`` with pixel centres at integers;
the camera looks along +z, x right, y down.
"""

from collections.abc import Sequence

import moderngl
import numpy as np

from cope_training.rendering import gl, shaders, shadows
from cope_training.rendering.atlas import CoverAtlas
from cope_training.rendering.camera import clip_from_cam, project_box
from cope_training.rendering.context import open_context
from cope_training.rendering.meshes import Mesh
from cope_training.rendering.scene import Lighting, Placement, Rendering
from cope_training.rendering.shadows import ShadowMap

SHADOW_EDGE = 0.012  # width of a smoothed shadow's edge, as a share of the scene's extent


class Renderer:
    """Draws placed meshes; one GL context, meshes and textures stay on the device."""

    def __init__(self, meshes: Sequence[Mesh] = (), samples: int = 4, taps: int = 1) -> None:
        """Opens the context.

        Args:
            meshes: first meshes; their handles are 0, 1, ...
            samples: of anti-aliasing per pixel, at most what the driver offers.
            taps: looks at the shadow map per pixel; more make shadows smoother and slower.

        Raises:
            CopeError: no EGL driver could be opened.
        """
        self.ctx = open_context()
        self.ctx.front_face = "cw"  # image rows run down, which mirrors the picture GL sees
        self._samples = min(samples, self.ctx.max_samples)
        self._shade = self.ctx.program(
            shaders.SHADE_VERTEX, fragment_shader=shaders.shade_fragment(taps)
        )
        self._label = self.ctx.program(shaders.LABEL_VERTEX, fragment_shader=shaders.LABEL_FRAGMENT)
        self._atlas = CoverAtlas(self.ctx)
        self._shadows = ShadowMap(self.ctx)
        self.meshes: list[Mesh] = []  # by handle, as they were given
        self.textures: list[np.ndarray] = []  # by handle, (H, W, 3) uint8 sRGB
        self._radii: list[float] = []
        self._points: list[np.ndarray] = []
        self._arrays: list[tuple[moderngl.VertexArray, ...]] = []
        self._textures: list[moderngl.Texture] = []
        self._closed: list[bool] = []
        self._own_texture: list[int | None] = []
        self._mean_colors: list[np.ndarray] = []
        self._targets: dict[tuple[int, int], gl.Target] = {}
        for mesh in meshes:
            self.add_mesh(mesh)

    @property
    def device_name(self) -> str:
        """The driver's name of what draws."""
        return str(self.ctx.info["GL_RENDERER"])

    def add_mesh(self, mesh: Mesh) -> int:
        """Uploads a mesh and returns its handle."""
        count, ctx = len(mesh.vertices), self.ctx
        uv = np.zeros((count, 2), "f4") if mesh.uv is None else mesh.uv.astype("f4")
        rgba = np.concatenate([mesh.colors, np.full((count, 1), 255, np.uint8)], axis=1)
        position = ctx.buffer(np.ascontiguousarray(mesh.vertices, "f4").tobytes())
        normal = ctx.buffer(np.ascontiguousarray(mesh.normals, "f4").tobytes())
        color, st = ctx.buffer(rgba.tobytes()), ctx.buffer(np.ascontiguousarray(uv).tobytes())
        index = ctx.buffer(np.ascontiguousarray(mesh.faces, "i4").tobytes())
        bare = [(position, "3f4", "position")]
        full = [*bare, (normal, "3f4", "normal"), (color, "4f1", "color"), (st, "2f4", "uv")]
        self._arrays.append(
            (
                ctx.vertex_array(self._shade, full, index),
                ctx.vertex_array(self._label, bare, index),
                ctx.vertex_array(self._atlas.program, bare, index),
                ctx.vertex_array(self._shadows.program, bare, index),
            )
        )
        self._points.append(np.unique(mesh.vertices, axis=0).astype(np.float64))
        self._radii.append(float(np.linalg.norm(mesh.vertices, axis=1).max()))
        self._own_texture.append(None if mesh.texture is None else self.add_texture(mesh.texture))
        self._closed.append(mesh.is_closed)
        self._mean_colors.append(mesh.mean_albedo)
        self.meshes.append(mesh)
        return len(self._arrays) - 1

    def add_texture(self, image: np.ndarray) -> int:
        """Uploads an (H, W, 3) uint8 sRGB texture, which repeats, and returns its handle.

        The same array is uploaded once.
        """
        for handle, known in enumerate(self.textures):
            if known is image:
                return handle
        flipped = np.ascontiguousarray(image[::-1])
        texture = self.ctx.texture(image.shape[1::-1], 3, flipped.tobytes(), alignment=1)
        texture.build_mipmaps()
        texture.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
        self._textures.append(texture)
        self.textures.append(image)
        return len(self._textures) - 1

    def render(
        self,
        instances: Sequence[Placement],
        K: np.ndarray,
        size: tuple[int, int],
        lighting: Lighting | None = None,
        clutter: Sequence[Placement] = (),
        background: np.ndarray | None = None,
    ) -> Rendering:
        """Draws one frame.

        Args:
            instances: the labelled objects.
            K: (3, 3) intrinsics.
            size: (width, height) in pixels.
            lighting: defaults to plain white light.
            clutter: objects that hide others but carry no label.
            background: (H, W, 3) uint8 behind everything, black where missing.
        """
        drawn = [*instances, *clutter]
        image = self.picture(drawn, K, size, lighting, background)
        depth, numbers = self.draw_labels(drawn, K, size)
        numbers[numbers > len(instances)] = 0
        boxes = [project_box(self._points[p.mesh], p.T_cam_obj, K) for p in instances]
        box_array = np.array(boxes, dtype=np.float64).reshape(-1, 4)
        visible = np.bincount(numbers.reshape(-1), minlength=len(instances) + 1)[1:]
        arrays = [self._arrays[p.mesh][2] for p in instances]
        poses = [p.T_cam_obj for p in instances]
        whole = self._atlas.count(arrays, poses, K, box_array)
        return Rendering(
            image=image,
            depth=depth,
            instance_map=(numbers - 1).astype(np.int16),
            visibility=np.clip(visible / np.maximum(whole, 1), 0.0, 1.0).astype(np.float32),
            pixels=np.stack([np.maximum(whole, visible), visible], axis=1),
            boxes=box_array.astype(np.float32),
        )

    def picture(
        self,
        drawn: Sequence[Placement],
        K: np.ndarray,
        size: tuple[int, int],
        lighting: Lighting | None = None,
        background: np.ndarray | None = None,
    ) -> np.ndarray:
        """(H, W, 3) uint8 sRGB: the image alone; arguments as in ``render``."""
        target = self._target(size)
        self.ctx.enable_only(moderngl.DEPTH_TEST)
        projection = clip_from_cam(K, *size)
        self._draw_shaded(target, drawn, projection, lighting or Lighting.plain())
        return self._read_image(target, background)

    def silhouettes(
        self, instances: Sequence[Placement], K: np.ndarray, size: tuple[int, int]
    ) -> np.ndarray:
        """(N, H, W) bool: where each object would be seen if it were alone."""
        alone = [self.draw_labels([p], K, size)[1] > 0 for p in instances]
        return np.array(alone, dtype=bool).reshape(len(instances), size[1], size[0])

    def _target(self, size: tuple[int, int]) -> gl.Target:
        if size not in self._targets:
            self._targets[size] = gl.Target(self.ctx, *size, self._samples)
        return self._targets[size]

    def _draw_shaded(
        self, target: gl.Target, drawn: Sequence[Placement], projection: np.ndarray, light: Lighting
    ) -> None:
        program = self._shade
        gl.write_lighting(program, light)
        self._draw_shadow(drawn, light)
        target.shaded.use()
        target.shaded.clear()
        gl.write_matrix(program, "clip_from_cam", projection)
        for placement in drawn:
            material = placement.material
            texture = material.texture
            texture = self._own_texture[placement.mesh] if texture is None else texture
            if texture is not None:
                self._textures[texture].use(0)
            mean = self._mean_colors[placement.mesh]
            gl.write_material(program, material, mean, texture is not None)
            gl.write_matrix(program, "cam_from_obj", placement.T_cam_obj)
            self._cull(placement)
            self._arrays[placement.mesh][0].render()
        self.ctx.copy_framebuffer(target.resolved, target.shaded)

    def _draw_shadow(self, drawn: Sequence[Placement], light: Lighting) -> None:
        """Prepares the shading program for the first light's shadow, if there is one."""
        casters = [p for p in drawn if p.casts_shadow]
        program = self._shade
        program["shadow"].value = (0.0, 0.0, 0.0)
        program["shadow_map"].value = shadows.UNIT
        if light.shadow <= 0.0 or not light.lights or not casters:
            return
        scales = [np.linalg.norm(p.T_cam_obj[:3, :3], axis=0).max() for p in casters]
        radii = np.array([self._radii[p.mesh] for p in casters]) * scales
        arrays = [self._arrays[p.mesh][3] for p in casters]
        poses = [p.T_cam_obj for p in casters]
        matrix = self._shadows.draw(
            arrays, poses, radii, light.lights[0].position, light.shadow_texels
        )
        texel = 1.0 / (np.linalg.norm(matrix[0, :3]) * light.shadow_texels)  # m
        program["shadow"].value = (light.shadow, SHADOW_EDGE, 1.5 * texel)
        gl.write_matrix(program, "shadow_from_cam", matrix)

    def _cull(self, placement: Placement) -> None:
        """Leaves out back faces where the mesh hides them anyway."""
        if self._closed[placement.mesh]:
            self.ctx.enable(moderngl.CULL_FACE)
        else:
            self.ctx.disable(moderngl.CULL_FACE)

    def _read_image(self, target: gl.Target, background: np.ndarray | None) -> np.ndarray:
        width, height = target.resolved.size
        data = target.resolved.read(components=4, alignment=1)
        rgba = np.frombuffer(data, np.uint8).reshape(height, width, 4)
        if background is None:
            return rgba[..., :3].copy()
        gap = (255 - rgba[..., 3:]).astype(np.uint16)  # drawn colours are weighted by coverage
        return rgba[..., :3] + ((background * gap + 127) // 255).astype(np.uint8)

    def draw_labels(
        self, drawn: Sequence[Placement], K: np.ndarray, size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Depth in metres, and the number of the placement seen at each pixel, from 1."""
        target = self._target(size)
        self.ctx.enable_only(moderngl.DEPTH_TEST)
        target.labels.use()
        target.labels.clear()
        gl.write_matrix(self._label, "clip_from_cam", clip_from_cam(K, *size))
        for number, placement in enumerate(drawn, start=1):
            self._label["number"].value = number
            gl.write_matrix(self._label, "cam_from_obj", placement.T_cam_obj)
            self._cull(placement)
            self._arrays[placement.mesh][1].render()
        width, height = size
        data = target.labels.read(components=2, dtype="f4")
        both = np.frombuffer(data, np.float32).reshape(height, width, 2)
        return both[..., 0].copy(), np.rint(both[..., 1]).astype(np.int64)
