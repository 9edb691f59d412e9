"""Ways to run an estimator on one image after the other: as it is, or as one CUDA graph.

An execution takes an image and intrinsics on the host and returns packed instances on the
host. On a GPU nothing waits for the device in between: the image goes up from pinned memory,
and one copy comes back.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from cope_ros.core.deployment.packing import Field, layout, pack
from cope_ros.core.deployment.preprocessing import DepthImage, Fit, fit_depth, fit_image
from cope_ros.core.types import from_outputs

WARM_UP_RUNS = 3  # TorchScript specialises its graph during the first two

# (1, H, W, 3), (1, 3, 3) and, where the model takes it, depth (1, H, W) m -> Instances
Model = Callable[..., Sequence[Tensor]]
logger = logging.getLogger(__name__)


class Execution(Protocol):
    """What runs the model.

    Attributes:
        name: in words, for logs and reports.
        fields: where each field lies in the packed rows.
    """

    name: str
    fields: tuple[Field, ...]

    def __call__(
        self, image: Tensor, K: np.ndarray, depth: DepthImage | None = None
    ) -> tuple[np.ndarray, Fit]:
        """(H, W, 3) uint8 and (3, 3) on the host -> (M, W) float32 packed, and the scaling."""


class Direct:
    """Calls the model, operation by operation."""

    name = "operation by operation"

    def __init__(
        self, model: Model, size: tuple[int, int], device: torch.device, depth: bool = False
    ) -> None:
        self._model, self._size, self._device = model, size, device
        self._stage = Stage(device)
        blank = _blank_inputs(size, device, depth)
        for _ in range(WARM_UP_RUNS):
            self.fields = layout(from_outputs(model(*blank[:2])))
            if depth:
                model(*blank)

    def __call__(
        self, image: Tensor, K: np.ndarray, depth: DepthImage | None = None
    ) -> tuple[np.ndarray, Fit]:
        """See ``Execution``."""
        tensor, fit = fit_image(self._stage(image), *self._size)
        K_fit = fit.intrinsics(K)
        inputs = [tensor, torch.from_numpy(K_fit).float().to(self._device)]
        if depth is not None:
            measured = torch.from_numpy(fit_depth(depth, K_fit, *self._size))
            inputs.append(measured.to(self._device))
        rows = pack(from_outputs(self._model(*(value.unsqueeze(0) for value in inputs))))
        return rows[0].cpu().numpy(), fit


class Graph:
    """Replays one CUDA graph of the whole pipeline, from the uint8 image to packed rows.

    Thresholds are buffers on the device, so that they change without another capture. Images
    of any size are fitted into the graph's input before it starts. A graph that takes depth
    gets zeros, unknown, with images that have none.

    Raises:
        RuntimeError: what CUDA has against the capture.
    """

    name = "CUDA graph"

    def __init__(
        self, model: Model, size: tuple[int, int], device: torch.device, depth: bool = False
    ) -> None:
        self._size, self._stage = size, Stage(device)
        self._stream = torch.cuda.Stream(device)
        self._stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(self._stream), fastest_convolutions():
            self._inputs = _blank_inputs(size, device, depth)
            for _ in range(WARM_UP_RUNS):
                self.fields = layout(from_outputs(model(*self._inputs)))
            self._stream.synchronize()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(
                self._graph, stream=self._stream, capture_error_mode="thread_local"
            ):
                self._rows = pack(from_outputs(model(*self._inputs)))
        self._host = torch.empty(self._rows.shape, dtype=self._rows.dtype, pin_memory=True)
        self._host_inputs = [
            torch.empty(value.shape, dtype=value.dtype, pin_memory=True)
            for value in self._inputs[1:]
        ]

    def __call__(
        self, image: Tensor, K: np.ndarray, depth: DepthImage | None = None
    ) -> tuple[np.ndarray, Fit]:
        """See ``Execution``."""
        self._stream.wait_stream(torch.cuda.current_stream(self._rows.device))
        with torch.cuda.stream(self._stream):
            tensor, fit = fit_image(self._stage(image), *self._size)
            self._inputs[0].copy_(tensor.unsqueeze(0))
            for place, value in zip(self._host_inputs, self._values(fit, K, depth), strict=True):
                place.copy_(value.unsqueeze(0))
            for place, value in zip(self._inputs[1:], self._host_inputs, strict=True):
                place.copy_(value, non_blocking=True)
            self._graph.replay()
            self._host.copy_(self._rows, non_blocking=True)
        self._stream.synchronize()
        return self._host[0].numpy().copy(), fit

    def _values(self, fit: Fit, K: np.ndarray, depth: DepthImage | None) -> list[Tensor]:
        """What the graph takes beside the image, on the host."""
        K_fit = fit.intrinsics(K)
        values = [torch.from_numpy(K_fit)]
        if len(self._inputs) > len(values) + 1:
            width, height = self._size
            none = np.zeros((height, width), np.float32)
            found = none if depth is None else fit_depth(depth, K_fit, width, height)
            values.append(torch.from_numpy(found))
        return values


class Stage:
    """Brings images to the device, to a GPU through pinned memory without waiting.

    The memory is used again by the next image, so the caller waits for the device once per
    image before it passes another.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pinned: Tensor | None = None

    def __call__(self, image: Tensor) -> Tensor:
        """(H, W, 3) uint8 on the host -> the same on the device."""
        if self._device.type != "cuda":
            return image
        if self._pinned is None or self._pinned.shape != image.shape:
            self._pinned = torch.empty(image.shape, dtype=image.dtype, pin_memory=True)
        self._pinned.copy_(image)
        return self._pinned.to(self._device, non_blocking=True)


def make_execution(
    model: Model, size: tuple[int, int], device: torch.device, depth: bool = False
) -> Execution:
    """A CUDA graph on a GPU, else direct calls; also, with a warning, where capture fails.

    Args:
        model: scripted estimator on ``device``.
        size: (width, height) px of its input.
        depth: whether it takes depth, and will get it.
    """
    with torch.inference_mode():
        if device.type == "cuda":
            try:
                return Graph(model, size, device, depth)
            except RuntimeError as error:  # torch wraps every CUDA error in one
                reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
                logger.warning("no CUDA graph, every frame takes longer: %s", reason)
        return Direct(model, size, device, depth)


def _blank_inputs(size: tuple[int, int], device: torch.device, depth: bool) -> list[Tensor]:
    """Image, K and, where it is taken, depth of nothing."""
    width, height = size
    image = torch.zeros(1, height, width, 3, dtype=torch.uint8, device=device)
    inputs = [image, _blank_K(size).to(device)]
    return [*inputs, torch.zeros(1, height, width, device=device)] if depth else inputs


def _blank_K(size: tuple[int, int]) -> Tensor:
    """(1, 3, 3) intrinsics of a camera that could have taken an image of ``size``."""
    width, height = size
    return torch.tensor([[[width, 0.0, width / 2], [0.0, width, height / 2], [0.0, 0.0, 1.0]]])


def fastest_convolutions() -> AbstractContextManager[None]:
    """Lets cuDNN try its algorithms during warm-up; the capture records the winners.

    Without TF32, whose mantissa is as short as that of half precision (see ``precision``).
    """
    return torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
