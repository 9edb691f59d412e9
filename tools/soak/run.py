"""Runs the soak: two nodes, a camera at 30 Hz, a fuzzer, and a watch over them.

``python -m tools.soak.run [--minutes 20] [--messages 100000] [--max-growth 1]``; ``make soak`` does
the same. Writes out/soak/summary.json and out/soak/soak.png. Exit code 0 when nothing crashed,
hung, leaked or published a non-finite number, 1 otherwise, 2 for bad arguments.
"""

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import rclpy
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter

from cope_ros.core.errors import CopeError
from demo.processes import Child, stop_all
from tools.soak import names, summary
from tools.soak.watch import Watch

OUT = names.ROOT / "out" / "soak"
START_UP = 180.0  # s for both nodes to answer a frame
SAMPLE_PERIOD = 1.0  # s
LOOK_PERIOD = 15.0  # s between viewers that come and go
PARAMETER_PERIOD = 20.0  # s between parameter storms
PARAMETER_CALLS = 30
OVERTIME = 2.0  # times the minutes that a slow machine may take to send the messages
DOMAINS = range(1, 102)  # those beyond reach into Linux' ephemeral ports


@dataclass(frozen=True)
class Options:
    """How long, how much, and where to."""

    minutes: float
    messages: int
    limits: summary.Limits
    out: Path = OUT


def node_command(namespace: str) -> list[str]:
    """A node as a user would start it; reliable inputs, so that fuzzed messages arrive."""
    transport = "compressed" if namespace == names.COMPRESSED else "raw"
    image, info = names.image_topic(namespace), names.info_topic(namespace)
    settings = {
        "model": names.MODEL,
        "device": "cpu",
        "image_transport": transport,
        "image_is_rectified": str(transport == "raw").lower(),  # the other undistorts
        "tf.prefix": f"{namespace}_",
        f"qos_overrides.{image}.subscription.reliability": "reliable",
        f"qos_overrides.{image}.subscription.depth": "10",
        f"qos_overrides.{info}.subscription.reliability": "reliable",
        f"qos_overrides.{info}.subscription.depth": "50",
    }
    arguments = [text for key, value in settings.items() for text in ("-p", f"{key}:={value}")]
    remap = ["-r", f"__ns:=/{namespace}"]
    return [sys.executable, "-m", "cope_ros.node", "--ros-args", *remap, *arguments]


