"""Which slots are handed out, and how many rest."""

from cope_ros.tracking.slot_pool import MAX_RESTING, REST, SlotPool


def test_the_pool_hands_out_the_lowest_rested_slot() -> None:
    pool = SlotPool()
    assert [pool.acquire("a", 0.0) for _ in range(3)] == [0, 1, 2]
    pool.release("a", 1, 5.0)
    pool.release("a", 0, 6.0)
    assert pool.acquire("b", 0.0) == 0
    assert pool.acquire("a", 4.9 + REST) == 3
    assert pool.acquire("a", 6.0 + REST) == 0
    assert pool.acquire("a", 6.0 + REST) == 1


def test_the_pool_is_bounded_where_time_stands_still() -> None:
    pool = SlotPool()
    highest = 0
    for _ in range(2 * MAX_RESTING):
        slot = pool.acquire("a", 0.0)
        highest = max(highest, slot)
        pool.release("a", slot, 0.0)
    assert highest == MAX_RESTING
