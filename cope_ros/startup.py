"""From the static parameters to an estimator that is ready, or the parameter at fault."""

import gc
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from rclpy.node import Node
from rclpy.parameter import Parameter

from cope_ros import bundled
from cope_ros import parameter_access as access
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.fallback import FallbackEstimator
from cope_ros.core.deployment.precision import NO_HALF, half_dtype
from cope_ros.core.deployment.runtime import Estimator
from cope_ros.core.errors import CopeError
from cope_ros.depth_parameters import OFF, REQUIRED
from cope_ros.diagnostics.notices import Notices
from cope_ros.diagnostics.snapshot import Model
from cope_ros.input.depth_pairing import DepthMatcher
from cope_ros.parameters import ParameterError, Parameters

LOG = logging.getLogger("cope_ros")
NO_SURFACES = "the model file has no surfaces to compare depth with (cope_export --meshes)"
LoadEstimator = Callable[..., Any]  # Estimator.load, or a stand-in with its signature


def model_path(name: str) -> Path:
    """The model's directory or file: a bundled model of that name, else the path as it is.

    Raises:
        ParameterError: there is no such bundled model and no such path.
    """
    try:
        return bundled.model_path(name)
    except CopeError as error:
        raise ParameterError("model", str(error)) from error


def load_estimator(
    parameters: Parameters,
    load: LoadEstimator = Estimator.load,
    warn: Callable[[str], object] = LOG.warning,
) -> FallbackEstimator:
    """Loads the model and applies the live parameters to it.

    Args:
        load: makes the estimator, with the signature of ``Estimator.load``.
        warn: told when CUDA fails and the CPU takes over.

    Raises:
        ParameterError: names the parameter that stands in the way.
    """
    path = model_path(parameters.model)
    _check_device(parameters)
    try:
        estimator = FallbackEstimator(
            lambda device, half: load(path, device=device, half=half),
            parameters.device,
            parameters.half,
            warn,
        )
    except CopeError as error:
        raise ParameterError("model", str(error)) from error
    reason = unknown_classes(parameters, estimator.catalogue)
    if reason is not None:
        raise ParameterError("classes", reason)
    if parameters.depth_mode == REQUIRED and not estimator.takes_depth:
        raise ParameterError("depth.mode", f"got '{REQUIRED}', but {NO_SURFACES}")
    configure(estimator, parameters)
    if not estimator.metadata.get("file", {}).get("verified", True):
        warn(f"model {path}: no checksum beside it, so it was not verified (see docs/security.md)")
    return estimator


def _check_device(parameters: Parameters) -> None:
    device = parameters.device
    count = torch.cuda.device_count()
    if device.startswith("cuda") and int(device.partition(":")[2] or 0) >= count:
        raise ParameterError("device", f"got '{device}', but {count} CUDA devices are usable")
    on_cpu = device == "cpu" or (device == "auto" and count == 0)
    if parameters.half and on_cpu and half_dtype(torch.device("cpu")) is None:
        raise ParameterError("half", NO_HALF)


def unknown_classes(parameters: Parameters, catalogue: Catalogue) -> str | None:
    """Why ``classes`` does not suit the model, None where it does."""
    unknown = set(parameters.class_ids) - set(catalogue.class_ids)
    if not unknown:
        return None
    return f"expected some of {', '.join(catalogue.class_ids)}; got {', '.join(sorted(unknown))}"


def refusal(node: Node, changed: Sequence[Parameter], estimator: Any) -> str | None:
    """Why parameters cannot be set, None where they can; names the parameter.

    Args:
        node: has declared them.
        estimator: loaded; None while the node is unconfigured.
    """
    reason = access.refusal(changed, configured=estimator is not None)
    if reason is not None or estimator is None:
        return reason
    reason = unknown_classes(access.read(node, changed), estimator.catalogue)
    return reason and str(ParameterError("classes", reason))


def configure(estimator: Any, parameters: Parameters) -> None:
    """Applies the live parameters to a loaded estimator."""
    estimator.configure(
        score_threshold=parameters.score_threshold,
        iou_threshold=parameters.iou_threshold,
        n_hypotheses=parameters.n_hypotheses,
        class_ids=parameters.class_ids,
    )
    if wants_depth(estimator, parameters):
        estimator.configure(depth=True)


def wants_depth(estimator: Any, parameters: Parameters) -> bool:
    """Whether depth images are asked for and of use."""
    return parameters.depth_mode != OFF and bool(estimator.takes_depth)


def depth_matcher(
    estimator: Any, parameters: Callable[[], Parameters], notices: Notices
) -> DepthMatcher | None:
    """What finds the depth images; None where none are wanted, or the model takes none."""
    wanted = parameters()
    if wants_depth(estimator, wanted):
        required = wanted.depth_mode == REQUIRED
        return DepthMatcher(required, lambda: parameters().depth_max_difference)
    if wanted.depth_mode != OFF:
        text = f"depth.mode is '{wanted.depth_mode}', but {NO_SURFACES}"
        notices.warn("no_surfaces", text, part="inference")
    return None


def describe(estimator: FallbackEstimator, parameters: Parameters) -> Model:
    """What is loaded, and where it runs, for log and diagnostics."""
    return Model(
        path=str(model_path(parameters.model).absolute()),
        sha256=str(estimator.metadata.get("file", {}).get("sha256", "")),
        preset=str(estimator.metadata.get("preset", "")),
        device=estimator.device,
        asked=parameters.device,
        fallback=estimator.fallback,
    )


def free_memory() -> None:
    """Gives back what a dropped estimator held, on the GPU too."""
    gc.collect()
    if torch.cuda.is_available():
        with suppress(RuntimeError):  # a lost device cannot free anything
            torch.cuda.empty_cache()
