"""What a training tells: a progress bar or lines, and TensorBoard where it is wanted."""

import copy
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cope_ros.core.errors import CopeError
from cope_ros.core.estimator import CopeEstimator
from cope_ros.core.network.build import build_estimator
from cope_ros.core.network.presets import get_preset
from cope_ros.core.refinement.crop_head import CropHead
from cope_ros.core.refinement.crop_network import CropNetwork
from cope_ros.core.refinement.refiner import Refiner
from cope_ros.core.types import Instances
from cope_training.data.frames import Frame
from cope_training.engine import checkpoint as checkpoints
from cope_training.engine.configuration import CROP_HEAD, REFINER
from cope_training.engine.pictures import ESTIMATE, TRUTH, draw_cuboids, side_by_side
from cope_training.engine.trainer import Trainer
from cope_training.tasks.refiner.task import RefinerTask

LOG_SECONDS = 20.0
OVERLAY_SECONDS = 300.0
OVERLAYS = 4  # frames of a picture


class Progress:
    """Averages losses between two reports."""

    def __init__(self, total_steps: int, batch: int) -> None:
        self.total_steps, self.batch = total_steps, batch
        self.sums: dict[str, float] = {}
        self.count = 0
        self.since = time.monotonic()
        self.waited = 0.0  # s for frames

    def add(self, losses: dict[str, float], waited: float) -> None:
        """Takes one step's losses and the time it waited for frames (s)."""
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1
        self.waited += waited

    def due(self) -> bool:
        """Whether it is time to report."""
        return time.monotonic() - self.since >= LOG_SECONDS

    def means(self) -> dict[str, float]:
        """Mean losses since the last report."""
        return {name: total / max(self.count, 1) for name, total in self.sums.items()}

    def rates(self) -> tuple[float, float]:
        """Training images per second, and the share of time spent waiting for frames."""
        seconds = max(time.monotonic() - self.since, 1e-9)
        return self.count * self.batch / seconds, self.waited / seconds

    def line(self, step: int) -> str:
        """Rate, time to go and mean losses since the last report."""
        rate, waiting = self.rates()
        left = (self.total_steps - step) * self.batch / max(rate, 1e-6)
        parts = " ".join(f"{k} {v:.4f}" for k, v in self.means().items())
        return (
            f"step {step}/{self.total_steps} crops {step * self.batch} {rate:.1f}/s "
            f"wait {100 * waiting:.0f}% eta {left / 60:.0f} min | {parts}"
        )

    def restart(self) -> None:
        """Begins the next report."""
        self.sums, self.count, self.since, self.waited = {}, 0, time.monotonic(), 0.0


class Reporter:
    """Shows the progress of a training.

    On a terminal a bar with rate, time to go and losses; elsewhere a line every LOG_SECONDS.

    Args:
        trainer: what is trained.
        board: folder for TensorBoard's files, None for none.

    Raises:
        CopeError: ``board`` is wanted and TensorBoard is not installed.
    """

    def __init__(self, trainer: Trainer, board: Path | None = None) -> None:
        self.trainer = trainer
        config = trainer.config
        self.progress = Progress(config.steps, config.batch)
        self.bar = _open_bar(trainer)
        self.board = _open_board(board) if board else None
        self.overlay_due = time.monotonic()

    def step(self, losses: dict[str, float], waited: float, frames: list[Frame]) -> None:
        """Takes one step's losses, the seconds it waited for frames, and the frames."""
        self.progress.add(losses, waited)
        if self.bar is not None:
            self.bar.update(self.trainer.config.batch)
        if not self.progress.due():
            return
        self._report(frames)
        self.progress.restart()

    def close(self) -> None:
        """Reports what is left, ends the bar and writes TensorBoard's files."""
        if self.progress.count:
            self._report([])
        if self.bar is not None:
            self.bar.close()
        if self.board is not None:
            self.board.close()

    def _report(self, frames: list[Frame]) -> None:
        step, means = self.trainer.step, self.progress.means()
        if self.bar is not None:
            self.bar.set_postfix({k: f"{v:.3f}" for k, v in means.items()})
        else:
            print(self.progress.line(step), flush=True)
        if self.board is None:
            return
        rate, waiting = self.progress.rates()
        rates = {"images_per_s": rate, "waiting_share": waiting}
        rates["learning_rate"] = self.trainer.optimizer.param_groups[-1]["lr"]
        for group, values in (("loss", means), ("rate", rates)):
            for name, value in values.items():
                self.board.add_scalar(f"{group}/{name}", value, step)
        if frames and time.monotonic() >= self.overlay_due:
            picture = overlay(self.trainer, frames[:OVERLAYS])
            self.board.add_image("poses", picture, step, dataformats="HWC")
            self.overlay_due = time.monotonic() + OVERLAY_SECONDS


