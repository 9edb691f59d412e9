"""The models to be measured: shipped files, and presets with random weights."""

from dataclasses import dataclass
from pathlib import Path

import torch

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.model_file import save_model
from cope_ros.core.network.backbone import fold_batch_norm
from cope_ros.core.network.build import build_estimator, build_network
from cope_ros.core.network.cope_network import CopeNetwork
from cope_ros.core.network.presets import NetworkConfig, get_preset
from cope_training.bench.planted import PlantedNetwork, plant
from cope_training.export import script
from cope_training.exported import network_of

INPUT_SIZE = (640, 480)
FOCAL = 600.0  # px, of the planted scenes' camera
SCORE_THRESHOLD = 0.5


@dataclass(frozen=True)
class Candidate:
    """One model to be measured."""

    name: str
    preset: str
    shipped: Path | None  # the file as shipped; None for random weights
    network: CopeNetwork
    config: NetworkConfig
    catalogue: Catalogue
    size: tuple[int, int]  # (width, height) px

    @property
    def by_diameter(self) -> bool:
        """How its targets are standardised."""
        return self.config.standardization == "diameter"


def shipped(models: Path) -> list[Candidate]:
    """Every ``model.pt`` one folder below ``models``."""
    found = []
    for path in sorted(models.glob("*/model.pt")):
        network, config, catalogue, metadata = network_of(path)
        width, height = metadata["input_size"]
        size = (int(width), int(height))
        name = path.parent.name
        found.append(Candidate(name, metadata["preset"], path, network, config, catalogue, size))
    return found


def random_preset(preset: str, catalogue: Catalogue) -> Candidate:
    """A preset with random weights for the objects of ``catalogue``."""
    torch.manual_seed(0)
    config = get_preset(preset)
    network = build_network(config, catalogue).eval()
    fold_batch_norm(network.backbone)
    name = f"{preset} (random weights)"
    return Candidate(name, preset, None, network, config, catalogue, INPUT_SIZE)


def camera(size: tuple[int, int]) -> torch.Tensor:
    """(3, 3) intrinsics of the planted scenes."""
    width, height = size
    return torch.tensor([[FOCAL, 0, width / 2], [0, FOCAL, height / 2], [0, 0, 1]])


def write_planted(candidate: Candidate, path: Path, max_instances: int = 100) -> None:
    """Exports the model with planted head outputs."""
    outputs = plant(
        0, candidate.catalogue, candidate.by_diameter, candidate.size, camera(candidate.size)
    )
    planted = PlantedNetwork(candidate.config, candidate.catalogue, outputs).eval()
    fold_batch_norm(planted.backbone)
    planted.load_state_dict(candidate.network.state_dict())
    planted = planted.to(memory_format=torch.channels_last)
    estimator = build_estimator(planted, candidate.config, candidate.catalogue, max_instances)
    # What a second stage that learned nothing says of an instance does not count.
    estimator.score_threshold.fill_(0.0)
    estimator.candidate_threshold.fill_(SCORE_THRESHOLD)
    scripted = script(estimator)
    metadata = {
        "preset": candidate.preset,
        "models_info": candidate.catalogue.to_dict(),
        "input_size": list(candidate.size),
        "max_instances": max_instances,
        "training": {},
        "metrics": {},
    }
    save_model(scripted, metadata, path)
