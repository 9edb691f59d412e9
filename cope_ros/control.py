"""What operators ask of the running node: enabled or not, one frame on demand, a fresh start."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cope_ros.input.drops import Cause, FrameError

ON_DEMAND = "on_demand"  # value of the parameter `mode`


class Control:
    """Decides which frames get a turn. Thread-safe: services set it, inputs and worker ask it.

    In mode on_demand a trigger is pending until one frame that came after it was processed;
    a frame that fails gives the trigger back to the next one.
    """

    def __init__(self, mode: Callable[[], str]) -> None:
        """``mode`` tells the current value of that parameter: "continuous" or "on_demand"."""
        self._mode = mode
        self._lock = threading.Lock()
        self._enabled = True
        self._triggered = False
        self._reset = False

    @property
    def enabled(self) -> bool:
        """Whether frames are processed at all."""
        return self._enabled

    @property
    def triggered(self) -> bool:
        """Whether a trigger waits for its frame."""
        return self._triggered

    def set_enabled(self, enabled: bool) -> None:
        """Switches processing; switching it off forgets a pending trigger."""
        with self._lock:
            self._enabled = enabled
            self._triggered = self._triggered and enabled

    def trigger(self) -> bool:
        """Asks for one frame; false where one was asked for already."""
        with self._lock:
            fresh = not self._triggered
            self._triggered = True
            return fresh

    def forget_trigger(self) -> None:
        """Nobody waits for a frame any more."""
        with self._lock:
            self._triggered = False

    def request_reset(self) -> None:
        """Asks for a reset of the tracks before the next frame."""
        self._reset = True

    def take_reset(self) -> bool:
        """Whether a reset was asked for since the last call."""
        with self._lock:
            wanted, self._reset = self._reset, False
            return wanted

    def admit(self) -> None:
        """Asked when an image comes in.

        Raises:
            FrameError: (causes DISABLED, NOT_TRIGGERED) nobody wants it.
        """
        self.check_enabled()
        if self._mode() == ON_DEMAND and not self._triggered:
            raise FrameError(Cause.NOT_TRIGGERED, "image: mode is on_demand and nobody asked")

    def check_enabled(self) -> None:
        """Asked before anything is published too, for what was disabled in the meantime.

        Raises:
            FrameError: (cause DISABLED).
        """
        if not self._enabled:
            raise FrameError(Cause.DISABLED, "image: the node is disabled (~/enable)")

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Around the processing of a frame; uses up the trigger unless the frame fails.

        Raises:
            FrameError: (causes DISABLED, NOT_TRIGGERED) it is nobody's turn.
        """
        self.admit()
        with self._lock:
            claimed, self._triggered = self._triggered, False
        try:
            yield
        except FrameError:
            with self._lock:
                self._triggered = self._triggered or (claimed and self._enabled)
            raise
