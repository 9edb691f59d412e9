"""Sends fuzzed messages to both nodes in storms, with calm between them."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rclpy
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from tools.soak import names, strategies

CYCLE = 10.0  # s
STORM = 0.7  # share of a cycle
DEPTH = 50  # reliable, so that what was sent is heard but for what a busy node overwrites
STREAMS: dict[str, tuple[str, Any, Any]] = {
    "image": (names.image_topic(names.RAW), Image, strategies.IMAGES),
    "info": (names.info_topic(names.RAW), CameraInfo, strategies.INFOS),
    "compressed": (
        names.image_topic(names.COMPRESSED),
        CompressedImage,
        strategies.COMPRESSED_IMAGES,
    ),
    "compressed_info": (names.info_topic(names.COMPRESSED), CameraInfo, strategies.INFOS),
}
MESSAGES = st.one_of(
    *(
        st.tuples(st.just(name), strategy)  # all four equally often
        for name, (_topic, _kind, strategy) in STREAMS.items()
    )
)


class Fuzzer(Node):
    """Publishes whatever the strategies invent."""

    def __init__(self) -> None:
        super().__init__("soak_fuzzer")
        self.sent: Counter[str] = Counter()
        self._outputs = {
            name: self.create_publisher(kind, topic, QoSProfile(depth=DEPTH))
            for name, (topic, kind, _strategy) in STREAMS.items()
        }

    def storm(self, count: int, number: int, seconds: float) -> None:
        """Sends ``count`` messages over ``seconds``; ``number`` seeds what they are."""
        start, before = time.monotonic(), self.sent.total()

        @seed(number)
        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(MESSAGES)
        def send(drawn: tuple[str, Any]) -> None:
            name, message = drawn
            due = start + seconds * (self.sent.total() - before) / count
            time.sleep(max(0.0, due - time.monotonic()))
            self._outputs[name].publish(message)
            self.sent[name] += 1

        send()


def run(fuzzer: Fuzzer, messages: int, seconds: float, counts: Path) -> None:
    """Spreads ``messages`` over cycles of storm and calm; late storms follow at once."""
    cycles = max(1, round(seconds / CYCLE))
    start = time.monotonic()
    number = 0
    while fuzzer.sent.total() < messages:  # a storm may end early where hypothesis repeats itself
        time.sleep(max(0.0, start + number * CYCLE - time.monotonic()))
        count = min(-(-messages // cycles), messages - fuzzer.sent.total())
        fuzzer.storm(count, number, STORM * CYCLE)
        names.write_counts(counts, {"done": fuzzer.sent.total() >= messages, **fuzzer.sent})
        number += 1


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 when all messages were sent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--counts", type=Path, required=True)
    args = parser.parse_args(argv)
    rclpy.init(args=[])
    fuzzer = Fuzzer()
    try:
        run(fuzzer, args.messages, args.seconds, args.counts)
    except KeyboardInterrupt:
        return 1
    finally:
        fuzzer.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
