"""Ground-truth poses of symmetric objects: all hypotheses that look the same."""

import numpy as np
import torch
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.rotations import plane_basis


class SymmetricPoses:
    """Equivalent poses of instances, the same set for all poses that look the same.

    Each discrete symmetry gives a pose. A continuous axis is then removed by turning the object
    about it until the camera lies on a fixed half-plane of the object's frame (the order
    matters: of a can that stands on its head both would differ by a half turn). A sphere keeps
    the rotation of its viewing ray.

    Args:
        catalogue: objects with their symmetry groups.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        groups = [item.symmetry for item in catalogue]
        count = max(len(group.members) for group in groups)
        members = np.tile(np.eye(4), (len(groups), count, 1, 1))
        axes = np.zeros((len(groups), 4, 3))  # axis, two across it, offset
        for c, group in enumerate(groups):
            members[c, : len(group.members)] = group.members  # the rest repeats the identity
            axes[c, 3] = group.offset
            if group.continuous:
                axes[c, :3] = group.axis, *plane_basis(group.axis)
        self.members = torch.from_numpy(members)
        self.axes = torch.from_numpy(axes)
        self.sphere = torch.tensor([group.sphere for group in groups])

    def to(self, device: torch.device) -> "SymmetricPoses":
        """Moves the constants."""
        self.members, self.axes = self.members.to(device), self.axes.to(device)
        self.sphere = self.sphere.to(device)
        return self

    def __call__(self, R: Tensor, t: Tensor, class_index: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, 3), (N, 3) m and (N,) -> (N, S, 3, 3) and (N, S, 3) m.

        Rows of objects with fewer than S symmetries repeat their first pose.
        """
        members = self.members[class_index].to(R.dtype)
        moved = (R.unsqueeze(1) @ members[..., :3, 3:]).squeeze(-1)
        R_all, t_all = R.unsqueeze(1) @ members[..., :3, :3], t.unsqueeze(1) + moved
        count = members.shape[1]
        classes = class_index.unsqueeze(1).expand(-1, count).reshape(-1)
        R_all, t_all = self._canonical(R_all.flatten(0, 1), t_all.flatten(0, 1), classes)
        return R_all.view(-1, count, 3, 3), t_all.view(-1, count, 3)

    def _canonical(self, R: Tensor, t: Tensor, class_index: Tensor) -> tuple[Tensor, Tensor]:
        """Turned about the continuous axis until the camera lies on a fixed half-plane."""
        axis, e1, e2, offset = self.axes[class_index].to(R.dtype).unbind(1)
        camera = -(R.transpose(1, 2) @ t.unsqueeze(-1)).squeeze(-1) - offset
        angle = torch.atan2((camera * e2).sum(-1), (camera * e1).sum(-1))
        turn = geometry.exp_so3(axis * angle.unsqueeze(-1))  # no axis, no turn
        center = t + (R @ offset.unsqueeze(-1)).squeeze(-1)
        to_ray = R.transpose(1, 2) @ geometry.rotation_to_ray(geometry.normalize(center))
        turn = torch.where(self.sphere[class_index].view(-1, 1, 1), to_ray, turn)
        move = offset - (turn @ offset.unsqueeze(-1)).squeeze(-1)
        return R @ turn, t + (R @ move.unsqueeze(-1)).squeeze(-1)
