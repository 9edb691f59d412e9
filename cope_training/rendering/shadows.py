"""The first light's shadow: a depth picture of the scene as that light sees it."""

from collections.abc import Sequence

import moderngl
import numpy as np

from cope_training.rendering import shaders

SIDES = (96, 192, 384)  # texels of the square depth picture; fewer make a softer edge
UNIT = 1  # texture unit it is bound to while shading


class ShadowMap:
    """Draws what stands nearest to the first light; parallel rays, also for a point light."""

    def __init__(self, ctx: moderngl.Context) -> None:
        self.program = ctx.program(shaders.LABEL_VERTEX, fragment_shader=shaders.NOTHING_FRAGMENT)
        self._ctx = ctx
        self._pictures = {side: self._picture(side) for side in SIDES}

    def _picture(self, side: int) -> tuple[moderngl.Texture, moderngl.Framebuffer]:
        depth = self._ctx.depth_texture((side, side))
        depth.compare_func = "<="
        depth.filter = (moderngl.LINEAR, moderngl.LINEAR)
        depth.repeat_x = depth.repeat_y = False
        return depth, self._ctx.framebuffer(depth_attachment=depth)

    def draw(
        self,
        arrays: Sequence[moderngl.VertexArray],
        poses: Sequence[np.ndarray],
        radii: np.ndarray,
        light: np.ndarray,
        side: int = SIDES[-1],
    ) -> np.ndarray:
        """Draws the casters and binds the picture.

        Args:
            arrays: N >= 1 vertex arrays bound to ``program``.
            poses: N (4, 4) T_cam_obj.
            radii: (N,) m of balls around the objects' origins that contain them.
            light: (4,) homogeneous position, camera frame.
            side: texels of the picture, one of SIDES.

        Returns:
            (4, 4) from camera frame to the picture's texture coordinates and depth, in [0, 1]
            around the casters.
        """
        centers = np.array([pose[:3, 3] for pose in poses])
        middle = 0.5 * (
            (centers - radii[:, None]).min(axis=0) + (centers + radii[:, None]).max(axis=0)
        )
        reach = float((np.linalg.norm(centers - middle, axis=1) + radii).max())
        matrix = light_matrix(light[:3] - light[3] * middle, middle, reach)
        depth, target = self._pictures[side]
        target.use()
        target.clear()
        self._ctx.enable_only(moderngl.DEPTH_TEST)
        to_clip = np.diag([2.0, 2.0, 2.0, 1.0])
        to_clip[:3, 3] = -1.0
        clip = np.ascontiguousarray((to_clip @ matrix).T, "f4")
        self.program["clip_from_cam"].write(clip.tobytes())
        for array, pose in zip(arrays, poses, strict=True):
            self.program["cam_from_obj"].write(np.ascontiguousarray(pose.T, "f4").tobytes())
            array.render()
        depth.use(UNIT)
        return matrix


def light_matrix(way: np.ndarray, middle: np.ndarray, reach: float) -> np.ndarray:
    """(4, 4) orthographic projection of a ball onto [0, 1]^3; depth grows away from the light.

    Args:
        way: (3,) towards the light, any length.
        middle: (3,) m centre of the ball.
        reach: m, its radius.
    """
    forward = -way / np.linalg.norm(way)
    side = np.cross(forward, np.eye(3)[np.argmin(np.abs(forward))])
    side /= np.linalg.norm(side)
    M = np.eye(4)
    M[:3, :3] = np.stack([side, np.cross(forward, side), forward]) / (2.0 * reach)
    M[:3, 3] = 0.5 - M[:3, :3] @ middle
    return M
