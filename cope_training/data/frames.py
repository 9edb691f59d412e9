"""One training or test image with its ground truth, and a stream of them from processes."""

import itertools
import logging
import multiprocessing
import os
import queue as queue_module
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch

from cope_ros.core.errors import CopeError

WORKER_NICENESS = 10  # on few cores, frames are made while the training step leaves one idle


@dataclass(frozen=True)
class Frame:
    """An image and what can be seen in it; N instances.

    Lengths in metres, camera optical frame (x right, y down, z forward), pixel centres at
    integers.
    """

    image: np.ndarray  # (H, W, 3) uint8 RGB
    K: np.ndarray  # (3, 3) float64
    class_index: np.ndarray  # (N,) int64, 0-based
    T_cam_obj: np.ndarray  # (N, 4, 4) float64 m, p_cam = T_cam_obj @ p_obj
    visibility: np.ndarray  # (N,) float32 in [0, 1], visible pixels over the whole silhouette's
    instance_map: np.ndarray | None  # (H, W) int16 row of the instance seen there, -1 background
    boxes: np.ndarray  # (N, 4) float32 x1 y1 x2 y2 px, amodal, not clipped to the image
    depth: np.ndarray | None = None  # (H, W) float32 m along z, 0 where nothing is known

    def select(self, rows: np.ndarray) -> "Frame":
        """The frame with the given instances only, (M,) int64 or (N,) bool; others become -1."""
        count = len(self.class_index)
        kept = np.arange(count)[rows]
        renumber = np.full(count + 1, -1, dtype=np.int16)  # the last entry serves -1
        renumber[kept] = np.arange(len(kept), dtype=np.int16)
        labels = None if self.instance_map is None else renumber[self.instance_map]
        return replace(
            self,
            class_index=self.class_index[kept],
            T_cam_obj=self.T_cam_obj[kept],
            visibility=self.visibility[kept],
            instance_map=labels,
            boxes=self.boxes[kept],
        )


Item = TypeVar("Item")
Made = TypeVar("Made", covariant=True)


class Source(Protocol[Made]):
    """What a stream reads: items by number, the same in every process that opens it."""

    def open(self) -> Callable[[int], Made]:
        """Prepares a worker; what it returns makes item ``number``, from 0 on without end."""
        ...


FrameSource = Source[Frame]


class FrameStream(Generic[Item]):
    """Endless training frames, or blocks of them, made by worker processes.

    The order does not depend on the number of workers, and a stream opened with ``start``
    goes on where another one stopped.

    Example:
        with FrameStream(RenderedFrames(SceneConfig(), seed=0), workers=1) as stream:
            for frame in stream: ...
    """

    def __init__(
        self,
        source: Source[Item],
        workers: int = 1,
        start: int = 0,
        stride: int = 1,
        ahead: int = 32,
    ) -> None:
        """Starts the workers.

        Args:
            source: of the frames; has to be picklable.
            workers: processes; each works on one core.
            start: number of the first frame.
            stride: from one frame's number to the next one's; several trainings share a source.
            ahead: frames per worker made before they are asked for.

        Raises:
            ValueError: fewer than one worker.
        """
        if workers < 1:
            raise ValueError(f"workers: expected at least 1, got {workers}")
        context = multiprocessing.get_context("spawn")
        self._taken = 0
        self._queues: list[multiprocessing.Queue[Item | str]] = [
            context.Queue(maxsize=ahead) for _ in range(workers)
        ]
        self._processes = []
        for rank, queue in enumerate(self._queues):
            arguments = (source, start + rank * stride, workers * stride, queue)
            process = context.Process(target=_make_frames, args=arguments, daemon=True)
            process.start()
            self._processes.append(process)

    def __iter__(self) -> Iterator[Item]:
        while True:
            yield self.next_frame()

    def next_frame(self) -> Item:
        """The next frame in order; waits for its worker.

        Raises:
            CopeError: a worker failed, with its reason.
        """
        rank = self._taken % len(self._queues)
        while True:
            try:
                item = self._queues[rank].get(timeout=1.0)
                break
            except queue_module.Empty:
                if not self._processes[rank].is_alive():
                    code = self._processes[rank].exitcode
                    raise CopeError(f"frame worker {rank} ended with code {code}") from None
        if isinstance(item, str):
            raise CopeError(f"frame worker {rank} failed: {item}")
        self._taken += 1
        return item

    def close(self) -> None:
        """Ends the workers; further calls do nothing."""
        for process in self._processes:
            process.terminate()
        for process, queue in zip(self._processes, self._queues, strict=True):
            process.join(timeout=5.0)
            queue.close()
            queue.cancel_join_thread()
        self._processes, self._queues = [], []

    def __enter__(self) -> "FrameStream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _make_frames(
    source: Source[Item], first: int, step: int, queue: "multiprocessing.Queue[Item | str]"
) -> None:
    """A worker: makes frames first, first + step, ... until it or its parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the training's to answer
    os.nice(WORKER_NICENESS)
    logging.getLogger("cope_training").setLevel(logging.ERROR)  # the training said it all before
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    try:
        read = source.open()
        for number in itertools.count(first, step):
            frame = read(number)
            while True:
                try:
                    queue.put(frame, timeout=2.0)
                    break
                except queue_module.Full:
                    if parent is None or not parent.is_alive():
                        queue.cancel_join_thread()
                        return
    except CopeError as error:
        queue.put(str(error))
