"""The close-up: each found instance once more, alone, large and centred.

Far away an object covers few locations, and near it covers many; the dense part of the network
has to learn every size, place and view at once. The close-up sees the window around one instance
at one size, through a virtual camera (``virtual_camera``), which is by far easier to learn. It
takes a fixed number of slots, so that time stays constant, and belongs to the same network and
the same forward pass.

Axes: N windows, S their side in px, A anchors, C classes.
"""

import itertools
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cope_ros.core import backbone as backbones
from cope_ros.core import geometry
from cope_ros.core.layers import conv_layer
from cope_ros.core.presets import CloseUpConfig
from cope_ros.core.virtual_camera import View, look_at, sample_windows

WINDOW = 1.25  # side of a window in apparent diameters of its object
STRIDE = 8  # px between the points at which the surface is described
POSE_STRIDE = 16  # px, of the map that the pose is read from
CENTER_UNIT = 0.1  # outputs of order one: the centre's offset in tenths of the window
SIZE_UNIT = 0.25  # and the logarithm of the apparent size in quarters
# Zoom and turn (rad) of the views of the last round; the first is the plain one.
VIEWS = ((1.0, 0.0), (1.15, 0.12), (0.88, -0.12), (1.07, -0.12), (0.95, 0.12))
MAX_LOG_SIZE = 1.0  # no object is that much larger or smaller than its window says
SURFACE_OUTPUTS = 4  # object coordinates x y z, logit of being visible


class Glance(NamedTuple):
    """What the close-up says of N windows."""

    surface: Tensor  # (N, S/8, S/8, 3) object coordinates, see ``cope_training.closeup.loss``
    visible: Tensor  # (N, S/8, S/8) logit: the object is what is seen there
    center: Tensor  # (N, 2) of the object's box in the window, from its middle, CENTER_UNIT
    size: Tensor  # (N,) log of apparent size over S / WINDOW, SIZE_UNIT
    choice: Tensor  # (N, A) logits of the anchors
    R: Tensor  # (N, A, 3, 3) rotation about each anchor, relative to the ray to the object


def anchor_rotations() -> Tensor:
    """(24, 3, 3) the rotations of a cube: every rotation is within 63 degrees of one."""
    anchors = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            R = torch.zeros(3, 3)
            R[range(3), order] = torch.tensor(signs)
            if torch.det(R) > 0:
                anchors.append(R)
    return torch.stack(anchors)


