"""Starts the demonstration: camera, node and listener as three processes over DDS.

``python -m demo.run [--images DIR] [--camera camera.json] [--model DIR]``; ``make demo`` does
the same. Exit code 0 when poses were received, 1 when not, 2 for bad arguments, 130 on Ctrl-C.
"""

import argparse
import ctypes
import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from demo.announce import Waiting, announcement, headline, shown
from demo.images import read_folder
from demo.processes import Child, stop_all
from demo.record import IMAGE_TOPIC

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "models" / "demo"
OUT = ROOT / "out" / "demo"
DEADLINE = 600.0  # s for everything: about a minute on a quiet machine
READY = 180.0  # s for the node to load its model
MARGIN = 5.0  # s before the deadline after which no further picture is drawn
MAX_IMAGES = 300  # half a minute at 10 Hz
INTERRUPTED = 130  # as shells have it: 128 + SIGINT
PERIOD = 0.1  # s between two looks at the processes
# Domains beyond 101 reach into Linux' ephemeral ports (DDS: port 7400 + 250 * domain).
DOMAINS = range(1, 102)


@dataclass(frozen=True)
class Options:
    """What to play, with which model, and where to put the results."""

    images: Path
    camera: Path | None
    model: Path
    device: str  # cpu or cuda:N
    out: Path = OUT

    @property
    def model_folder(self) -> Path:
        """Where models_info.json and the meshes are; ``model`` may be the model.pt itself."""
        return self.model if self.model.is_dir() else self.model.parent


class StopRequest:
    """Whether a signal asked for the end.

    A flag, not an exception: that could strike between the start of a process and its entry in
    the list of those to be stopped.
    """

    def __init__(self) -> None:
        self.given = False

    def listen(self) -> None:
        """From now on Ctrl-C, SIGTERM and SIGHUP only set the flag."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.given = True


def check(options: Options) -> int:
    """Looks at all inputs before anything is started; returns the number of images to play.

    Raises:
        CopeError: the first thing that is missing or at fault.
    """
    if not options.model.exists():
        raise CopeError(f"{options.model}: no such model directory")
    weights = options.model / "model.pt" if options.model.is_dir() else options.model
    for needed in (weights, options.model_folder / "models_info.json"):
        if not needed.is_file():
            raise CopeError(f"{needed}: no such file, but a model directory must have it")
    Catalogue.from_models_info(options.model_folder / "models_info.json")
    images = read_folder(options.images, options.camera)
    images[0].read()
    return min(len(images), MAX_IMAGES)


def node_command(options: Options) -> list[str]:
    """The node as a user would start it without ``ros2 launch``."""
    return [
        *(sys.executable, "-m", "cope_ros.node", "--ros-args"),
        *("--params-file", str(ROOT / "config" / "cope.yaml")),
        *("-p", f"model:={options.model.resolve()}", "-p", f"device:={options.device}"),
        *("-r", f"image_rect:={IMAGE_TOPIC}"),
    ]


def run(options: Options, stop: StopRequest) -> int:
    """Plays the images through the node and waits for the listener's report.

    Args:
        options: inputs, checked already.
        stop: ends it early.

    Returns:
        0 when at least one pose was received, 130 when stopped, else 1.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    log, ready = options.out / "published.json", options.out / "ready"
    for old in (log, ready, options.out / "summary.json", *options.out.glob("frame_*.jpg")):
        old.unlink(missing_ok=True)
    source = ["--images", str(options.images), "--log", str(log), "--ready", str(ready)]
    if options.camera is not None:
        source += ["--camera", str(options.camera)]
    results = ["--model", str(options.model_folder), "--device", options.device]
    deadline = time.monotonic() + DEADLINE
    results += ["--out", str(options.out), "--until", str(deadline - MARGIN)]
    limits = ["--limit", str(MAX_IMAGES), "--wait", str(READY)]
    module = (sys.executable, "-m")
    children: list[Child] = []
    try:
        node = Child("node", node_command(options), options.out / "node.log")
        children.append(node)
        listener = Child("listener", [*module, "demo.listener", *source, *results])
        children.append(listener)
        camera = Child("camera", [*module, "demo.publisher", *source, *limits])
        children.append(camera)
        return _supervise(node, listener, camera, Watch(stop, deadline, ready))
    finally:
        stop_all(children)


@dataclass(frozen=True)
class Watch:
    """What ends a run early, and what shows that the node answers."""

    stop: StopRequest
    deadline: float  # s, steady clock
    ready: Path


def _supervise(node: Child, listener: Child, camera: Child, watch: Watch) -> int:
    """Returns the listener's exit code, or another one with a sentence when something failed."""
    waiting = Waiting(sys.stdout)
    while (code := listener.poll()) is None:
        waiting.show(watch.ready.exists())
        if watch.stop.given:
            return INTERRUPTED
        if time.monotonic() > watch.deadline:
            print(f"demo: stopped, not done after {DEADLINE:.0f} s", file=sys.stderr)
            return 1
        for child in (node, camera):
            failed = child.poll() is not None and (child is node or child.poll() != 0)
            if failed:
                print(f"demo: the {child.name} ended early. {child.last_words()}", file=sys.stderr)
                return 1
        time.sleep(PERIOD)
    return code


def isolate(environment: MutableMapping[str, str]) -> str:
    """Sets a free DDS domain on this machine alone; returns the domain."""
    domain = str(_free_domain())
    environment["ROS_DOMAIN_ID"] = domain
    environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    environment.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(ROOT / "config" / "fastdds.xml"))
    paths = [str(ROOT), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return domain


def _free_domain() -> int:
    for domain in random.sample(DOMAINS, len(DOMAINS)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", 7400 + 250 * domain))
            except OSError:
                continue
            return domain
    raise CopeError("every DDS domain from 1 to 101 is in use on this machine")


def pick_device(wanted: str) -> str:
    """Resolves ``auto``, so that what the summary names is what the node was told to use."""
    if wanted != "auto":
        return wanted
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "cpu"  # without the seconds that the next line takes
    import torch

    return "cuda:0" if torch.cuda.is_available() else "cpu"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the demonstration; see the module's docstring for the exit codes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--images", type=Path, default=MODEL / "sequence", help="folder, or BOP scene"
    )
    parser.add_argument("--camera", type=Path, help="camera.json of a plain folder of images")
    parser.add_argument("--model", type=Path, default=MODEL, help="model directory")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--out", type=Path, default=OUT, help="where the results go")
    args = parser.parse_args(argv)
    try:
        options = Options(args.images, args.camera, args.model, args.device, args.out)
        print(announcement(check(options), args.images, args.model), flush=True)
        options = replace(options, device=pick_device(args.device))
        domain = isolate(os.environ)
        device = f"device {options.device}, ROS_DOMAIN_ID={domain}, this machine only"
        print(f"demo: {device}", flush=True)
        stop = StopRequest()
        stop.listen()
        code = run(options, stop)
    except CopeError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    _conclude(options, code)
    return code


def _conclude(options: Options, code: int) -> None:
    summary = options.out / "summary.json"
    if code == INTERRUPTED:
        print("demo: interrupted, all processes stopped", file=sys.stderr)
        return
    if summary.is_file():
        print(
            f"demo: summary.json, overview.png and a picture per frame are in {shown(options.out)}"
        )
    if code != 0:
        print("demo: failed, no poses were received")
    elif summary.is_file():
        print(headline(json.loads(summary.read_text()), options.out / "index.html"))


if __name__ == "__main__":
    sys.exit(main())
