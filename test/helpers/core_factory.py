"""Small catalogues and networks for the core's tests."""

import torch

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.estimator import CopeEstimator
from cope_ros.core.network.build import build_estimator, build_network
from cope_ros.core.network.cope_network import CopeNetwork
from cope_ros.core.network.presets import PRESETS

HALF_TURN = [-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]


def make_catalogue(count: int = 3) -> Catalogue:
    """Boxes of growing size: the second has a half-turn, the third a continuous symmetry."""
    data = {}
    for i in range(count):
        size = (100.0 + 10 * i, 80.0, 60.0)
        diameter = sum(s * s for s in size) ** 0.5
        entry: dict = {"name": f"object{i}", "diameter": diameter}
        entry |= {f"min_{a}": -s / 2 for a, s in zip("xyz", size, strict=True)}
        entry |= {f"size_{a}": s for a, s in zip("xyz", size, strict=True)}
        if i == 1:
            entry["symmetries_discrete"] = [HALF_TURN]
        if i == 2:
            entry["symmetries_continuous"] = [{"axis": [0, 0, 1], "offset": [0, 0, 0]}]
        data[str(i + 1)] = entry
    return Catalogue.from_dict(data)


def make_network(preset: str = "lite", seed: int = 0) -> CopeNetwork:
    """An untrained network whose boxes overlap and whose corners spread."""
    torch.manual_seed(seed)
    network = build_network(PRESETS[preset], make_catalogue()).eval()
    with torch.no_grad():
        network.box_tower.output.bias.copy_(torch.tensor([0.5, 0.5, -0.5, -0.5]))
        network.key_tower.output.bias.uniform_(-0.5, 0.5)
    return network


def make_estimator(preset: str = "lite", seed: int = 0) -> CopeEstimator:
    """An untrained estimator that lets through what it finds."""
    config, catalogue = PRESETS[preset], make_catalogue()
    estimator = build_estimator(make_network(preset, seed), config, catalogue)
    estimator.score_threshold.fill_(0.0)
    return estimator


def make_K(batch: int = 1, width: int = 160, height: int = 128) -> torch.Tensor:
    """(B, 3, 3) intrinsics with the principal point in the middle."""
    K = torch.tensor([[200.0, 0, width / 2], [0, 200.0, height / 2], [0, 0, 1]])
    return K.expand(batch, 3, 3)