class CloseUp(nn.Module):
    """From a window to a pose.

    A backbone of its own up to stride 16; what is seen at each eighth pixel is described as
    a point of the object's surface (as CDPN and GDR-Net do); from features and description
    together follow the box's centre, the apparent size, and a rotation: the nearest of 24
    anchors, and the way from it. A choice does not shrink where it is unsure, as a mean does.

    Args:
        config: layers.
        backbone: name of the backbone, see ``backbone.BACKBONES``.
        corners: (C, 8, 3) m, of each object's box.
        diameters: (C,) m.
    """

    size: Final[int]
    slots: Final[int]
    rounds: Final[int]
    window: Final[float] = WINDOW
    center_unit: Final[float] = CENTER_UNIT
    size_unit: Final[float] = SIZE_UNIT
    max_log_size: Final[float] = MAX_LOG_SIZE
    min_depth: Final[float] = geometry.MIN_DEPTH
    mean: Tensor
    std: Tensor
    anchors: Tensor
    zooms: Tensor
    turns: Tensor
    centers: Tensor
    diameters: Tensor

    def __init__(
        self, config: CloseUpConfig, backbone: str, corners: Tensor, diameters: Tensor
    ) -> None:
        super().__init__()
        if not 1 <= config.views <= len(VIEWS):
            raise ValueError(f"closeup.views: expected 1 to {len(VIEWS)}, got {config.views}")
        self.size, self.slots, self.rounds = config.size, config.slots, config.rounds
        views = torch.tensor(VIEWS[: config.views])
        self.register_buffer("zooms", views[:, 0].clone(), persistent=False)
        self.register_buffer("turns", views[:, 1].clone(), persistent=False)
        self.n_classes = len(diameters)
        self.backbone = backbones.build_backbone(backbone)
        self.backbone.stage5 = nn.Identity()
        mean, std = backbones.normalization_buffers(self.backbone)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        c3, c4, width = self.backbone.channels[0], self.backbone.channels[1], config.channels
        self.lateral3, self.lateral4 = nn.Conv2d(c3, width, 1), nn.Conv2d(c4, width, 1)
        self.features = nn.Sequential(_conv(width, width, 1), _conv(width, width, 1))
        self.surface = nn.Conv2d(width, self.n_classes * SURFACE_OUTPUTS, 1)
        self.reduction = nn.Sequential(
            _conv(width + SURFACE_OUTPUTS, width, 2), _conv(width, width, 1)
        )
        cells, hidden = (config.size // POSE_STRIDE) ** 2, config.hidden
        self.hidden = nn.Sequential(
            nn.Linear(width * cells, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.register_buffer("anchors", anchor_rotations(), persistent=False)
        self.n_anchors = len(self.anchors)
        self.output = nn.Linear(hidden, self.n_classes * (3 + 7 * self.n_anchors))
        self._start_at_anchors()
        self.register_buffer("centers", corners.mean(1), persistent=False)
        self.register_buffer("diameters", diameters.clone(), persistent=False)

    def _start_at_anchors(self) -> None:
        nn.init.normal_(self.output.weight, std=0.01)
        bias = torch.zeros(self.n_classes, 3 + 7 * self.n_anchors)
        bias[:, 3 + self.n_anchors :] = self.anchors[..., :2].transpose(1, 2).flatten()
        with torch.no_grad():
            self.output.bias.copy_(bias.flatten())

    def forward(self, windows: Tensor, class_index: Tensor) -> Glance:
        """(N, S, S, 3) uint8 RGB and (N,) int64 -> what is said of each."""
        x = backbones.normalize_image(windows, self.mean, self.std)
        c3, c4, _ = self.backbone(x)
        x = self.lateral3(c3) + F.interpolate(self.lateral4(c4), scale_factor=2.0, mode="nearest")
        x = self.features(x)
        surface = _of_class(self.surface(x).unflatten(1, (self.n_classes, -1)), class_index)
        x = self.reduction(torch.cat((x, surface), 1))
        out = self.output(self.hidden(x.flatten(1))).unflatten(1, (self.n_classes, -1))
        out = _of_class(out, class_index)
        columns = out[:, 3 + self.n_anchors :].unflatten(1, (self.n_anchors, 6))
        return Glance(
            surface[:, :3].permute(0, 2, 3, 1),
            surface[:, 3],
            out[:, :2],
            out[:, 2],
            out[:, 3 : 3 + self.n_anchors],
            geometry.rotation_from_columns(columns),
        )

    def pose(self, glance: Glance, class_index: Tensor, K: Tensor) -> tuple[Tensor, Tensor]:
        """The likeliest pose in each window's frame.

        Args:
            glance: of N windows.
            class_index: (N,).
            K: (N, 3, 3) of the windows.

        Returns:
            R (N, 3, 3) and t (N, 3) m.
        """
        middle = 0.5 * (self.size - 1)
        pixel = middle + glance.center * (self.center_unit * self.size)
        log_size = (self.size_unit * glance.size).clamp(-self.max_log_size, self.max_log_size)
        apparent = torch.exp(log_size) * (self.size / self.window)
        depth = K[:, 0, 0] * self.diameters[class_index] / apparent
        ray = geometry.unproject(pixel.unsqueeze(1), K).squeeze(1)
        ray = torch.cat((ray, torch.ones_like(ray[:, :1])), 1)
        best = glance.choice.argmax(1).view(-1, 1, 1, 1).expand(-1, 1, 3, 3)
        R_ray = glance.R.gather(1, best).squeeze(1)
        R = geometry.rotation_to_ray(geometry.normalize(ray)) @ R_ray
        center = (R @ self.centers[class_index].unsqueeze(-1)).squeeze(-1)
        return R, ray * depth.unsqueeze(1) - center

    def refine(
        self, image: Tensor, K: Tensor, class_index: Tensor, R: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Looks closely at M instances of each image, ``rounds`` times, at last in V views.

        Args:
            image: (B, H, W, 3) uint8 RGB.
            K: (B, 3, 3) px.
            class_index: (B, M).
            R, t: (B, M, 3, 3) and (B, M, 3) m, where they seem to be.

        Returns:
            R (B, M, V, 3, 3) and t (B, M, V, 3) m, one pose of each view.
        """
        count, views = class_index.shape[1], self.zooms.shape[0]
        for _ in range(self.rounds - 1):
            R, t = self._look(image, K, class_index, R, t, self.zooms[:1], self.turns[:1])
        classes = class_index.repeat_interleave(views, 1)
        R, t = R.repeat_interleave(views, 1), t.repeat_interleave(views, 1)
        zoom, turn = self.zooms.repeat(count), self.turns.repeat(count)
        R, t = self._look(image, K, classes, R, t, zoom, turn)
        return R.unflatten(1, (count, views)), t.unflatten(1, (count, views))

    def _look(
        self,
        image: Tensor,
        K: Tensor,
        class_index: Tensor,
        R: Tensor,
        t: Tensor,
        zoom: Tensor,
        turn: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """One window of each of (B, M) poses; ``zoom`` and ``turn`` are (M,) or (1,)."""
        batch, count = class_index.shape
        view = self.look_at_poses(class_index, R, t, K, zoom, turn)
        windows = sample_windows(image, K, view, self.size)
        classes = class_index.reshape(-1)
        glance = self.forward(windows.flatten(0, 1), classes)
        R_view, t_view = self.pose(glance, classes, view.K.flatten(0, 1))
        R = view.R_cam_view @ R_view.view(batch, count, 3, 3)
        return R, (view.R_cam_view @ t_view.view(batch, count, 3, 1)).squeeze(-1)

    def look_at_poses(
        self, class_index: Tensor, R: Tensor, t: Tensor, K: Tensor, zoom: Tensor, turn: Tensor
    ) -> View:
        """(B, M) windows around the instances, ``zoom`` times as large and turned."""
        center = (R @ self.centers[class_index].unsqueeze(-1)).squeeze(-1) + t
        pixel = geometry.project(center.unsqueeze(-2), K.unsqueeze(1)).squeeze(-2)
        depth = center[..., 2].clamp_min(self.min_depth)
        side = self.window * K[:, None, 0, 0] * self.diameters[class_index] / depth
        return look_at(pixel, side * zoom, turn.expand_as(side), K, self.size)


def _of_class(values: Tensor, class_index: Tensor) -> Tensor:
    """(N, C, ...) and (N,) -> (N, ...) of each row's class."""
    rows = torch.arange(len(class_index), device=class_index.device)
    return values[rows, class_index]


def _conv(c_in: int, c_out: int, stride: int) -> nn.Module:
    return conv_layer(c_in, c_out, 3, stride, separable=False, group_norm=True)