class Soak:
    """The processes of one soak and the loop that watches them."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._out = options.out
        self._out.mkdir(parents=True, exist_ok=True)
        self._files = {name: self._out / f"{name}.json" for name in ("camera", "fuzzer")}
        for file in self._files.values():
            file.unlink(missing_ok=True)
        self._children: list[Child] = []
        self.crashes: list[str] = []

    def run(self) -> dict[str, Any]:
        """Returns the summary.

        Raises:
            CopeError: a node did not start.
        """
        try:
            nodes = {name: self._start(name, node_command(name)) for name in names.NAMESPACES}
            self._start("camera", self._module("camera", self._files["camera"]))
            watch = Watch({name: psutil.Process(child.pid) for name, child in nodes.items()})
            self._await_frames(watch)
            minutes = self._watch(watch)
        finally:
            stop_all(self._children)
        return self._summary(watch, minutes)

    def _start(self, name: str, command: Sequence[str]) -> Child:
        child = Child(name, command, self._out / f"{name}.log")
        self._children.append(child)
        return child

    def _module(self, name: str, *arguments: Any) -> list[str]:
        return [sys.executable, "-m", f"tools.soak.{name}", *map(str, arguments)]

    def _await_frames(self, watch: Watch) -> None:
        deadline = time.monotonic() + START_UP
        while not all(item.latencies for item in watch.watched.values()):
            rclpy.spin_once(watch, timeout_sec=0.1)
            self._check_children()
            if self.crashes or time.monotonic() > deadline:
                said = "; ".join(self.crashes) or f"no detections within {START_UP:.0f} s"
                raise CopeError(f"the nodes did not start: {said}")

    def _watch(self, watch: Watch) -> float:
        """Until the time is over and all messages are sent; returns the minutes that took."""
        seconds = self._options.minutes * summary.MINUTE
        arguments = ("--messages", self._options.messages, "--seconds", seconds)
        self._start("fuzzer", self._module("fuzzer", *arguments, "--counts", self._files["fuzzer"]))
        start = time.monotonic()
        for item in watch.watched.values():
            item.begin(start)
        due = {"sample": start, "look": start, "parameters": start}
        storm = ParameterStorm(watch)
        while not self.crashes:
            rclpy.spin_once(watch, timeout_sec=0.05)
            now = time.monotonic()
            if now >= due["sample"]:
                due["sample"] = now + SAMPLE_PERIOD
                self._check_children()
                for item in watch.watched.values() if not self.crashes else ():
                    item.sample(now)
            if now >= due["look"]:
                due["look"] = now + LOOK_PERIOD
                watch.look()
            if now >= due["parameters"]:
                due["parameters"] = now + PARAMETER_PERIOD
                storm.send()
            sent = names.read_counts(self._files["fuzzer"]).get("done", False)
            if now > start + seconds * (1.0 if sent else OVERTIME):
                break
        return (time.monotonic() - start) / summary.MINUTE

    def _check_children(self) -> None:
        for child in self._children:
            code = child.poll()
            if code is not None and not (child.name == "fuzzer" and code == 0):
                self.crashes.append(f"{child.name} ended with {code}: {child.last_words()}")

    def _summary(self, watch: Watch, minutes: float) -> dict[str, Any]:
        nodes = {name: summary.describe(item, minutes) for name, item in watch.watched.items()}
        growths = [item["rss_growth_percent"] for item in nodes.values()]
        fuzzed = names.read_counts(self._files["fuzzer"])
        camera = names.read_counts(self._files["camera"])
        summary.write_samples(watch.watched, self._out / "samples.csv")
        summary.plot(watch.watched, self._out / "soak.png")
        return {
            "minutes": round(minutes, 2),
            "rate_hz": round(camera.get("rate_hz", 0.0), 2),
            "messages_fuzzed": sum(n for name, n in fuzzed.items() if name != "done"),
            "crashes": len(self.crashes),
            "crash_reasons": self.crashes,
            "hangs": sum(item["hangs"] for item in nodes.values()),
            "non_finite": sum(item["non_finite"] for item in nodes.values()),
            "rss_growth_percent": None if None in growths else max(growths),
            "latency_ms": nodes[names.RAW]["latency_ms"],
            "fuzzed": fuzzed,
            "views": dict(watch.viewed),
            "diagnostics_not_ok": dict(watch.levels),
            "nodes": nodes,
        }


class ParameterStorm:
    """Sets live parameters of all nodes again and again, to good and bad values."""

    def __init__(self, watch: Watch) -> None:
        self._random = random.Random(0)
        self._clients = [
            watch.create_client(SetParameters, f"/{name}/cope/set_parameters")
            for name in watch.watched
        ]

    def send(self) -> None:
        """Sends the calls; nobody waits for their answers but the watch's executor."""
        for client in self._clients:
            for _ in range(PARAMETER_CALLS):
                self._set(client, "score_threshold", self._random.uniform(-0.2, 1.2))
                self._set(client, "n_hypotheses", self._random.randint(-1, 12))
            self._set(client, "score_threshold", 0.5)
            self._set(client, "n_hypotheses", 10)

    def _set(self, client: Any, name: str, value: float) -> None:
        request = SetParameters.Request()
        request.parameters = [Parameter(name, value=value).to_parameter_msg()]
        client.call_async(request)


def parse(argv: Sequence[str] | None) -> Options:
    """Reads the command line; ends with exit code 2 where it is at fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument(
        "--max-growth", type=float, default=summary.MAX_GROWTH, help="of resident memory, percent"
    )
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(argv)
    if not args.minutes > 0 or args.messages < 1:
        parser.error("expected minutes > 0 and messages >= 1")
    return Options(args.minutes, args.messages, summary.Limits(args.max_growth), args.out)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    options = parse(argv)
    # Nobody else's nodes may hear the fuzzed messages.
    os.environ.setdefault("ROS_DOMAIN_ID", str(random.choice(DOMAINS)))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    rclpy.init(args=[])
    try:
        content = Soak(options).run()
    except (CopeError, KeyboardInterrupt) as error:
        print(f"soak: {error or 'stopped'}", file=sys.stderr)
        return 1
    finally:
        rclpy.try_shutdown()
    path = options.out / "summary.json"
    found = summary.faults(content, options.limits)
    path.write_text(json.dumps({**content, "faults": found}, indent=1) + "\n")
    keys = ("minutes", "rate_hz", "messages_fuzzed", "crashes", "hangs", "non_finite")
    print(", ".join(f"{key} {content[key]}" for key in (*keys, "rss_growth_percent")))
    print(f"soak: {'; '.join(found) or 'sound'} ({path})")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
