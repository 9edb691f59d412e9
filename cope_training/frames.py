"""One training or test image with its ground truth, and a stream of rendered ones."""

import itertools
import multiprocessing
import os
import queue as queue_module
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cope_ros.core.errors import CopeError
from cope_training.rendering.scene_config import SceneConfig


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

    def select(self, rows: np.ndarray) -> "Frame":
        """The frame with the given instances only, (M,) int64 or (N,) bool; others become -1."""
        count = len(self.class_index)
        kept = np.arange(count)[rows]
        renumber = np.full(count + 1, -1, dtype=np.int16)  # the last entry serves -1
        renumber[kept] = np.arange(len(kept), dtype=np.int16)
        labels = None if self.instance_map is None else renumber[self.instance_map]
        return Frame(
            self.image, self.K, self.class_index[kept], self.T_cam_obj[kept],
            self.visibility[kept], labels, self.boxes[kept],
        )  # fmt: skip


class FrameStream:
    """Endless training crops, rendered by worker processes; frame i depends on seed and i alone.

    The order does not depend on the number of workers, and a stream opened with ``start``
    goes on where another one stopped.

    Example:
        with FrameStream(SceneConfig(), seed=0, workers=1) as stream:
            for frame in stream: ...
    """

    def __init__(
        self, config: SceneConfig, seed: int, workers: int = 1, start: int = 0, ahead: int = 32
    ) -> None:
        """Starts the workers.

        Args:
            config: what to render.
            seed: of the frames and of the pools of pictures.
            workers: processes; each renders on one core.
            start: number of the first frame.
            ahead: frames per worker rendered before they are asked for.

        Raises:
            ValueError: fewer than one worker.
        """
        if workers < 1:
            raise ValueError(f"workers: expected at least 1, got {workers}")
        context = multiprocessing.get_context("spawn")
        self._next = start
        self._queues = [context.Queue(maxsize=ahead) for _ in range(workers)]
        self._processes = []
        for rank, queue in enumerate(self._queues):
            first = start + (rank - start) % workers  # the worker's first number >= start
            arguments = (config, seed, first, workers, queue)
            process = context.Process(target=_render_frames, args=arguments, daemon=True)
            process.start()
            self._processes.append(process)

    def __iter__(self) -> Iterator[Frame]:
        while True:
            yield self.next_frame()

    def next_frame(self) -> Frame:
        """The next frame in order; waits for its worker.

        Raises:
            CopeError: a worker failed, with its reason.
        """
        rank = self._next % len(self._queues)
        while True:
            try:
                item = self._queues[rank].get(timeout=1.0)
                break
            except queue_module.Empty:
                if not self._processes[rank].is_alive():
                    code = self._processes[rank].exitcode
                    raise CopeError(f"render worker {rank} ended with code {code}") from None
        if isinstance(item, str):
            raise CopeError(f"render worker {rank} failed: {item}")
        self._next += 1
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


def _render_frames(
    config: SceneConfig,
    seed: int,
    first: int,
    step: int,
    queue: "multiprocessing.Queue[Frame | str]",
) -> None:
    """A worker: renders frames first, first + step, ... until it or its parent ends."""
    os.environ["LP_NUM_THREADS"] = "0"  # Mesa draws in this thread; set before the context opens
    from cope_training.rendering.scenes import sample_crop
    from cope_training.rendering.studio import Studio, load_objects

    parent = multiprocessing.parent_process()
    try:
        objects = load_objects(config.models, config.max_faces)
        studio = Studio(objects, config.backgrounds, seed)
        for number in itertools.count(first, step):
            frame = sample_crop(np.random.default_rng([seed, number]), studio, config)
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
