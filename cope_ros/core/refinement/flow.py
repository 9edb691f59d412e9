"""Flow: where the image shows each place of a rendering, and the pose that follows from all.

A correction in one vector has to be regressed; a flow is measured, place by place, and hundreds
of places agree on a pose far more exactly than each of them is known. Each place says how sure
it is in which direction (an edge is known across, not along), and whether it is seen at all, so
that what is hidden does not count (perspective flow: Hu et al., ECCV 2022; differentiable
weighted solvers: Lipson et al., CVPR 2022).

Axes: N crops, S their side in px, P = (S / FLOW_STRIDE)^2 places, rows first.
"""

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from cope_ros.core import geometry
from cope_ros.core.gauss_newton import apply_increment, increment
from cope_ros.core.network.layers import conv_layer, upsample
from cope_ros.core.refinement import point_rendering
from cope_ros.core.refinement.crop_network import crop_conv

FLOW_STRIDE = 4  # px of the crop per place
FLOW_UNIT = 4.0  # px: outputs of order one
POINT_GAIN = 4.0  # points are given in quarters of the diameter
DEEP = 48  # channels of what is known at stride 8
FINE = (16, 24, 48)  # of the image at stride 2, of it and the rendering there, and at stride 4
OUTPUTS = 6  # way x y, root of the inverse covariance xx yx yy, logit of being seen
GIVEN = point_rendering.CHANNELS + 2  # what is drawn, and where in its cell
MAX_LOG_SQRT_INFORMATION = 2.5  # logarithm of px^-1: no place is known better
MIN_LOG_SQRT_INFORMATION = -4.0
STEPS = 3  # of Gauss-Newton
ROTATION_SIGMA = math.radians(5.0)  # how far poses given are off, before anything is learned
LATERAL_SIGMA = 0.015  # of the diameter, across the ray
DEPTH_SIGMA = 0.03  # of the depth, along it
TRUST = 0.1  # of what a place says: its neighbours say nearly the same


class Flow(NamedTuple):
    """What N images show of their renderings."""

    R: Tensor  # (N, 3, 3) and
    center: Tensor  # (N, 3) m, of the box, in the crop's frame: the pose that is drawn
    point: Tensor  # (N, P, 3) m about the box's centre, in the crop's frame, as drawn
    rendered: Tensor  # (N, P) one where there is a point
    pixel: Tensor  # (N, P, 2) px, where the image shows it
    sqrt_information: Tensor  # (N, P, 3) px^-1: L of pixel's inverse covariance L L^T: xx, yx, yy
    seen: Tensor  # (N, P) logit: the image shows it


