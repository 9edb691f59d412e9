"""``cope_bag``: poses of a recorded bag, without ROS: every image, nothing dropped.

Reads rosbag2 (folder, .mcap, .db3, also with zstd) and ROS 1 bags; writes a bag of the same
format with all that was in it plus /cope/detections, /cope/markers and /tf, a CSV of the poses
beside it and, if asked for, a video. Ctrl-C leaves a bag that can be opened.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cope_ros.bag.depth import RecordedDepth
from cope_ros.bag.frames import Intrinsics, stamp_of
from cope_ros.bag.outputs import Outputs, check_outputs, default_out
from cope_ros.bag.reading import Bag
from cope_ros.bag.run import Outcome, Work, play
from cope_ros.bag.topics import CameraTopics, Topic, choose
from cope_ros.bundled import model_path
from cope_ros.camera_file import camera_info
from cope_ros.core.deployment.runtime import Estimator
from cope_ros.core.errors import CopeError
from cope_ros.input.decoding import size_of
from cope_ros.input.distortion import is_distorted
from cope_ros.input.drops import FrameError
from cope_ros.input.intrinsics import camera_from_info
from cope_training.command import BAD_INPUT, OK, command_parser, number, run_command, whole_number

RECTIFIED = {"yes": True, "no": False}


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(_parser(), _run, arguments)


def _parser() -> argparse.ArgumentParser:
    assert __doc__ is not None
    parser = command_parser("cope_bag", __doc__, "cope_bag drive.mcap --video drive.mp4")
    parser.add_argument("bag", type=Path, help="rosbag2 folder, .mcap, .db3 or ROS 1 .bag")
    parser.add_argument("--out", type=Path, help="the bag to write (default: beside, _cope added)")
    parser.add_argument("--image", metavar="TOPIC", help="default: the only image topic")
    parser.add_argument("--camera-info", metavar="TOPIC", help="default: the one beside the image")
    parser.add_argument(
        "--depth", metavar="TOPIC",
        help="depth images registered to the colour camera, which poses are fitted to",
    )  # fmt: skip
    parser.add_argument(
        "--camera", type=Path, help="camera.json or calibration YAML instead of camera_info"
    )
    parser.add_argument(
        "--rectified", choices=("auto", *RECTIFIED), default="auto",
        help="whether the images are; auto: no where camera_info has a distortion and the topic "
        "is not called rect",
    )  # fmt: skip
    parser.add_argument("--model", default="demo", help="model directory or bundled model")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--score-threshold", type=number(0, 1), help="default: the model's")
    parser.add_argument("--every", type=whole_number(1), default=1, help="each N-th image only")
    parser.add_argument("--video", type=Path, help="MP4 file of the overlays")
    return parser


def _run(options: argparse.Namespace) -> int:
    with Bag(options.bag) as bag:
        known = bag.damage
        if known:
            _note(f"{options.bag}: {known}")
        outputs = Outputs(options.out or default_out(options.bag, bag.ros2), options.video)
        check_outputs(outputs, options.bag, bag.ros2)
        from_bag = options.camera is None
        if options.camera_info is not None and not from_bag:
            raise CopeError("--camera-info: not with --camera, whose file holds the intrinsics")
        topics = choose(bag.topics, options.image, options.camera_info, from_bag, options.depth)
        intrinsics = _intrinsics(bag, topics, options.camera)
        rectified = _rectified(options.rectified, topics.image.name, intrinsics.at(0))
        where = model_path(options.model)
        estimator = Estimator.load(where, options.device)
        estimator.configure(score_threshold=options.score_threshold, depth=topics.depth is not None)
        work = Work(
            bag=bag,
            image=topics.image,
            intrinsics=intrinsics,
            rectified=rectified,
            estimator=estimator,
            model=where,
            outputs=outputs,
            every=options.every,
            depth=_depth(bag, topics),
        )
        outcome = play(work)
        if bag.damage != known:
            _note(f"{options.bag}: {bag.damage}")
    return _conclude(work, outcome)


def _intrinsics(bag: Bag, topics: CameraTopics, camera: Path | None) -> Intrinsics:
    if camera is not None:
        size = _size_of_images(bag, topics.image)
        info = camera_info(camera, size)
        try:
            camera_from_info(info, rectified=False, size=size)
        except FrameError as error:
            raise CopeError(f"--camera {camera}: {error}") from error
        return Intrinsics([(0, info)])
    assert topics.info is not None
    infos = _recorded(bag, topics.info)
    if not len(infos):
        raise CopeError(f"{topics.info.name}: no message of it can be read; give --camera FILE")
    return infos


def _size_of_images(bag: Bag, topic: Topic) -> tuple[int, int]:
    """(width, height) px of the first image that can be read."""
    for _, message in _readable(bag, topic):
        try:
            return size_of(message)
        except FrameError:
            continue
    raise CopeError(f"{topic.name}: no image of it can be read")


def _recorded(bag: Bag, topic: Topic) -> Intrinsics:
    return Intrinsics((stamp_of(info, time), info) for time, info in _readable(bag, topic))


def _readable(bag: Bag, topic: Topic) -> Iterator[tuple[int, Any]]:
    """(ns of recording, message) of a topic's messages that are whole."""
    for connection, time, raw in bag.messages([topic.name]):
        try:
            yield time, bag.deserialize(connection, raw)
        except CopeError:
            continue


def _depth(bag: Bag, topics: CameraTopics) -> RecordedDepth | None:
    if topics.depth is None:
        return None
    infos = None if topics.depth_info is None else _recorded(bag, topics.depth_info)
    return RecordedDepth(bag, topics.depth.name, infos or None)


def _rectified(choice: str, topic: str, info: Any) -> bool:
    """Whether the pixels follow P alone; says so where it is a guess."""
    if choice in RECTIFIED:
        return RECTIFIED[choice]
    rectified = "rect" in topic.lower() or not is_distorted(info)
    if not rectified:
        _note(f"{topic} is taken for distorted, as its camera_info says, and is undistorted")
    return rectified


def _conclude(work: Work, outcome: Outcome) -> int:
    print(
        f"{outcome.processed} of {work.image.count} images of {work.image.name}, "
        f"{outcome.poses} poses, {outcome.rate:.1f} images/s"
    )
    if work.depth is not None:
        _tell_depth(work.depth)
    for text in outcome.notes.values():
        _note(text)
    for cause, (count, example) in outcome.dropped.items():
        _note(f"{count} images without poses ({cause}): {example}")
    print(f"written: {work.outputs.bag} ({outcome.messages} messages), {work.outputs.table}")
    if work.outputs.video is not None and outcome.processed:
        print(f"written: {work.outputs.video}")
    if outcome.interrupted:
        raise KeyboardInterrupt
    return OK if outcome.processed else BAD_INPUT


def _tell_depth(depth: RecordedDepth) -> None:
    share = 100 * depth.confirmed / max(depth.poses, 1)
    print(f"{depth.topic}: used for {depth.used} images, {share:.0f} % of their poses confirmed")
    for fault, count in depth.faults.items():
        _note(f"{count} times no depth ({fault.value}): {depth.reasons[fault]}")


def _note(text: str) -> None:
    print(f"cope_bag: note: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