def overlay(trainer: Trainer, frames: list[Frame]) -> np.ndarray:
    """(H, W, 3) uint8: frames with true cuboids and, in red, what the averaged weights find."""
    network = copy.deepcopy(trainer.network).eval()
    checkpoints.load_weights(network, trainer.ema, "moving average")
    if trainer.config.task == CROP_HEAD:
        assert network.crop_head is not None
        find = partial(_look_closely, network.crop_head)
    elif trainer.config.task == REFINER:
        assert network.refiner is not None
        assert isinstance(trainer.task, RefinerTask)
        find = partial(_correct, network.refiner, trainer.task)
    else:
        layers = get_preset(trainer.config.preset)
        find = partial(_estimate, build_estimator(network, layers, trainer.catalogue))
    pictures = []
    for frame in frames:
        with torch.inference_mode():
            poses, classes = find(frame, trainer.device)
        seen = np.flatnonzero(frame.visibility >= trainer.config.visibility.foreground)
        truth = (frame.T_cam_obj[seen], frame.class_index[seen].tolist())
        drawn = draw_cuboids(frame.image, frame.K, *truth, trainer.catalogue, TRUTH)
        drawn = draw_cuboids(drawn, frame.K, poses, classes, trainer.catalogue, ESTIMATE)
        pictures.append(drawn)
    return side_by_side(pictures)


def _estimate(
    estimator: CopeEstimator, frame: Frame, device: torch.device
) -> tuple[np.ndarray, list[int]]:
    """(N, 4, 4) poses and classes of the instances found in a frame."""
    image = torch.from_numpy(frame.image)[None].to(device)
    K = torch.from_numpy(frame.K)[None].float().to(device)
    found = Instances(*(v[0].cpu() for v in estimator.to(device)(image, K)))
    valid = found.valid
    return _matrices(found.R[valid], found.t[valid]), found.class_index[valid].tolist()


def _look_closely(
    crop_head: CropHead, frame: Frame, device: torch.device
) -> tuple[np.ndarray, list[int]]:
    """(1, 4, 4) pose of the instance in a crop, and its class."""
    crop = torch.from_numpy(frame.image)[None].to(device)
    K = torch.from_numpy(frame.K)[None].float().to(device)
    classes = torch.from_numpy(frame.class_index).to(device)
    R, center = crop_head.to(device).pose(crop_head(crop, classes), classes, K)
    return _matrices(*_of_object(crop_head, classes, R, center)), classes.tolist()


def _correct(
    refiner: Refiner, task: RefinerTask, frame: Frame, device: torch.device
) -> tuple[np.ndarray, list[int]]:
    """(1, 4, 4) corrected pose of the instance in a crop, and its class."""
    crop = torch.from_numpy(frame.image)[None].to(device)
    crops = task.cut_crops(crop, task.targets([frame]).to(device))
    R, center, *_ = refiner.to(device).estimate(crops.images, *crops.targets.given)
    R, center = crops.R_wide_crop @ R, (crops.R_wide_crop @ center.unsqueeze(-1)).squeeze(-1)
    c = crops.targets.class_index
    return _matrices(*_of_object(refiner, c, R, center)), c.tolist()


def _of_object(
    part: CropNetwork, class_index: torch.Tensor, R: torch.Tensor, center: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """R and t on the CPU from the position of the boxes' centres."""
    t = center - (R @ part.centers[class_index].unsqueeze(-1)).squeeze(-1)
    return R.cpu(), t.cpu()


def _matrices(R: torch.Tensor, t: torch.Tensor) -> np.ndarray:
    poses = np.tile(np.eye(4), (len(t), 1, 1))
    poses[:, :3, :3], poses[:, :3, 3] = R, t
    return poses


def _open_bar(trainer: Trainer) -> Any:
    """A tqdm bar in training images on a terminal, else None."""
    if not sys.stdout.isatty():
        return None
    from tqdm import tqdm

    config = trainer.config
    done = trainer.step * config.batch
    return tqdm(total=config.steps * config.batch, initial=done, unit=" crops", smoothing=0.05)


def _open_board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise CopeError(
            "--tensorboard: the package tensorboard is not installed (requirements-train.txt)"
        ) from error
    return SummaryWriter(str(folder))