class FlowHead(nn.Module):
    """From image and rendering to flow, and from flow to poses.

    What is known at stride 8 says about where a place is; image and rendering, met at stride 2, say
    it exactly.

    Args:
        deep: channels of the maps at stride 8.
        stem: channels of the stem's features.
        width: of its layers.
    """

    stride: Final[int] = FLOW_STRIDE
    unit: Final[float] = FLOW_UNIT
    point_gain: Final[float] = POINT_GAIN
    min_log_sqrt_information: Final[float] = MIN_LOG_SQRT_INFORMATION
    max_log_sqrt_information: Final[float] = MAX_LOG_SQRT_INFORMATION

    def __init__(self, deep: int, stem: int, width: int) -> None:
        super().__init__()
        self.steps = STEPS
        self.deep = crop_conv(deep, DEEP)
        self.fine = crop_conv(3, FINE[0], 2)
        self.fusion = nn.Sequential(
            crop_conv(FINE[0] + point_rendering.CHANNELS, FINE[1]),
            crop_conv(FINE[1], FINE[2], 2),
        )
        self.layers = nn.Sequential(
            conv_layer(DEEP + stem + FINE[2] + GIVEN, width, 1, 1, False, "group"),
            crop_conv(width, width),
            crop_conv(width, width),
        )
        self.output = nn.Conv2d(width, OUTPUTS, 1)
        nn.init.normal_(self.output.weight, std=0.01)
        assert self.output.bias is not None
        nn.init.zeros_(self.output.bias)
        sigmas = torch.tensor([ROTATION_SIGMA, LATERAL_SIGMA, DEPTH_SIGMA, TRUST])
        self.log_sigmas = nn.Parameter(sigmas.log())

    def forward(
        self,
        deep: Tensor,
        stem: Tensor,
        image: Tensor,
        rendering: Tensor,
        surface: Tensor,
        R: Tensor,
        center: Tensor,
        K: Tensor,
        diameter: Tensor,
    ) -> Flow:
        """Flow of N crops.

        Args:
            deep: (N, deep, S/8, S/8).
            stem: (N, stem, S/4, S/4).
            image: (N, 3, S, S) normalised.
            rendering: (N, point_rendering.CHANNELS, S/2, S/2).
            surface: (N, points, 6) m, see ``point_rendering.render_points``.
            R, center: (N, 3, 3) and (N, 3) m in the crop's frame, the pose that is drawn.
            K: (N, 3, 3) px.
            diameter: (N,) m.
        """
        side = stem.shape[-1]
        rendered = point_rendering.render_points(
            surface, R, center, K, diameter, self.stride * side, self.stride
        )
        covered = rendered[:, 6].flatten(1)
        point = rendered[:, :3].flatten(2).transpose(1, 2) * diameter[:, None, None]
        start = geometry.project(point + center.unsqueeze(1), K)
        within = (start + 0.5) / self.stride
        within = (within - within.floor() - 0.5) * covered.unsqueeze(-1)
        within = within.transpose(1, 2).unflatten(2, (side, side))
        given = torch.cat((self.point_gain * rendered[:, :3], rendered[:, 3:], within), 1)
        about = upsample(self.deep(deep), 2)
        fine = self.fusion(torch.cat((self.fine(image), rendering), 1))
        out = self.output(self.layers(torch.cat((about, stem, fine, given), 1)))
        out = out.flatten(2).transpose(1, 2)
        scale = (
            out[..., 2:5:2]
            .clamp(self.min_log_sqrt_information, self.max_log_sqrt_information)
            .exp()
        )
        sqrt_information = torch.stack(
            (scale[..., 0], out[..., 3] * scale[..., 1], scale[..., 1]), -1
        )
        return Flow(
            R,
            center,
            point,
            covered,
            start + self.unit * out[..., :2],
            sqrt_information,
            out[..., 5],
        )

    def fit(self, flow: Flow, K: Tensor, diameter: Tensor) -> tuple[Tensor, Tensor]:
        """The poses (N, 3, 3) and (N, 3) m that flows say, held by the ones that are drawn.

        Args:
            flow: of N crops.
            K: (N, 3, 3) px.
            diameter: (N,) m.
        """
        R, center = flow.R, flow.center
        sigma = self.log_sigmas.exp()
        prior = geometry.pose_precision(
            center, sigma[0], sigma[1] * diameter, sigma[2] * center[:, 2]
        )
        counts = sigma[3] * flow.rendered * torch.sigmoid(flow.seen)
        for _ in range(self.steps):
            turned = flow.point @ (R @ flow.R.transpose(1, 2)).transpose(1, 2)
            point = turned + center.unsqueeze(1)
            x, y = geometry.pixel_motion(point, turned, K)
            displacement = flow.pixel - geometry.project(point, K)
            xx, yx, yy = flow.sqrt_information.unsqueeze(-1).unbind(2)
            J = torch.cat((xx * x + yx * y, yy * y), 1)
            error = torch.cat(
                (
                    xx * displacement[..., :1] + yx * displacement[..., 1:],
                    yy * displacement[..., 1:],
                ),
                1,
            )
            error = error.squeeze(-1)
            both = error.unflatten(1, (2, -1)).square().sum(1)
            weight = (counts / (1.0 + both).sqrt()).repeat(1, 2)
            back = geometry.log_so3(flow.R @ R.transpose(1, 2))
            back = torch.cat((back, flow.center - center), 1)
            R, center = apply_increment(R, center, increment(J, error, weight, prior, back))
        sound = torch.isfinite(center).all(-1) & torch.isfinite(R).flatten(1).all(-1)
        R = torch.where(sound[:, None, None], R, flow.R)
        return R, torch.where(sound[:, None], center, flow.center)

    def mean_log_likelihood(self, flow: Flow, R: Tensor, center: Tensor, K: Tensor) -> Tensor:
        """How likely flows are in poses: (N,) mean logarithm of the likelihood of what is seen.

        The likelihood that a training maximises: high where places are seen for sure, and where
        one pose explains them all. Of the other side of an object little is sure.

        Args:
            flow: of N crops.
            R, center: (N, 3, 3) and (N, 3) m.
            K: (N, 3, 3) px.
        """
        turned = flow.point @ (R @ flow.R.transpose(1, 2)).transpose(1, 2)
        displacement = flow.pixel - geometry.project(turned + center.unsqueeze(1), K)
        counts = flow.rendered * torch.sigmoid(flow.seen)
        total = (counts * log_likelihood(flow.sqrt_information, displacement)).sum(1)
        return total / counts.sum(1).clamp_min(1.0)


def log_likelihood(sqrt_information: Tensor, displacement: Tensor) -> Tensor:
    """(N, P) logarithms of likelihoods, up to a constant; tails fall exponentially.

    Args:
        sqrt_information: (N, P, 3) px^-1, see ``Flow``.
        displacement: (N, P, 2) px, from where a place is to where it is said to be.
    """
    xx, yx, yy = sqrt_information.unbind(-1)
    x, y = xx * displacement[..., 0] + yx * displacement[..., 1], yy * displacement[..., 1]
    return 1.0 - (1.0 + x.square() + y.square()).sqrt() + torch.log(xx) + torch.log(yy)
