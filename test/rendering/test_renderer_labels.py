"""Labels drawn first, before any picture has set the state of the context."""

import numpy as np

from cope_training.rendering.primitives import cuboid
from cope_training.rendering.renderer import Renderer
from cope_training.rendering.scene import Placement

K = np.array([[150.0, 0.0, 57.0], [0.0, 140.0, 46.0], [0.0, 0.0, 1.0]])


def test_a_closed_mesh_shows_its_front():
    T = np.diag([0.2, 0.2, 0.2, 1.0])
    T[2, 3] = 0.8
    depth, number = Renderer([cuboid()]).draw_labels([Placement(0, T)], K, (120, 90))
    assert number[46, 57] == 1
    assert abs(float(depth[46, 57]) - 0.7) < 1e-4
