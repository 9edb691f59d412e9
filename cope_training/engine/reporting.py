"""What a training tells: a progress bar or lines, and TensorBoard where it is wanted."""

import sys
import time
from pathlib import Path
from typing import Any

from cope_ros.core.errors import CopeError
from cope_training.data.frames import Frame
from cope_training.engine.overlay import overlay
from cope_training.engine.planning import plan
from cope_training.engine.trainer import Trainer
from cope_training.evaluation.validation import Validated

LOG_SECONDS = 20.0
OVERLAY_SECONDS = 300.0
OVERLAYS = 4  # frames of a picture
SETTLED = 40.0  # s after which the rate is that of the whole training


class Progress:
    """Averages losses between two reports."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
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

    def line(self, step: int, progress: float, seconds_left: float) -> str:
        """Stage, share done, rate, time to go and mean losses since the last report."""
        rate, waiting = self.rates()
        parts = " ".join(f"{k} {v:.4f}" for k, v in self.means().items())
        return (
            f"training {100 * progress:.1f}% step {step} crops {step * self.batch} {rate:.1f}/s "
            f"wait {100 * waiting:.0f}% {seconds_left / 60:.0f} min left | {parts}"
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
        self.progress = Progress(config.batch)
        self.planned = False
        self.bar = _open_bar(trainer)
        self.board = _open_board(board) if board else None
        self.overlay_due = time.monotonic()
        self.begun: tuple[float, int] | None = None  # time (s) and number of the first step

    def step(self, losses: dict[str, float], waited: float, frames: list[Frame]) -> None:
        """Takes one step's losses, the seconds it waited for frames, and the frames."""
        self.progress.add(losses, waited)
        if self.begun is None:  # what came before was the processes' start
            self.begun = (time.monotonic(), self.trainer.step)
        if self.bar is not None:
            self.bar.update(self.trainer.config.batch)
        if not self.progress.due():
            return
        self._report(frames)
        self.progress.restart()

    def tell(self, text: str) -> None:
        """Prints a line, above the bar where there is one."""
        if self.bar is None:
            print(text, flush=True)
        else:
            self.bar.write(text)

    def seconds_left(self) -> float:
        """To the training's end by its hours or its images, at the present rate."""
        trainer, config = self.trainer, self.trainer.config
        rate = max(self.progress.rates()[0], 1e-6)
        by_images = max(config.steps - trainer.step, 0) * config.batch / rate
        by_time = 3600.0 * config.hours - trainer.seconds if config.hours else by_images
        return max(min(by_images, by_time), 0.0)

    def validated(self, found: Validated) -> None:
        """Tells what a validation found."""
        self.progress.since += found.seconds  # no time of the training's
        self.tell(found.line())
        if self.board is None:
            return
        for group, row in found.rows.items():
            for name, value in row.to_dict().items():
                if value is not None:
                    tag = f"validation/{group.replace('%', 'percent')}/{name}"
                    self.board.add_scalar(tag, value, self.trainer.step)

    def _plan(self, left: float) -> None:
        """Once, when the rate is known: how far the training gets."""
        if self.planned or self.begun is None:
            return
        since, first = self.begun
        seconds = time.monotonic() - since
        if seconds < SETTLED:
            return
        self.planned = True
        step, batch = self.trainer.step, self.trainer.config.batch
        rate = (step - first) * batch / seconds
        self.tell(plan(rate, left, step * batch, self.trainer.config.expected))

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
        left = self.seconds_left()
        if self.bar is not None:
            if self.trainer.config.hours:  # then time ends it, and how many come is a guess
                self.bar.total = round(step * self.progress.batch + left * self.progress.rates()[0])
            self.bar.set_postfix({k: f"{v:.3f}" for k, v in means.items()})
        else:
            self.tell(self.progress.line(step, self.trainer.progress, left))
        self._plan(left)
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


def _open_bar(trainer: Trainer) -> Any:
    """A tqdm bar in training images on a terminal, else None."""
    if not sys.stdout.isatty():
        return None
    from tqdm import tqdm

    config = trainer.config
    done = trainer.step * config.batch
    total = None if config.hours else config.steps * config.batch
    return tqdm(total=total, initial=done, desc="training", unit=" crops", smoothing=0.05)


def _open_board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise CopeError(
            "--tensorboard: the package tensorboard is not installed (requirements-train.txt)"
        ) from error
    return SummaryWriter(str(folder))
