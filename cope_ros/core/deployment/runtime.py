"""An exported model as a robotics program uses it: numpy in, numpy out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.execution import make_execution
from cope_ros.core.deployment.memory import keep_freed_memory
from cope_ros.core.deployment.model_file import SURFACE_POINTS, load_model
from cope_ros.core.deployment.packing import unpack
from cope_ros.core.deployment.precision import NO_HALF, half_dtype, halve
from cope_ros.core.deployment.preprocessing import (
    DepthImage,
    check_depth,
    check_image,
    check_intrinsics,
)
from cope_ros.core.errors import CopeError


@dataclass(frozen=True)
class Estimate:
    """Instances found in one image, best score first; N rows, nothing padded."""

    class_index: np.ndarray  # (N,) int64, into the catalogue
    score: np.ndarray  # (N,) float32 in [0, 1]
    R: np.ndarray  # (N, 3, 3) float32, object to camera
    t: np.ndarray  # (N, 3) float32 m
    covariance: np.ndarray  # (N, 6, 6) float32, REP-103 order
    boxes: np.ndarray  # (N, 4) float32 x1 y1 x2 y2, px of the original image
    keypoints: np.ndarray  # (N, 8, 2) float32 px of the original image
    support: np.ndarray  # (N,) int64, hypotheses behind each instance
    # (N,) float32, share of each surface that depth confirms; 0: the pose is the image's alone
    depth_share: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    def __post_init__(self) -> None:
        """Without a word on depth, no pose is confirmed by it."""
        if len(self.depth_share) != len(self.score):
            object.__setattr__(self, "depth_share", np.zeros(len(self.score), np.float32))

    def __len__(self) -> int:
        return len(self.score)


def resolve_device(name: str) -> torch.device:
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N`` -> device; ``auto`` prefers CUDA.

    Raises:
        CopeError: unknown name, or CUDA asked for where there is none.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise CopeError(f"device: expected auto, cpu or cuda:N, got {name!r}") from error
    if device.type not in ("cpu", "cuda"):
        raise CopeError(f"device: expected auto, cpu or cuda:N, got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise CopeError(
            f"device: {name!r} asked for, {torch.cuda.device_count()} CUDA devices here"
        )
    return device


class Estimator:
    """A loaded model. Use it from one thread at a time.

    Attributes:
        catalogue: the objects it knows, by class index.
        metadata: what the export wrote: preset, training, metrics.
        input_size: (width, height) px of the network's input.
        device: where it runs.
        max_instances: most instances one image can yield.
        execution: how the model runs, in words: as a CUDA graph or operation by operation.
        takes_depth: whether the file holds the objects' surfaces, which depth is compared with.
    """

    def __init__(self, model: torch.nn.Module, metadata: dict, device: torch.device) -> None:
        self._model: Any = model  # scripted where it comes from a file
        self.takes_depth = bool(metadata.get(SURFACE_POINTS))
        self.metadata = metadata
        self.catalogue = Catalogue.from_dict(metadata["models_info"])
        width, height = metadata["input_size"]
        self.input_size: tuple[int, int] = (int(width), int(height))
        self.max_instances = int(metadata["max_instances"])
        self.device = device
        self._execute = make_execution(model, self.input_size, device)
        self._with_depth = False
        self.execution = self._execute.name

    @classmethod
    def load(cls, path: Path | str, device: str = "auto", half: bool = False) -> "Estimator":
        """Loads ``model.pt`` or a model directory and warms it up.

        On the CPU the process keeps freed memory from then on (``keep_freed_memory``). On a
        GPU the whole pipeline is captured as one CUDA graph; where that fails, a warning says
        why and the operations are launched one by one.

        Args:
            half: convolutions in half precision, see ``precision``.

        Raises:
            CopeError: names the file or argument, with expected and got.
        """
        target = resolve_device(device)
        dtype = half_dtype(target) if half else torch.float32
        if dtype is None:
            raise CopeError(f"half: {NO_HALF}")
        if target.type == "cpu":
            keep_freed_memory()
        scripted, metadata = load_model(path, target)
        if half:
            halve(scripted.network, dtype)
        return cls(scripted, metadata, target)

    def configure(
        self,
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        n_hypotheses: int | None = None,
        class_ids: Sequence[str] | None = None,
        depth: bool = False,
    ) -> None:
        """Changes thresholds from the next image on; None leaves a value as it is.

        Args:
            score_threshold: in [0, 1], least score of an instance.
            iou_threshold: in [0, 1], box overlap that joins hypotheses.
            n_hypotheses: at least 1, most consistent hypotheses averaged per instance.
            class_ids: objects to look for; an empty sequence means all.
            depth: gets ready for depth images now, not with the first of them.

        Raises:
            CopeError: unknown class, or the model takes no depth.
        """
        if score_threshold is not None:
            self._model.score_threshold.fill_(score_threshold)
        if iou_threshold is not None:
            self._model.iou_threshold.fill_(iou_threshold)
        if n_hypotheses is not None:
            self._model.n_hypotheses.fill_(n_hypotheses)
        if class_ids is not None:
            self._enable(class_ids)
        if depth:
            self._prepare_depth()

    def _enable(self, class_ids: Sequence[str]) -> None:
        known = self.catalogue.class_ids
        unknown = sorted(set(class_ids) - set(known))
        if unknown:
            raise CopeError(f"classes: expected some of {list(known)}, got {unknown}")
        wanted = set(class_ids) or set(known)
        mask = torch.tensor([name in wanted for name in known])
        self._model.enabled.copy_(mask)

    def estimate(
        self, image: np.ndarray, K: np.ndarray, depth: DepthImage | None = None
    ) -> Estimate:
        """Finds all instances in one image.

        Args:
            image: (H, W, 3) uint8 RGB, rectified, any size; views such as ``bgr[..., ::-1]`` too.
            K: (3, 3) intrinsics of that image, px, pixel centres at integers.
            depth: measured from the same place, any size; poses are fitted to it.

        Raises:
            CopeError: image, K or depth are not of that form, or the model takes no depth.
        """
        check_image(image)
        if not image.flags.writeable or min(image.strides) < 0:  # of which torch makes no tensor
            image = image.copy()
        K = np.asarray(K, dtype=np.float64)
        check_intrinsics(K)
        if depth is not None:
            check_depth(depth)
            self._prepare_depth()
        with torch.inference_mode():
            packed, fit = self._execute(torch.from_numpy(image), K, depth)
        rows = unpack(packed, self._execute.fields)
        n = len(rows["score"])
        rows["boxes"] = fit.to_original(rows["boxes"].reshape(n, 2, 2)).reshape(n, 4)
        rows["keypoints"] = fit.to_original(rows["keypoints"])
        return Estimate(**rows)

    def _prepare_depth(self) -> None:
        if not self.takes_depth:
            text = "expected a model with its objects' surfaces, this file has none"
            raise CopeError(f"depth: {text} (cope_export --meshes)")
        if not self._with_depth:
            self._execute = make_execution(self._model, self.input_size, self.device, True)
            self._with_depth = True
