"""The refiner's task: it corrects what the close-up says, and random poses."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.detection.averaging import SymmetryAligner
from cope_ros.core.refinement.crop_head import CloseUp
from cope_ros.core.refinement.instance_crops import STRIDE
from cope_ros.core.refinement.refiner import Refiner
from cope_ros.core.refinement.virtual_camera import View, sample_windows, source_pixels
from cope_training.tasks.crop_head.targets import points_seen
from cope_training.tasks.refiner.loss import RefinerLoss
from cope_training.tasks.refiner.targets import (
    FINE,
    Outlook,
    OutlookBuilder,
    RefinerTargets,
    displaced,
)

HOPELESS = math.radians(50.0)  # no correction of what is drawn leads from another side of an object


class Laid(NamedTuple):
    """The refiner's windows of N wider ones."""

    windows: Tensor  # (N, S, S, 3) uint8 RGB
    targets: RefinerTargets
    R_wide_view: Tensor  # (N, 3, 3), from the windows' frames to those of the wider ones


class RefinerTask(nn.Module):
    """Windows around single instances; all but the refiner stays as it is.

    The refiner sees poses that are wrong as they are when it is used: the close-up looks at the
    same, augmented windows, and the refiner's own are laid about what it says.
    """

    def __init__(
        self,
        refiner: Refiner,
        closeup: CloseUp,
        catalogue: Catalogue,
        loss: RefinerLoss,
        targets: OutlookBuilder,
    ) -> None:
        super().__init__()
        self.part, self.loss, self.targets = refiner, loss, targets
        self.closeup = closeup.requires_grad_(False)
        self.align = SymmetryAligner(catalogue).to(closeup.diameters.device)

    @property
    def trained(self) -> Refiner:
        """The part that learns."""
        return self.part

    def forward(self, windows: Tensor, outlook: Outlook, progress: float) -> dict[str, Tensor]:
        """(N, W, W, 3) uint8 windows with a margin and what is true of them -> losses."""
        laid, part = self.lay(windows, outlook), self.part
        c, R, center, K = laid.targets.given
        said, sight = part.say(laid.windows, c, R, center, K)
        if part.flow is None:
            return self.loss(said, laid.targets)
        with torch.no_grad():
            R, center = part.correct(said, R, center, K)
            R, center = self._stray(R, center, outlook)
        flow = part.measure(sight, c, R, center, K)
        fitted = part.flow.fit(flow, K, part.diameters[c])
        return self.loss(said, laid.targets, flow, fitted)

    def _stray(self, R: Tensor, center: Tensor, outlook: Outlook) -> tuple[Tensor, Tensor]:
        """Poses from which flows start: photographs lead corrections astray as drawings do not."""
        diameter = self.part.diameters[outlook.class_index]
        return outlook.stray_turn @ R, displaced(center, outlook.stray_way, diameter)

    @torch.no_grad()
    def lay(self, windows: Tensor, outlook: Outlook) -> Laid:
        """Windows about the wrong poses."""
        c, size = outlook.class_index, self.part.size
        R, center = self._starts(windows, outlook)
        zoom, turn = outlook.zoom.unsqueeze(1), torch.zeros_like(outlook.zoom).unsqueeze(1)
        at = c.unsqueeze(1), center.unsqueeze(1)
        view = self.part.look_at_objects(*at, outlook.K, zoom, turn)
        to_view = view.R_cam_view[:, 0].transpose(1, 2)
        R_true, t_true = self.align(outlook.R, outlook.t, R, c)
        middle = self.part.centers[c].unsqueeze(-1)
        center_true = R_true @ middle + t_true.unsqueeze(-1)
        seen, points = _labels(outlook, view, size)
        points = (to_view[:, None, None] @ points.unsqueeze(-1)).squeeze(-1)
        coarse = slice(STRIDE // 2 // FINE, None, STRIDE // FINE)
        near = geometry.rotation_angle(R_true, R) < HOPELESS
        targets = RefinerTargets(
            class_index=c,
            K=view.K[:, 0],
            visible=seen[:, coarse, coarse],
            points=points[:, coarse, coarse],
            R_start=to_view @ R,
            center_start=(to_view @ center.unsqueeze(-1)).squeeze(-1),
            R=to_view @ R_true,
            center=(to_view @ center_true).squeeze(-1),
            depth=points[..., 2] * seen,
            near=near.to(points.dtype),
        )
        shown = sample_windows(windows, outlook.K, view, size).squeeze(1)
        return Laid(shown, targets, view.R_cam_view[:, 0])

    def _starts(self, windows: Tensor, outlook: Outlook) -> tuple[Tensor, Tensor]:
        """(N, 3, 3) and (N, 3) m wrong poses: the close-up's where wanted, hopeless ones, too."""
        R, center = outlook.R_start.clone(), outlook.center_start.clone()
        rows = outlook.found.nonzero().squeeze(1)
        if len(rows):
            margin = (windows.shape[1] - self.closeup.size) // 2
            inner = slice(margin, margin + self.closeup.size)
            K = outlook.K[rows]
            K[:, :2, 2] -= margin
            c = outlook.class_index[rows]
            glance = self.closeup(windows[rows, inner, inner], c)
            R[rows], center[rows] = self.closeup.pose(glance, c, K)
        return R, center


def _labels(outlook: Outlook, view: View, size: int) -> tuple[Tensor, Tensor]:
    """What windows show at each FINEth pixel: (N, h, h) seen or not, (N, h, h, 3) m, not turned."""
    side = -(-size // FINE)
    pixels = source_pixels(view, outlook.K, size, FINE).view(-1, side, side, 2).round()
    place, most = pixels.long(), outlook.depth.shape[-1]
    inside = ((place >= 0) & (place < most)).all(-1)
    x, y = place.clamp(0, most - 1).unbind(-1)
    rows = torch.arange(len(place), device=place.device).view(-1, 1, 1)
    points = points_seen(pixels, outlook.depth[rows, y, x] * inside, outlook.K)
    return (outlook.own[rows, y, x] & inside).to(points.dtype), points
