"""A network in training, used as an exported model is."""

import torch
from torch import Tensor

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.runtime import Estimator
from cope_ros.core.network.build import build_estimator, build_network
from cope_ros.core.network.presets import get_preset
from cope_training.engine import checkpoint as checkpoints
from cope_training.engine.configuration import TrainConfig
from cope_training.exported import INPUT_SIZE, MAX_INSTANCES


def estimator_of(
    weights: dict[str, Tensor],
    config: TrainConfig,
    catalogue: Catalogue,
    device: torch.device,
    score_threshold: float | None = None,
) -> Estimator:
    """The pipeline around these weights, as it would be exported but for the covariances.

    Args:
        weights: averaged ones of a training with this configuration; copied.
        score_threshold: the configuration's by default.
    """
    layers = get_preset(config.preset)
    network = build_network(layers, catalogue)
    checkpoints.load_weights(network, weights, "moving average")
    network.requires_grad_(False).eval()
    network.to(device).to(memory_format=torch.channels_last)
    pipeline = build_estimator(network, layers, catalogue, MAX_INSTANCES)
    threshold = config.score_threshold if score_threshold is None else score_threshold
    pipeline.score_threshold.fill_(threshold)
    pipeline.candidate_threshold.fill_(config.candidate_threshold)
    metadata = {
        "models_info": catalogue.to_dict(),
        "input_size": list(INPUT_SIZE),
        "max_instances": MAX_INSTANCES,
        "score_threshold": threshold,
    }
    return Estimator(pipeline.to(device), metadata, device)
