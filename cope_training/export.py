"""``cope_export``: from a trained network to the TorchScript file that the node loads."""

import argparse
import copy
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.graph_check import check_graph
from cope_ros.core.deployment.model_file import SURFACE_POINTS, load_model, save_model
from cope_ros.core.detection.covariance import KEY as COVARIANCE
from cope_ros.core.detection.covariance import set_factors
from cope_ros.core.errors import CopeError
from cope_ros.core.network.backbone import fold_batch_norm
from cope_ros.core.network.build import build_estimator, build_network
from cope_ros.core.network.cope_network import CopeNetwork
from cope_ros.core.network.layers import HalfStoredLinear
from cope_ros.core.network.presets import NetworkConfig, get_preset
from cope_ros.core.refinement.depth_fit import POINTS
from cope_training.command import command_parser, number, run_command, whole_number
from cope_training.engine import checkpoint as checkpoints
from cope_training.engine.configuration import SCORE_THRESHOLD
from cope_training.exported import (
    INPUT_SIZE,
    MAX_INSTANCES,
    check_parity,
    network_of,
    surfaces_of,
    thresholds_of,
    trained_surfaces,
)
from cope_training.files import check_output_file
from cope_training.progress import Progress, ProgressBar
from cope_training.tasks.refiner.surface_points import surface_points


def export_network(
    network: CopeNetwork,
    config: NetworkConfig,
    catalogue: Catalogue,
    path: Path,
    *,
    preset: str,
    input_size: tuple[int, int] = INPUT_SIZE,
    max_instances: int = MAX_INSTANCES,
    score_threshold: float = SCORE_THRESHOLD,
    candidate_threshold: float = 0.0,
    training: dict[str, Any] | None = None,
    metrics: dict[str, Any] | None = None,
    covariance: dict[str, Any] | None = None,
    surfaces: Tensor | None = None,
    progress: Progress | None = None,
) -> None:
    """Writes ``path`` (model.pt); fails if the file computes otherwise or holds no CUDA graph.

    Args:
        input_size: (width, height) px that images are fitted into, multiples of 32.
        score_threshold: of instances, until a caller sets another.
        candidate_threshold: of hypotheses, where it is higher.
        training, metrics: go into the file's metadata as they are.
        covariance: factors per class (``core.calibration``); None leaves the spread as it is.
        surfaces: (C, P, 6) m of the objects, see ``CopeEstimator``; without them the file takes
            no depth.
        progress: told which share of the work is done.

    Raises:
        CopeError: size not a multiple of 32, or a check of the file failed.
    """
    if input_size[0] % 32 or input_size[1] % 32:
        raise CopeError(f"input_size: expected multiples of 32, got {input_size}")
    network = copy.deepcopy(network).cpu().float().eval()
    fold_batch_norm(network)
    _store_in_half(network)
    network = network.to(memory_format=torch.channels_last)
    estimator = build_estimator(network, config, catalogue, max_instances, surfaces)
    estimator.score_threshold.fill_(score_threshold)
    estimator.candidate_threshold.fill_(candidate_threshold)
    set_factors(estimator.calibrate, covariance, catalogue.class_ids)
    metadata = {
        "preset": preset,
        "network": config.to_dict(),
        "models_info": catalogue.to_dict(),
        "input_size": list(input_size),
        "max_instances": max_instances,
        "score_threshold": score_threshold,
        "candidate_threshold": candidate_threshold,
        "training": training or {},
        "metrics": metrics or {},
    }
    if covariance is not None:
        metadata[COVARIANCE] = covariance
    if surfaces is not None:
        metadata[SURFACE_POINTS] = surfaces.shape[1]
    _save_checked(estimator, metadata, path, progress or (lambda stage, share: None))


def _save_checked(
    estimator: nn.Module, metadata: dict[str, Any], path: Path, progress: Progress
) -> None:
    """Writes the file; it is removed again if it computes otherwise or holds no CUDA graph."""
    progress("exporting", 0.1)
    save_model(script(estimator), metadata, path)
    progress("exporting", 0.5)
    try:
        check_parity(estimator, path)
        progress("exporting", 0.8)
        check_graph(load_model(path, torch.device("cpu"))[0], str(path))
        progress("exporting", 1.0)
    except CopeError:
        path.unlink()  # nobody shall load it
        raise


def _store_in_half(network: CopeNetwork) -> None:
    """The widest layers of crop head and refiner, a third of their weights, in half the room."""
    for part in (network.crop_head, network.refiner):
        if part is not None:
            widest = part.hidden[0]
            assert isinstance(widest, nn.Linear)
            part.hidden[0] = HalfStoredLinear(widest)


