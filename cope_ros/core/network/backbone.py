"""Image classification networks cut open at strides 8, 16 and 32.

torchvision supplies the layers, except EfficientNet-Lite0, which it does not have. All
return three feature maps (B, C_i, H/s, W/s) for s in 8, 16, 32.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class Normalization(NamedTuple):
    """Per-channel mean and standard deviation on the 0..255 scale."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET = Normalization((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
CENTERED = Normalization((127.0, 127.0, 127.0), (128.0, 128.0, 128.0))


class Backbone(nn.Module):
    """Four consecutive stages; the last three give the pyramid's inputs.

    Args:
        stem: everything up to stride 4.
        stages: from stride 4 to 8, 8 to 16, 16 to 32.
        channels: of the three outputs.
    """

    stage_precision: Tensor

    def __init__(
        self,
        stem: nn.Module,
        stages: tuple[nn.Module, nn.Module, nn.Module],
        channels: tuple[int, int, int],
        normalization: Normalization = IMAGENET,
    ) -> None:
        super().__init__()
        self.stem = stem
        self.stage3, self.stage4, self.stage5 = stages
        self.channels = channels
        self.normalization = normalization
        # Of everything behind the stem; empty, as a file knows a precision by a tensor alone.
        self.register_buffer("stage_precision", torch.zeros(0), persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) normalised float -> three maps at strides 8, 16, 32."""
        _, c3, c4, c5 = self.levels(image)
        return c3, c4, c5

    def levels(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, 3, H, W) normalised float -> four maps at strides 4, 8, 16, 32."""
        c2 = self.stem(image)
        c2 = c2.to(self.stage_precision.dtype)
        c3 = self.stage3(c2)
        c4 = self.stage4(c3)
        return c2, c3, c4, self.stage5(c4)


class InvertedResidual(nn.Module):
    """MobileNetV2's block as EfficientNet-Lite uses it: ReLU6, no squeeze-and-excitation."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = c_in * expand
        layers: list[nn.Module] = []
        if expand != 1:
            layers += [nn.Conv2d(c_in, hidden, 1, bias=False), _norm(hidden), nn.ReLU6(True)]
        layers += [
            nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False),
            _norm(hidden),
            nn.ReLU6(True),
            nn.Conv2d(hidden, c_out, 1, bias=False),
            _norm(c_out),
        ]
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, c_out, H/stride, W/stride)"""
        y = self.layers(x)
        return x + y if self.residual else y


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)  # EfficientNet's constants


def _resnet(name: str) -> Backbone:
    from torchvision import models

    net = getattr(models, name)(weights=None)
    wide = net.fc.in_features
    stem = nn.Sequential(
        OrderedDict(
            conv1=net.conv1, bn1=net.bn1, relu=net.relu, maxpool=net.maxpool, layer1=net.layer1
        )
    )
    return Backbone(stem, (net.layer2, net.layer3, net.layer4), (wide // 4, wide // 2, wide))


def _mobilenet_v2() -> Backbone:
    from torchvision import models

    features = models.mobilenet_v2(weights=None).features
    return Backbone(features[:4], (features[4:7], features[7:14], features[14:18]), (32, 96, 320))


def _mobilenet_v3_large() -> Backbone:
    from torchvision import models

    features = models.mobilenet_v3_large(weights=None).features
    return Backbone(features[:4], (features[4:7], features[7:13], features[13:16]), (40, 112, 160))


def _efficientnet_lite0() -> Backbone:
    # Tan and Le 2019, table 1, without squeeze-and-excitation: expand, channels, repeats,
    # stride, kernel; stem and head widths are not scaled in the Lite family.
    table = (
        (1, 16, 1, 1, 3),
        (6, 24, 2, 2, 3),
        (6, 40, 2, 2, 5),
        (6, 80, 3, 2, 3),
        (6, 112, 3, 1, 5),
        (6, 192, 4, 2, 5),
        (6, 320, 1, 1, 3),
    )
    stem_conv = nn.Conv2d(3, 32, 3, 2, 1, bias=False)
    groups: list[nn.Sequential] = [nn.Sequential(stem_conv, _norm(32), nn.ReLU6(True))]
    c_in = 32
    for expand, c_out, repeats, stride, kernel in table:
        blocks = []
        for i in range(repeats):
            step = stride if i == 0 else 1
            blocks.append(InvertedResidual(c_in, c_out, kernel, step, expand))
            c_in = c_out
        groups.append(nn.Sequential(*blocks))
    stem = nn.Sequential(groups[0], groups[1], groups[2])
    stage4 = nn.Sequential(groups[4], groups[5])
    stage5 = nn.Sequential(groups[6], groups[7])
    return Backbone(stem, (groups[3], stage4, stage5), (40, 112, 320), CENTERED)


_BUILDERS: dict[str, Callable[[], Backbone]] = {
    "resnet18": lambda: _resnet("resnet18"),
    "resnet50": lambda: _resnet("resnet50"),
    "resnet101": lambda: _resnet("resnet101"),
    "mobilenet_v2": _mobilenet_v2,
    "mobilenet_v3_large": _mobilenet_v3_large,
    "efficientnet_lite0": _efficientnet_lite0,
}
BACKBONES = tuple(_BUILDERS)


def build_backbone(name: str) -> Backbone:
    """A randomly initialised backbone by name.

    Raises:
        ValueError: no such backbone.
    """
    if name not in _BUILDERS:
        raise ValueError(f"backbone: expected one of {', '.join(BACKBONES)}, got {name!r}")
    return _BUILDERS[name]()


def fold_batch_norm(module: nn.Module) -> None:
    """Merges every batch norm into the convolution before it, in place.

    The function computed in evaluation mode stays the same. Training goes on with frozen
    statistics, at about 1.6 times the speed on a CPU, and inference has a layer less.
    """
    previous: tuple[str, nn.Module] | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and previous and isinstance(previous[1], nn.Conv2d):
            fused = fuse_conv_bn_eval(previous[1].eval(), child.eval())
            setattr(module, previous[0], fused)
            setattr(module, name, nn.Identity())
        else:
            fold_batch_norm(child)
        previous = (name, child)


def freeze_batch_norm(module: nn.Module) -> None:
    """Puts every batch norm below ``module`` in evaluation mode and stops its gradients.

    Call it again after each ``module.train()``, which undoes the first half.
    """
    for child in module.modules():
        if isinstance(child, nn.BatchNorm2d):
            child.eval()
            for parameter in child.parameters():
                parameter.requires_grad_(False)


def freeze_stem(backbone: Backbone) -> None:
    """Stops the gradients of the first two stages (everything up to stride 4)."""
    for parameter in backbone.stem.parameters():
        parameter.requires_grad_(False)


def normalize_image(image: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 RGB -> (B, 3, H, W) float, normalised, channels_last in memory."""
    return (image.permute(0, 3, 1, 2).to(mean.dtype) - mean) / std


def normalization_buffers(backbone: Backbone) -> tuple[Tensor, Tensor]:
    """Mean and std as (1, 3, 1, 1) float tensors."""
    norm = backbone.normalization
    return (
        torch.tensor(norm.mean).view(1, 3, 1, 1),
        torch.tensor(norm.std).view(1, 3, 1, 1),
    )
