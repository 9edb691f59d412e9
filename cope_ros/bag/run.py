"""One pass over a bag: every message is copied, every image processed."""

import itertools
import signal
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm

from cope_ros.bag.depth import Recorded, RecordedDepth, read_image
from cope_ros.bag.frames import FrameReader, Intrinsics
from cope_ros.bag.outputs import Outputs
from cope_ros.bag.reading import Bag, Message
from cope_ros.bag.sinks import MessageSink, Sink, TableSink, VideoSink
from cope_ros.bag.topics import Topic
from cope_ros.bag.writing import BagCopy
from cope_ros.core.errors import CopeError
from cope_ros.input.drops import FrameError

RATES = (1.0, 120.0)  # least and greatest frame rate of a video
STILL_RATE = 10.0  # of the video of a bag without duration


@dataclass(frozen=True)
class Work:
    """What is to be done."""

    bag: Bag
    image: Topic
    intrinsics: Intrinsics
    rectified: bool
    estimator: Any
    model: Path  # directory or file of the model, for its meshes
    outputs: Outputs
    every: int = 1
    depth: RecordedDepth | None = None


@dataclass
class Outcome:
    """What was done."""

    processed: int = 0  # images
    poses: int = 0
    messages: int = 0  # in the bag that was written
    seconds: float = 0.0
    interrupted: bool = False
    # By cause: how many images, and what was said of the first.
    dropped: dict[str, tuple[int, str]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)  # what was tolerated in camera_info

    @property
    def rate(self) -> float:
        """Images per second."""
        return self.processed / self.seconds if self.seconds else 0.0

    def drop(self, cause: str, reason: str) -> None:
        """Counts an image without poses."""
        count, first = self.dropped.get(cause, (0, reason))
        self.dropped[cause] = count + 1, first


def play(work: Work) -> Outcome:
    """Writes the bag, the table and the video; all of them are whole after Ctrl-C, too.

    Raises:
        CopeError: something cannot be written.
    """
    outcome = Outcome()
    start = time.monotonic()
    with ExitStack() as stack:
        copy = BagCopy(work.outputs.bag, work.bag)
        stack.callback(copy.close)
        sinks = _sinks(work, copy)
        for sink in sinks:
            stack.callback(sink.close)
        _pass(work, copy, sinks, outcome)
        outcome.messages = copy.count
    outcome.seconds = time.monotonic() - start
    return outcome


def _sinks(work: Work, copy: BagCopy) -> list[Sink]:
    catalogue = work.estimator.catalogue
    sinks: list[Sink] = [
        MessageSink(copy, catalogue, work.model, work.bag.ros2),
        TableSink(work.outputs.table, catalogue),
    ]
    if work.outputs.video is not None:
        sinks.append(VideoSink(work.outputs.video, catalogue, _rate(work)))
    return sinks


def _rate(work: Work) -> float:
    """Frames per second of the processed images, as they were recorded."""
    duration = work.bag.duration
    rate = work.image.count / work.every / duration if duration else STILL_RATE
    return min(max(rate, RATES[0]), RATES[1])


def _pass(work: Work, copy: BagCopy, sinks: list[Sink], outcome: Outcome) -> None:
    reader = FrameReader(work.estimator, work.intrinsics, work.rectified)
    outcome.notes = reader.notes
    total = -(-work.image.count // work.every)
    with _stop_request() as stop, tqdm(total=total, unit="img", desc="poses") as bar:
        for recorded in _messages(work):
            if stop.given:
                outcome.interrupted = True
                return
            copy.copy(*recorded.message)
            if recorded.wanted:
                _process(work, reader, recorded, sinks, outcome)
                bar.update()


def _process(
    work: Work, reader: FrameReader, recorded: Recorded, sinks: list[Sink], outcome: Outcome
) -> None:
    """One image into the sinks, or counted as dropped."""
    try:
        if isinstance(recorded.image, CopeError):
            raise recorded.image
        frame = reader.read(recorded.message[1], recorded.image, recorded.depth)
    except FrameError as error:
        outcome.drop(error.cause.value, str(error))
        return
    except CopeError as error:
        outcome.drop("message", str(error))
        return
    for sink in sinks:
        sink.add(frame)
    outcome.processed += 1
    outcome.poses += len(frame.found.ids)
    if work.depth is not None:
        work.depth.count(frame.depth, frame.found.estimate.depth_share)


def _messages(work: Work) -> Iterator[Recorded]:
    """The bag's messages, each N-th image deserialised, with its depth where that is asked for."""
    numbers = itertools.count()

    def wanted(message: Message) -> bool:
        return message[0].topic == work.image.name and next(numbers) % work.every == 0

    messages = work.bag.messages()
    if work.depth is not None:
        yield from work.depth.paired(messages, wanted)
        return
    for message in messages:
        yield read_image(work.bag, message, wanted)


class _StopRequest:
    """Whether Ctrl-C or SIGTERM asked for the end.

    A flag, not an exception: that could strike within a record and leave half of it.
    """

    given = False

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handles the signal."""
        self.given = True


@contextmanager
def _stop_request() -> Generator[_StopRequest, None, None]:
    stop = _StopRequest()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stop.note) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
