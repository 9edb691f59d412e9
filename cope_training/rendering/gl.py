"""Frame buffers and uniforms: the small change of OpenGL."""

import moderngl
import numpy as np

from cope_training.rendering import shaders
from cope_training.rendering.scene import Lighting, Material


class Target:
    """Frame buffers of one image size."""

    def __init__(self, ctx: moderngl.Context, width: int, height: int, samples: int) -> None:
        size = (width, height)
        self.shaded = ctx.framebuffer(
            ctx.renderbuffer(size, 4, samples=samples),
            ctx.depth_renderbuffer(size, samples=samples),
        )
        self.resolved = ctx.framebuffer(ctx.renderbuffer(size, 4))
        self.labels = ctx.framebuffer(
            ctx.renderbuffer(size, 2, dtype="f4"), ctx.depth_renderbuffer(size)
        )


def write_matrix(program: moderngl.Program, name: str, matrix: np.ndarray) -> None:
    """Sets a (4, 4) uniform; GL wants columns first."""
    program[name].write(np.ascontiguousarray(matrix.T, dtype="f4").tobytes())


def write_lighting(program: moderngl.Program, light: Lighting) -> None:
    """Sets the lights; missing ones are black."""
    positions = np.tile(np.array([0.0, 0.0, -1.0, 0.0], "f4"), (shaders.MAX_LIGHTS, 1))
    colors = np.zeros((shaders.MAX_LIGHTS, 3), "f4")
    for row, source in enumerate(light.lights[: shaders.MAX_LIGHTS]):
        positions[row], colors[row] = source.position, source.color
    program["light_position"].write(positions.tobytes())
    program["light_color"].write(colors.tobytes())
    for name in ("up", "sky", "ground"):
        program[name].value = tuple(getattr(light, name))


def write_material(
    program: moderngl.Program, material: Material, mean_color: np.ndarray, textured: bool
) -> None:
    """Sets a material; ``mean_color`` is its mesh's, see ``Mesh.mean_albedo``."""
    program["textured"].value = 1.0 if textured else 0.0
    program["tint"].value = tuple(material.tint)
    program["gloss"].value = (material.specular, material.shininess)
    program["fade"].value = (*mean_color, material.fade)
    program["vivid"].value = material.vivid
    pattern = material.pattern
    program["hardness"].value = 0.0 if pattern is None else pattern.hardness
    if pattern is not None:
        program["waves"].write(pattern.waves.astype("f4").tobytes())
        program["wave_colors"].write(pattern.colors.astype("f4").tobytes())
