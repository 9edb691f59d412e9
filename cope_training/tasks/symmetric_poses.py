"""Ground-truth poses of symmetric objects on tensors: all hypotheses that look the same."""

import numpy as np
import torch
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_training.tasks.symmetries import MAX_HYPOTHESES, plane_basis


class SymmetricPoses:
    """Equivalent poses of instances, as ``symmetries.hypotheses`` gives them, on any device.

    Args:
        catalogue: objects with BOP's discrete and continuous symmetries.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        count = min(MAX_HYPOTHESES, 1 + max(len(o.symmetries_discrete) for o in catalogue))
        self.R = torch.eye(3).repeat(len(catalogue), count, 1, 1)
        self.t = torch.zeros(len(catalogue), count, 3)
        axes = np.zeros((len(catalogue), 4, 3))  # axis, two across it, offset
        for c, item in enumerate(catalogue):
            for s, S in enumerate(item.symmetries_discrete[: count - 1]):
                self.R[c, s + 1] = torch.from_numpy(S[:3, :3]).float()
                self.t[c, s + 1] = torch.from_numpy(S[:3, 3]).float()
            for symmetry in item.symmetries_continuous[:1]:
                axes[c] = symmetry.axis, *plane_basis(symmetry.axis), symmetry.offset
        self.axes = torch.from_numpy(axes).float()

    def to(self, device: torch.device) -> "SymmetricPoses":
        """Moves the constants."""
        self.R, self.t, self.axes = (x.to(device) for x in (self.R, self.t, self.axes))
        return self

    def __call__(self, R: Tensor, t: Tensor, class_index: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, 3), (N, 3) m and (N,) -> (N, S, 3, 3) and (N, S, 3) m."""
        R, t = self._canonical(R, t, class_index)
        R_all = R.unsqueeze(1) @ self.R[class_index]
        moved = (R.unsqueeze(1) @ self.t[class_index].unsqueeze(-1)).squeeze(-1)
        return R_all, t.unsqueeze(1) + moved

    def _canonical(self, R: Tensor, t: Tensor, class_index: Tensor) -> tuple[Tensor, Tensor]:
        """Turned about the continuous axis until the camera lies on a fixed half-plane."""
        axis, e1, e2, offset = self.axes[class_index].unbind(1)
        camera = -(R.transpose(1, 2) @ t.unsqueeze(-1)).squeeze(-1) - offset
        angle = torch.atan2((camera * e2).sum(-1), (camera * e1).sum(-1))
        turn = geometry.exp_so3(axis * angle.unsqueeze(-1))  # no axis, no turn
        move = offset - (turn @ offset.unsqueeze(-1)).squeeze(-1)
        return R @ turn, t + (R @ move.unsqueeze(-1)).squeeze(-1)
