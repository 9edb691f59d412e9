"""An exported model as a robotics program uses it: numpy in, numpy out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.execution import halve, make_execution
from cope_ros.core.deployment.memory import keep_freed_memory
from cope_ros.core.deployment.model_file import load_model
from cope_ros.core.deployment.packing import unpack
from cope_ros.core.deployment.preprocessing import check_image, check_intrinsics
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
    """

    def __init__(
        self, scripted: torch.jit.ScriptModule, metadata: dict, device: torch.device
    ) -> None:
        self._model = scripted
        self.metadata = metadata
        self.catalogue = Catalogue.from_dict(metadata["models_info"])
        width, height = metadata["input_size"]
        self.input_size: tuple[int, int] = (int(width), int(height))
        self.max_instances = int(metadata["max_instances"])
        self.device = device
        self._execute = make_execution(scripted, self.input_size, device)
        self.execution = self._execute.name

    @classmethod
    def load(cls, path: Path | str, device: str = "auto", half: bool = False) -> "Estimator":
        """Loads ``model.pt`` or a model directory and warms it up.

        On the CPU the process keeps freed memory from then on (``keep_freed_memory``). On a
        GPU the whole pipeline is captured as one CUDA graph; where that fails, a warning says
        why and the operations are launched one by one.

        Args:
            half: convolutions in half precision; CUDA only.

        Raises:
            CopeError: names the file or argument, with expected and got.
        """
        target = resolve_device(device)
        if half and target.type != "cuda":
            raise CopeError("half: expected a CUDA device, got the CPU, which would be slower")
        if target.type == "cpu":
            keep_freed_memory()
        scripted, metadata = load_model(path, target)
        if half:
            halve(scripted.network)
        return cls(scripted, metadata, target)

    def configure(
        self,
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        n_hypotheses: int | None = None,
        class_ids: Sequence[str] | None = None,
    ) -> None:
        """Changes thresholds from the next image on; None leaves a value as it is.

        Args:
            score_threshold: in [0, 1], least class probability of a hypothesis.
            iou_threshold: in [0, 1], box overlap that joins hypotheses.
            n_hypotheses: at least 1, most consistent hypotheses averaged per instance.
            class_ids: objects to look for; an empty sequence means all.

        Raises:
            CopeError: unknown class.
        """
        if score_threshold is not None:
            self._model.score_threshold.fill_(score_threshold)
        if iou_threshold is not None:
            self._model.iou_threshold.fill_(iou_threshold)
        if n_hypotheses is not None:
            self._model.n_hypotheses.fill_(n_hypotheses)
        if class_ids is not None:
            self._enable(class_ids)

    def _enable(self, class_ids: Sequence[str]) -> None:
        known = self.catalogue.class_ids
        unknown = sorted(set(class_ids) - set(known))
        if unknown:
            raise CopeError(f"classes: expected some of {list(known)}, got {unknown}")
        wanted = set(class_ids) or set(known)
        mask = torch.tensor([name in wanted for name in known])
        self._model.enabled.copy_(mask)

    def estimate(self, image: np.ndarray, K: np.ndarray) -> Estimate:
        """Finds all instances in one image.

        Args:
            image: (H, W, 3) uint8 RGB, rectified, any size.
            K: (3, 3) intrinsics of that image, px, pixel centres at integers.

        Raises:
            CopeError: image or K are not of that form.
        """
        check_image(image)
        K = np.asarray(K, dtype=np.float64)
        check_intrinsics(K)
        with torch.inference_mode():
            packed, fit = self._execute(torch.from_numpy(image), K)
        rows = unpack(packed, self._execute.fields)
        n = len(rows["score"])
        rows["boxes"] = fit.to_original(rows["boxes"].reshape(n, 2, 2)).reshape(n, 4)
        rows["keypoints"] = fit.to_original(rows["keypoints"])
        return Estimate(**rows)
