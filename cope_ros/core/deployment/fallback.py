"""An estimator that goes on with the CPU when CUDA fails. Knows no ROS."""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.model_file import SURFACE_POINTS
from cope_ros.core.deployment.preprocessing import DepthImage
from cope_ros.core.errors import CopeError

CPU = "cpu"
RETRY_PERIOD = 5.0  # s between two attempts to load the model after one has failed
# TorchScript wraps what fails inside it into a RuntimeError, so the text has to tell.
CUDA_FAILURE = re.compile(
    r"CUDA error|CUDA out of memory|CUDA driver|cuDNN error|CUDNN_STATUS|CUBLAS_STATUS"
    r"|CUSOLVER_STATUS|CUSPARSE_STATUS|NVML|NVRTC|nvrtc|No CUDA GPUs|NVIDIA driver"
)


def is_cuda_failure(error: Exception) -> bool:
    """Whether an error says that the GPU, its driver or its memory failed, not the input."""
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and CUDA_FAILURE.search(str(error)) is not None


class FallbackEstimator:
    """Passes everything on to an estimator; replaces a failed CUDA one by one on the CPU.

    Attributes:
        fallback: why it runs on the CPU although CUDA was meant, None where it does not.
    """

    def __init__(
        self,
        load: Callable[[str, bool], Any],
        device: str,
        half: bool,
        warn: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Loads the estimator.

        Args:
            load: (device, half) -> estimator, see ``core.runtime.Estimator``.
            device: auto, cpu, cuda or cuda:N.
            half: half precision; given up together with CUDA.
            warn: told about a fallback.

        Raises:
            CopeError: the model cannot be loaded, on the CPU neither.
        """
        self._load = load
        self._warn = warn
        self._clock = clock
        self._settings: dict[str, Any] = {}
        self._next_attempt = 0.0
        self.fallback: str | None = None
        self._estimator: Any = None
        try:
            self._estimator = load(device, half)
        except RuntimeError as error:
            if device == CPU or not is_cuda_failure(error):
                raise
            self._note(error)
        if self._estimator is None:
            self._estimator = load(CPU, False)
        self.catalogue: Catalogue = self._estimator.catalogue
        self.metadata: dict[str, Any] = self._estimator.metadata

    @property
    def device(self) -> str:
        """Where it runs now."""
        return CPU if self._estimator is None else str(self._estimator.device)

    @property
    def takes_depth(self) -> bool:
        """Whether the model can use depth images."""
        return bool(self.metadata.get(SURFACE_POINTS))

    def configure(self, **settings: Any) -> None:
        """As the estimator's; a later replacement gets the same settings.

        Raises:
            CopeError: refused settings.
        """
        self._settings |= settings
        if self._estimator is not None:
            self._estimator.configure(**settings)

    def estimate(self, image: np.ndarray, K: np.ndarray, *depth: DepthImage) -> Any:
        """As the estimator's.

        Raises:
            CopeError: bad input; or CUDA failed, which costs this frame.
            RuntimeError: torch failed for another reason.
        """
        if self._estimator is None:
            self._replace()
        try:
            return self._estimator.estimate(image, K, *depth)
        except RuntimeError as error:
            if self.device == CPU or not is_cuda_failure(error):
                raise
            self._note(error)
        # Out of the handler, whose traceback would hold on to tensors on the GPU.
        self._drop()
        self._replace()
        raise CopeError(f"CUDA failed, this frame is lost: {self.fallback}")

    def _note(self, error: Exception) -> None:
        self.fallback = first_line(str(error))
        self._warn(f"CUDA failed ({self.fallback}); going on with the CPU")

    def _drop(self) -> None:
        self._estimator = None
        with suppress(RuntimeError):  # a lost device cannot free anything
            torch.cuda.empty_cache()

    def _replace(self) -> None:
        if self._clock() < self._next_attempt:
            raise CopeError("no estimator: the model could not be loaded on the CPU")
        self._next_attempt = self._clock() + RETRY_PERIOD
        try:
            estimator = self._load(CPU, False)
        except RuntimeError as error:
            raise CopeError(f"loading on the CPU failed: {first_line(str(error))}") from error
        estimator.configure(**self._settings)
        self._estimator = estimator


def first_line(text: str) -> str:
    """The line of an error that says what happened: the one about CUDA, else the first."""
    lines = [line.strip() for line in text.strip().splitlines()] or [""]
    for line in lines:
        if CUDA_FAILURE.search(line):
            return line[:200]
    return lines[0][:200]
