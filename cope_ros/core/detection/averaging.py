"""The pose of an instance from its hypotheses: aligned, robust, on the manifold."""

import math

import torch
from torch import Tensor, nn

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue

MAX_SPREAD = math.radians(30.0)  # hypotheses farther from the medoid are another view's flip
MIN_COSINE = math.cos(MAX_SPREAD)
VARIANCE_FLOOR_T = 1e-6  # m^2: a cluster of equal hypotheses is not exact to the micrometre
VARIANCE_FLOOR_R = 1e-4  # rad^2


class SymmetryAligner(nn.Module):
    """Moves poses to the symmetric equivalent nearest to a reference rotation.

    Args:
        catalogue: objects with BOP's discrete and continuous symmetries.
    """

    R_sym: Tensor
    t_sym: Tensor
    axis: Tensor
    offset: Tensor
    continuous: Tensor
    sphere: Tensor

    def __init__(self, catalogue: Catalogue) -> None:
        super().__init__()
        groups = [o.symmetry for o in catalogue]
        count = max(len(group.members) for group in groups)
        R = torch.eye(3).repeat(len(catalogue), count, 1, 1)
        t = torch.zeros(len(catalogue), count, 3)
        axis = torch.zeros(len(catalogue), 3)
        offset = torch.zeros(len(catalogue), 3)
        for c, group in enumerate(groups):
            members = torch.from_numpy(group.members).float()
            R[c, : len(members)], t[c, : len(members)] = members[:, :3, :3], members[:, :3, 3]
            axis[c] = torch.from_numpy(group.axis).float()
            offset[c] = torch.from_numpy(group.offset).float()
        sphere = torch.tensor([group.sphere for group in groups])
        self.register_buffer("R_sym", R, persistent=False)
        self.register_buffer("t_sym", t, persistent=False)
        self.register_buffer("axis", axis, persistent=False)
        self.register_buffer("offset", offset, persistent=False)
        self.register_buffer("continuous", axis.norm(dim=-1) > 0.5, persistent=False)
        self.register_buffer("sphere", sphere, persistent=False)

    def forward(
        self, R: Tensor, t: Tensor, R_ref: Tensor, class_index: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Aligns poses ``R`` (N, 3, 3), ``t`` (N, 3) to ``R_ref`` (N, 3, 3).

        Args:
            class_index: (N,) int64.

        Returns:
            Rotations and translations of the same shapes; the object looks the same.
        """
        R_all = R.unsqueeze(1) @ self.R_sym[class_index]
        closeness = (R_all * R_ref.unsqueeze(1)).sum((-1, -2))
        best = closeness.argmax(1)
        index = best.view(-1, 1, 1, 1).expand(-1, 1, 3, 3)
        R_best = R_all.gather(1, index).squeeze(1)
        t_sym = self.t_sym[class_index].gather(1, best.view(-1, 1, 1).expand(-1, 1, 3))
        t_best = t + (R @ t_sym.transpose(1, 2)).squeeze(-1)
        return self._turn(R_best, t_best, R_ref, class_index)

    def mean(
        self, R: Tensor, t: Tensor, weights: Tensor, class_index: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Robust means of n poses each, symmetric ones aligned to the first.

        Args:
            R, t, weights: (N, n, 3, 3), (N, n, 3) m and (N, n), see ``robust_mean``.
            class_index: (N,) int64.

        Returns:
            Rotation, translation and covariance as ``robust_mean`` gives them.
        """
        n = t.shape[1]
        reference = R[:, 0:1].expand(-1, n, -1, -1).reshape(-1, 3, 3)
        classes = class_index.unsqueeze(1).expand(-1, n).reshape(-1)
        R_a, t_a = self.forward(R.flatten(0, 1), t.flatten(0, 1), reference, classes)
        return robust_mean(R_a.view_as(R), t_a.view_as(t), weights)

    def between(
        self, R: Tensor, t: Tensor, R_to: Tensor, t_to: Tensor, share: float, class_index: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Poses on the way from one to another, symmetric ones by the shortest way.

        Args:
            R, t: (..., 3, 3) and (..., 3) m.
            R_to, t_to: alike.
            share: of the way, below one half.
            class_index: (...) int64.
        """
        both = torch.stack((R, R_to), -3).flatten(0, -4), torch.stack((t, t_to), -2).flatten(0, -3)
        weights = both[1].new_full((len(both[1]), 2), share)
        weights[:, 0].fill_(1.0 - share)
        R_mean, t_mean, _ = self.mean(both[0], both[1], weights, class_index.reshape(-1))
        return R_mean.view_as(R), t_mean.view_as(t)

    def _turn(
        self, R: Tensor, t: Tensor, R_ref: Tensor, class_index: Tensor
    ) -> tuple[Tensor, Tensor]:
        relative = R.transpose(1, 2) @ R_ref
        turn = geometry.turn_about_axis(relative, self.axis[class_index])
        eye = torch.eye(3, dtype=R.dtype, device=R.device)
        turn = torch.where(self.continuous[class_index].view(-1, 1, 1), turn, eye)
        turn = torch.where(self.sphere[class_index].view(-1, 1, 1), relative, turn)
        offset = self.offset[class_index].unsqueeze(-1)
        # Turning about a line through the offset: p -> turn (p - offset) + offset.
        t = t + (R @ (offset - turn @ offset)).squeeze(-1)
        return R @ turn, t


def robust_mean(
    R: Tensor,
    t: Tensor,
    weights: Tensor,
    min_cosine: float = MIN_COSINE,
    floor_t: float = VARIANCE_FLOOR_T,
    floor_r: float = VARIANCE_FLOOR_R,
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean pose of each row's hypotheses and its covariance.

    Rotations are averaged in the chordal sense, over those within MAX_SPREAD of the
    weighted medoid, so that one flipped hypothesis does not bend the others.

    Args:
        R, t: (M, n, 3, 3) and (M, n, 3) m, aligned hypotheses.
        weights: (M, n), zero for rows that do not take part.

    Returns:
        (M, 3, 3), (M, 3) m and (M, 6, 6) covariance of position (m) and rotation (rad)
        about the camera's fixed axes: the weighted spread of the hypotheses that took part.
    """
    flat = R.flatten(2)
    cosine = 0.5 * (torch.bmm(flat, flat.transpose(1, 2)) - 1.0)
    votes = torch.bmm(cosine.clamp_min(min_cosine), weights.unsqueeze(-1)).squeeze(-1)
    medoid = torch.where(weights > 0, votes, torch.full_like(votes, -1e9)).argmax(1)
    index = medoid.view(-1, 1, 1).expand(-1, 1, cosine.shape[2])
    near = cosine.gather(1, index).squeeze(1) > min_cosine
    w = torch.where(near, weights, torch.zeros_like(weights))
    w = w / w.sum(1, keepdim=True).clamp_min(1e-12)
    R_mean = geometry.nearest_rotation((w[..., None, None] * R).sum(1))
    t_mean = (w.unsqueeze(-1) * t).sum(1)
    delta_t = t - t_mean.unsqueeze(1)
    delta_R = geometry.log_so3(R @ R_mean.unsqueeze(1).transpose(-1, -2))
    delta = torch.cat((delta_t, delta_R), -1)
    covariance = (delta * w.unsqueeze(-1)).transpose(1, 2) @ delta
    floor = covariance.new_full((6,), floor_t)
    floor[3:].fill_(floor_r)  # setting an item would make a tensor on the host
    return R_mean, t_mean, covariance + torch.diag(floor)
