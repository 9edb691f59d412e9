"""What goes into a model file beside the weights, and what an exported file holds."""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.model_file import load_model
from cope_ros.core.errors import CopeError
from cope_ros.core.network.backbone import fold_batch_norm
from cope_ros.core.network.build import build_network
from cope_ros.core.network.cope_network import CopeNetwork
from cope_ros.core.network.presets import NetworkConfig
from cope_ros.core.refinement.depth_fit import POINTS
from cope_ros.core.renamed import check_layers
from cope_ros.core.types import Instances
from cope_training.engine import checkpoint as checkpoints
from cope_training.engine.configuration import SCORE_THRESHOLD
from cope_training.tasks.refiner.surface_points import surface_points

INPUT_SIZE = (640, 480)  # px, width and height
MAX_INSTANCES = 100
PARITY = 1e-4  # largest difference between a file and the network it was made from


def network_of(source: Path) -> tuple[CopeNetwork, NetworkConfig, Catalogue, dict[str, Any]]:
    """The network of an exported model, built anew with the file's weights, and its metadata.

    Raises:
        CopeError: the weights do not fit the network of this version.
    """
    scripted, metadata = load_model(source, torch.device("cpu"))
    if "network" not in metadata:
        raise CopeError(f"{source}: does not say which network it holds; export it again")
    layers = NetworkConfig.from_dict(metadata["network"])
    catalogue = Catalogue.from_dict(metadata["models_info"], str(source))
    network = build_network(layers, catalogue)
    fold_batch_norm(network)
    names, state = set(network.state_dict()), scripted.state_dict()
    check_layers((name.removeprefix("network.") for name in state), str(source))
    weights = {name: state[f"network.{name}"] for name in names if f"network.{name}" in state}
    checkpoints.load_weights(network, weights, str(source))
    return network.eval(), layers, catalogue, metadata


def surfaces_of(source: Path) -> Tensor | None:
    """(C, P, 6) m of an exported model, None where it takes no depth."""
    found = load_model(source, torch.device("cpu"))[0].state_dict().get("depth_fit.surface")
    return None if found is None else found.float().mT


def thresholds_of(metadata: dict[str, Any]) -> dict[str, float]:
    """Both thresholds of a file; one of before there were two let all refined instances pass."""
    names = ("score_threshold", "candidate_threshold")
    if names[1] in metadata:
        return {name: float(metadata[name]) for name in names}
    threshold = float(metadata.get(names[0], SCORE_THRESHOLD))
    config = NetworkConfig.from_dict(metadata["network"])
    refined = config.instance_head is not None or config.crop_head is not None
    return dict(zip(names, (0.0, threshold) if refined else (threshold, 0.0), strict=True))


def trained_surfaces(meshes: Path | None, trained_on: str, catalogue: Catalogue) -> Tensor | None:
    """(C, P, 6) m, surfaces of the objects; None where the training's meshes are elsewhere.

    Args:
        meshes: models folder that is asked for; it has to be there.
        trained_on: the training's, where none is asked for; may hold environment variables.
    """
    folder = Path(os.path.expandvars(trained_on)) if meshes is None else meshes
    if meshes is None and not folder.is_dir():
        return None
    return surface_points(folder, catalogue, POINTS)


def check_parity(estimator: torch.nn.Module, path: Path) -> None:
    """Compares the file at ``path`` with the estimator on noise images of two sizes.

    Raises:
        CopeError: an output differs by more than PARITY.
    """
    loaded, _ = load_model(path, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    for batch, height, width in ((1, 128, 160), (2, 96, 64)):
        shape = (batch, height, width, 3)
        image = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        K = torch.tensor([[200.0, 0, width / 2], [0, 200.0, height / 2], [0, 0, 1]])
        K = K.expand(batch, 3, 3)
        with torch.inference_mode():
            inputs = [image, K]
            if getattr(estimator, "depth_fit", None) is not None:
                inputs.append(0.2 + torch.rand(shape[:3], generator=generator))
            expected, got = Instances(*estimator(*inputs)), Instances(*loaded(*inputs))
        for name, a, b in zip(Instances._fields, expected, got, strict=True):
            if not torch.allclose(a.float(), b.float(), atol=PARITY, rtol=PARITY):
                worst = (a.float() - b.float()).abs().max().item()
                raise CopeError(f"{path}: {name} differs by {worst:.3g} from the network's")
