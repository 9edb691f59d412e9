"""The instance head: dense object coordinates of each instance on shared features, and a fit.

The second stage of the single pass. For each instance found, features of the dense pass are
pooled on a grid of cells about it (RoIAlign, He et al. 2017). A small tower, told the pose so far
and what of the object that would show (as DeepIM, Li et al. 2018, and CosyPose, Labbe et al. 2020,
compare image and rendering), predicts for each cell which point of the object it shows (object
coordinates: CDPN, Li et al. 2019; GDR-Net, Wang et al. 2021), how sure that is, and whether the
object is visible there, and for the instance how far the dense pose is off in place and depth.
``CoordinateFit`` makes the pose of them.

Axes: B images, M instances of each, N = B * M, G cells a side, P = G * G, F features.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cope_ros.core.network.presets import InstanceHeadConfig
from cope_ros.core.refinement.coordinate_fit import PLACE_UNIT, CoordinateFit, InstancePrediction
from cope_ros.core.refinement.expected_surface import ExpectedSurface
from cope_ros.core.refinement.instance_detail import InstanceDetail
from cope_ros.core.refinement.instance_features import InstanceFeatures, InstanceMaps
from cope_ros.core.refinement.instance_regions import Regions, RegionSampler, unpack_picture

COORDINATE_UNIT = 0.1  # diameters per unit of the tower's coordinates
CELL_INPUTS = 8  # beside features: expected point x y z, whether hit, place, depth, in the image
SURFACE_INPUTS = 7  # normal x y z in the ray's frame, clearance, colour
CLEARANCE_UNIT = 0.1  # diameters per unit of what the tower sees
# Corrections x y z in the ray's frame and in the object's, log sigma of u and v, logit of being
# visible.
CELL_OUTPUTS = 9
POSE_OUTPUTS = 8  # prior x y z, their log sigmas (xy, z), log sigma of rotation, evidence, quality
MIN_LOG_SIGMA, MAX_LOG_SIGMA = -6.0, 2.0  # of cells and priors, in their units
MAX_LOG_EVIDENCE = 4.0
MAX_LOG_DOUBT = 4.0
LOG_SIGMA_START = -3.0  # of cells, before anything is learned


class RefinedInstances(NamedTuple):
    """Poses of B x n instances after all rounds."""

    R: Tensor  # (B, n, 3, 3)
    t: Tensor  # (B, n, 3) m
    covariance: Tensor  # (B, n, 6, 6) position (m) and rotation (rad), camera's axes
    quality: Tensor  # (B, n) in [0, 1], chance that the pose is right


class ExpectedCells(NamedTuple):
    """What the pose so far puts in the cells of N regions."""

    points: Tensor  # (N, P, 3) of the object over the diameter from its box's centre
    hit: Tensor  # (N, P, 1) in [0, 1], the object is there
    guide: Tensor  # (N, P, SURFACE_INPUTS) normals, clearance, colours; none without a surface


class ConditionedBlock(nn.Module):
    """A ConvNeXt-like block (Liu et al. 2022), modulated by what is known of the instance (FiLM).

    Channels are the last axis, so that norms and dense layers need no copies.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, channels)
        self.project = nn.Linear(channels, channels)
        self.modulation = nn.Linear(channels, 2 * channels)
        self.context = nn.Linear(channels, channels)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(N, G, G, C) and (N, C) -> (N, G, G, C)"""
        scale, shift = self.modulation(condition)[:, None, None].chunk(2, -1)
        y = self.depthwise(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        y = torch.addcmul(shift, self.norm(y), 1.0 + scale)
        y = F.silu(self.expand(y))
        y = y + self.context(y.mean((1, 2)))[:, None, None]
        out: Tensor = x + self.project(F.silu(y))
        return out


class InstanceHead(nn.Module):
    """From dense poses to refined ones, for a fixed number of instances.

    Args:
        config: layers.
        stem, pyramid: channels of the shared maps, see ``InstanceFeatures``.
        corners: (C, 8, 3) m, of each object's box.
        diameters: (C,) m.
    """

    rounds: Final[int]
    max_refined: Final[int]
    coordinate_unit: Final[float] = COORDINATE_UNIT
    place_unit: Final[float] = PLACE_UNIT
    min_log_sigma: Final[float] = MIN_LOG_SIGMA
    max_log_sigma: Final[float] = MAX_LOG_SIGMA
    max_log_evidence: Final[float] = MAX_LOG_EVIDENCE
    max_log_doubt: Final[float] = MAX_LOG_DOUBT
    log_sigma_start: Final[float] = LOG_SIGMA_START
    feature_channels: Final[int]
    clearance_gain: Final[float] = 1.0 / CLEARANCE_UNIT

    def __init__(
        self,
        config: InstanceHeadConfig,
        stem: int,
        pyramid: int,
        corners: Tensor,
        diameters: Tensor,
    ) -> None:
        super().__init__()
        self.rounds, self.max_refined = config.rounds, config.max_refined
        self.regions = RegionSampler(config.cells, corners, diameters)
        self.fit = CoordinateFit(corners, diameters)
        width = config.channels
        self.feature_channels = config.feature_channels
        traced = config.voxels > 0
        self.features = InstanceFeatures(stem, pyramid, config.feature_channels, traced)
        self.surface = ExpectedSurface(len(diameters), config.voxels) if traced else None
        self.expect = nn.Linear(SURFACE_INPUTS, width) if traced else None
        self.detail = InstanceDetail(SURFACE_INPUTS, config.detail, width) if traced else None
        if self.expect is not None:
            nn.init.zeros_(self.expect.weight)
            nn.init.zeros_(self.expect.bias)
        self.enter = nn.Linear(config.feature_channels + CELL_INPUTS, width)
        self.classes = nn.Embedding(len(diameters), width)
        self.condition = nn.Linear(12, width)
        self.blocks = nn.ModuleList([ConditionedBlock(width) for _ in range(config.blocks)])
        self.norm = nn.LayerNorm(width)
        self.cell_output = nn.Linear(width, CELL_OUTPUTS)
        self.hidden = nn.Linear(3 * width, width)
        self.pose_output = nn.Linear(width, POSE_OUTPUTS)
        self.doubt = nn.Linear(width, 3) if config.doubt else None
        for layer in (self.cell_output, self.pose_output):
            nn.init.normal_(layer.weight, std=0.01)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    @torch.jit.export
    def refine(
        self, shared: Tensor, class_index: Tensor, R: Tensor, t: Tensor, K: Tensor, size: Tensor
    ) -> RefinedInstances:
        """All rounds for n instances of each image.

        Args:
            shared: (B, F, H/4, W/4), see ``InstanceFeatures``.
            class_index: (B, n) int64.
            R, t: (B, n, 3, 3) and (B, n, 3) m, poses so far.
            K: (B, 3, 3) px.
            size: (2,) px, width and height of the image.
        """
        shape, c = class_index.shape, class_index.flatten()
        K = K.unsqueeze(1).expand(-1, shape[1], -1, -1).flatten(0, 1)
        maps = self.maps(shared)
        regions = self.regions(c, R.flatten(0, 1), t.flatten(0, 1), K, size)
        prediction = self(maps, c, regions)
        fitted = self.fit(prediction, c, regions)
        for _ in range(self.rounds - 1):
            regions = self.regions(c, fitted.R, fitted.t, K, size)
            prediction = self(maps, c, regions)
            fitted = self.fit(prediction, c, regions)
        return RefinedInstances(
            fitted.R.unflatten(0, shape),
            fitted.t.unflatten(0, shape),
            self.fit.covariance(fitted, prediction.doubt, c, regions).unflatten(0, shape),
            torch.sigmoid(prediction.quality).view(shape),
        )

    @torch.jit.export
    def maps(self, shared: Tensor) -> InstanceMaps:
        """(B, F, H/4, W/4), see ``InstanceFeatures``, apart and in full precision."""
        features = shared[:, : self.feature_channels].float()
        picture, volume = features[:, :0], features[:, :0]
        if self.surface is not None:
            packed = shared[:, self.feature_channels :].detach()  # of the image: nothing to learn
            picture, volume = unpack_picture(packed), self.surface.volume()
        return InstanceMaps(features, picture, volume)

    def _expected(self, maps: InstanceMaps, class_index: Tensor, regions: Regions) -> ExpectedCells:
        """What the pose so far puts in each cell: the surface, or the box where there is none."""
        box = self.regions.box_points(regions, class_index)
        if self.surface is None:
            return ExpectedCells(box.points, box.hit, box.points[..., :0])
        met = self.surface(maps.volume, box.points, box.ways, box.hit, class_index)
        clearance = (met.clearance * self.clearance_gain).clamp(-3.0, 3.0)
        normals = met.normals @ regions.R.transpose(1, 2)
        guide = torch.cat((normals, clearance, met.colors), -1)
        return ExpectedCells(met.points, box.hit * (0.5 - clearance).clamp(0.0, 1.0), guide)

    def _entered(
        self, maps: InstanceMaps, regions: Regions, expected: ExpectedCells, ray: Tensor
    ) -> Tensor:
        """(N, P, C) what is seen and what is expected in each cell."""
        place = regions.points / regions.scale[:, None, None]
        given = (expected.points, expected.hit, place, ray[..., 2:], regions.inside.unsqueeze(-1))
        seen = self.regions.pool(maps.features, regions.pixels)
        x: Tensor = self.enter(torch.cat((seen, *given), -1).to(self.enter.weight.dtype))
        if self.expect is not None:
            x = x + self.expect(expected.guide.to(x.dtype))
        if self.detail is not None:
            windows = self.regions.windows(maps.picture, regions.pixels)
            x = x + self.detail(windows, expected.guide)
        return x

    def forward(
        self, maps: InstanceMaps, class_index: Tensor, regions: Regions
    ) -> InstancePrediction:
        """What the tower predicts of N instances.

        Args:
            maps: see ``maps``.
            class_index: (N,) int64.
            regions: about their poses.
        """
        expected = self._expected(maps, class_index, regions)
        ray = expected.points @ regions.R.transpose(1, 2)  # (N, P, 3) in the ray's frame
        x = self._entered(maps, regions, expected, ray)
        x = x.unflatten(1, (self.regions.cells, self.regions.cells))
        size, way = torch.log(regions.scale).unsqueeze(1), regions.R_cam_ray[:, :2, 2]
        known = torch.cat((regions.R.flatten(1), size, way), 1).to(x.dtype)
        condition = F.silu(self.condition(known) + self.classes(class_index).to(x.dtype))
        for block in self.blocks:
            x = block(x, condition)
        x = F.silu(self.norm(x)).flatten(1, 2)  # (N, P, C)
        cells = self.cell_output(x).float()
        weight = torch.sigmoid(cells[..., 8:]).to(x.dtype)
        about = (x * weight).sum(1) / weight.sum(1).clamp_min(1.0)
        pooled = torch.cat((x.mean(1), about, condition), 1)
        told = F.silu(self.hidden(pooled))
        out, doubt = self.pose_output(told).float(), torch.zeros_like(regions.center)
        if self.doubt is not None:
            doubt = self.doubt(told).float().clamp(-self.max_log_doubt, self.max_log_doubt)
        correction = cells[..., :3] + cells[..., 3:6] @ regions.R.transpose(1, 2)
        coordinates = ray + correction * self.coordinate_unit
        return InstancePrediction(
            coordinates,
            (cells[..., 6:8] + self.log_sigma_start).clamp(self.min_log_sigma, self.max_log_sigma),
            cells[..., 8],
            out[:, :3] * self.place_unit,
            out[:, 3:6].clamp(self.min_log_sigma, self.max_log_sigma),
            out[:, 6].clamp(-self.max_log_evidence, self.max_log_evidence),
            out[:, 7],
            doubt,
        )
