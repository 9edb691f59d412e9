"""Free numbers per class, each rested until no listener remembers its old owner."""

import heapq

TF_BUFFER = 10.0  # s that tf2 keeps transforms
REST = TF_BUFFER + 1.0  # s from the last use of a slot to its next owner
MAX_RESTING = 4096  # of one class; where the clock stands still, the oldest is used again


class SlotPool:
    """The lowest number that nobody uses and that has rested long enough.

    Keyed by the class's name, so that a pool outlives the model that named the classes.
    """

    def __init__(self) -> None:
        self._next: dict[str, int] = {}  # numbers from here on were never used
        self._free: dict[str, list[int]] = {}  # heap
        self._resting: dict[str, list[tuple[float, int]]] = {}  # heap by the end of the rest

    def acquire(self, class_id: str, now: float) -> int:
        """A slot for a new object of a class at time ``now`` (s)."""
        resting = self._resting.setdefault(class_id, [])
        free = self._free.setdefault(class_id, [])
        while resting and (resting[0][0] <= now or len(resting) > MAX_RESTING):
            heapq.heappush(free, heapq.heappop(resting)[1])
        if free:
            return heapq.heappop(free)
        slot = self._next.get(class_id, 0)
        self._next[class_id] = slot + 1
        return slot

    def release(self, class_id: str, slot: int, last_used: float) -> None:
        """Gives a slot back whose frame was published last at ``last_used`` (s)."""
        heapq.heappush(self._resting.setdefault(class_id, []), (last_used + REST, slot))

    def clear(self) -> None:
        """Starts from zero: nobody remembers anything."""
        self._next.clear()
        self._free.clear()
        self._resting.clear()
