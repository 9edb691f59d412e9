"""The depth image of each recorded colour image, found by reading ahead in the bag."""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from cope_ros.bag.frames import SECOND, Intrinsics, stamp_of
from cope_ros.bag.reading import Bag, Message
from cope_ros.core.errors import CopeError
from cope_ros.input.compressed_depth import check_depth_header
from cope_ros.input.depth_image import DepthError, Fault
from cope_ros.input.depth_pairing import DepthMatcher, DepthPair

MAX_DIFFERENCE = 0.02  # s, as the node's depth.max_difference
PATIENCE = 0.5  # s of recording in which the depth image of a colour image must come


class Recorded(NamedTuple):
    """A message of a bag, and what it is where it is an image to be processed."""

    message: Message
    wanted: bool  # an image to be processed
    image: Any = None  # sensor_msgs/Image or CompressedImage, or why it cannot be read
    depth: DepthPair | DepthError | None = None  # of the image, or why there is none


def read_image(bag: Bag, message: Message, wanted: Callable[[Message], bool]) -> Recorded:
    """A message as it comes; an image that is ``wanted`` deserialised."""
    if not wanted(message):
        return Recorded(message, False)
    try:
        return Recorded(message, True, bag.deserialize(message[0], message[2]))
    except CopeError as error:
        return Recorded(message, True, error)


class RecordedDepth:
    """Pairs the images of a bag with its depth images; counts what is of no use, and why."""

    def __init__(self, bag: Bag, topic: str, intrinsics: Intrinsics | None) -> None:
        """``intrinsics``: of the depth images; None where they are the colour camera's."""
        self._bag = bag
        self.topic = topic
        self._intrinsics = intrinsics
        self._now = 0.0  # s, of recording
        self._matcher = DepthMatcher(True, lambda: MAX_DIFFERENCE, lambda: self._now)
        self.used = 0  # images whose poses were fitted to depth
        self.poses = 0  # in them
        self.confirmed = 0  # of these, those that depth has determined
        self.faults: Counter[Fault] = Counter()
        self.reasons: dict[Fault, str] = {}  # what was said of the first

    def paired(
        self, messages: Iterator[Message], wanted: Callable[[Message], bool]
    ) -> Iterator[Recorded]:
        """The messages as they come; the images that are ``wanted`` with their depth."""
        ahead: deque[Message] = deque()
        while True:
            if not ahead and not self._pull(messages, ahead):
                return
            message = ahead.popleft()
            recorded = read_image(self._bag, message, wanted)
            if recorded.wanted and not isinstance(recorded.image, CopeError):
                depth = self._depth_of(recorded.image, message, messages, ahead)
                recorded = recorded._replace(depth=depth)
            yield recorded

    def count(self, found: DepthPair | DepthError | None, share: np.ndarray) -> None:
        """Notes what became of an image's depth; ``share`` (N,) of each pose is confirmed."""
        if isinstance(found, DepthError):
            self.faults[found.fault] += 1
            self.reasons.setdefault(found.fault, str(found))
        elif found is not None:
            self.used += 1
            self.poses += len(share)
            self.confirmed += int((share > 0).sum())

    def _depth_of(
        self, image: Any, message: Message, messages: Iterator[Message], ahead: deque[Message]
    ) -> DepthPair | DepthError:
        while True:
            waited = self._now - message[1] / SECOND
            try:
                pair = self._matcher.find(image, waited, PATIENCE)
                if pair is None and not self._pull(messages, ahead):
                    pair = self._matcher.find(image, PATIENCE, PATIENCE)
            except DepthError as error:
                return error
            if pair is not None:
                return self._with_info(pair)

    def _with_info(self, pair: DepthPair) -> DepthPair:
        if self._intrinsics is None:
            return pair
        return DepthPair(pair.image, self._intrinsics.at(stamp_of(pair.image, 0)))

    def _pull(self, messages: Iterator[Message], ahead: deque[Message]) -> bool:
        """Reads one message more; False where there is none."""
        message = next(messages, None)
        if message is None:
            return False
        ahead.append(message)
        connection, recorded, raw = message
        self._now = max(self._now, recorded / SECOND)
        if connection.topic == self.topic:
            try:
                depth = self._bag.deserialize(connection, raw)
                check_depth_header(depth)
                self._matcher.put(depth)
            except DepthError as error:
                self.faults[error.fault] += 1
                self.reasons.setdefault(error.fault, str(error))
            except CopeError as error:
                self.faults[Fault.MALFORMED] += 1
                self.reasons.setdefault(Fault.MALFORMED, str(error))
        return True