def script(estimator: torch.nn.Module) -> torch.jit.ScriptModule:
    """The estimator as TorchScript; its parameters want no gradients from then on."""
    for parameter in estimator.parameters():
        parameter.requires_grad_(False)
    with warnings.catch_warnings():
        # TorchScript is what users asked for; upstream deprecates it in favour of torch.export.
        warnings.simplefilter("ignore", FutureWarning)
        return torch.jit.script(estimator)


def export_checkpoint(
    checkpoint: checkpoints.Checkpoint,
    path: Path,
    meshes: Path | None = None,
    **settings: Any,
) -> None:
    """Exports a checkpoint's averaged weights, with how they were trained.

    Args:
        meshes: models folder whose surfaces depth is compared with; else the training's, if it
            is there.
        settings: of ``export_network``, before the configuration's: size, thresholds, measurements.

    Raises:
        CopeError: as ``export_network``.
    """
    config, layers = checkpoint.config, get_preset(checkpoint.config.preset)
    network = build_network(layers, checkpoint.catalogue)
    checkpoints.load_weights(network, checkpoint.ema, "checkpoint")
    samples = checkpoint.step * config.batch
    training = {"samples": samples, "config": config.to_dict(), "commit": _commit()}
    for name in ("score_threshold", "candidate_threshold"):
        settings.setdefault(name, getattr(config, name))
    export_network(
        network,
        layers,
        checkpoint.catalogue,
        path,
        preset=config.preset,
        training=training,
        surfaces=trained_surfaces(meshes, config.data.meshes, checkpoint.catalogue),
        **settings,
    )


def export_again(
    source: Path,
    path: Path,
    covariance: dict[str, Any] | None,
    meshes: Path | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> None:
    """Writes an exported model anew: same weights, the pipeline as it is now, other factors.

    Args:
        source: model.pt or the directory that holds it.
        covariance: as in ``export_network``.
        meshes: models folder for the surfaces; else those of ``source``, if it has any.
        progress: told which share of the work is done.
        settings: of ``export_network``, in place of the source's: input size and thresholds.

    Raises:
        CopeError: as ``export_network``; the weights do not fit the network of this version.
    """
    network, layers, catalogue, metadata = network_of(source)
    kept = {"input_size": tuple(metadata["input_size"])} | thresholds_of(metadata)
    for name in ("preset", "max_instances", "training", "metrics"):
        kept[name] = metadata[name]
    surfaces = surfaces_of(source) if meshes is None else surface_points(meshes, catalogue, POINTS)
    export_network(
        network,
        layers,
        catalogue,
        path,
        covariance=covariance,
        surfaces=surfaces,
        progress=progress,
        **kept | settings,
    )


def _commit() -> str:
    """The repository's commit, or "unknown" outside of one."""
    command, here = ["git", "rev-parse", "--short", "HEAD"], Path(__file__).parent
    result = subprocess.run(command, capture_output=True, text=True, cwd=here, check=False)
    return result.stdout.strip() or "unknown"


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the process's exit code."""
    example = "cope_export out/train/object/checkpoint models/mine/model.pt"
    parser = command_parser("cope_export", __doc__ or "", example)
    add, side = parser.add_argument, whole_number(32, 8192)
    add("source", type=Path, help="checkpoint folder of cope_train, or a model.pt")
    add("model", type=Path, help="model.pt to write")
    for name in ("--width", "--height"):
        add(name, type=side, help="px of the network's input (a model.pt's own; else 640, 480)")
    add("--meshes", type=Path, help="models folder, for depth (the training's)")
    add("--score-threshold", type=number(0, 1), help="least score of a detection (the source's)")
    return run_command(parser, _export, arguments)


def _export(options: argparse.Namespace) -> None:
    check_output_file(options.model)
    source, settings, progress = options.source, {}, ProgressBar()
    if options.score_threshold is not None:
        settings["score_threshold"] = options.score_threshold
    metadata = load_model(source, torch.device("cpu"))[1] if source.suffix == ".pt" else {}
    width, height = metadata.get("input_size", INPUT_SIZE)
    settings["input_size"] = (options.width or width, options.height or height)
    if metadata:
        given = (metadata.get(COVARIANCE), options.meshes, progress)
        export_again(source, options.model, *given, **settings)
    else:
        saved = checkpoints.load(source)
        export_checkpoint(saved, options.model, options.meshes, progress=progress, **settings)
    print(f"wrote {options.model}")


if __name__ == "__main__":
    sys.exit(main())
