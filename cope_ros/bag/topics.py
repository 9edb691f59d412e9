"""Which topics of a bag are the camera's: the one candidate there is, or the one that was named."""

from collections.abc import Sequence
from dataclasses import dataclass

from cope_ros.core.errors import CopeError

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
INFO_TYPE = "sensor_msgs/msg/CameraInfo"
DEPTH_WORDS = ("depth", "disparity", "infra", "confidence")  # in the names of other images
TRANSPORTS = (
    "compressed",
    "compressedDepth",
    "raw",
)  # last part of an image topic that is not the camera's name


@dataclass(frozen=True)
class Topic:
    """A topic of a bag."""

    name: str
    msgtype: str
    count: int  # messages


@dataclass(frozen=True)
class CameraTopics:
    """What is read of a bag."""

    image: Topic
    info: Topic | None  # None: the intrinsics come from a file
    depth: Topic | None = None  # where it is asked for
    depth_info: Topic | None = None  # None: depth images have the colour camera's field of view


def choose(
    topics: Sequence[Topic],
    image: str | None,
    info: str | None,
    needs_info: bool,
    depth: str | None = None,
) -> CameraTopics:
    """The camera's topics.

    Args:
        image, info: names that were asked for, None to guess.
        needs_info: whether intrinsics must come from the bag.
        depth: name of the topic of depth images, None for none.

    Raises:
        CopeError: none fits, or several do; the message lists what there is.
    """
    found = _image(topics, image)
    found_info = _info(topics, found, info) if needs_info else None
    if depth is None:
        return CameraTopics(found, found_info)
    images = [topic for topic in topics if topic.msgtype in IMAGE_TYPES and topic.count]
    others = [topic for topic in images if topic != found]
    found_depth = _named(others, depth, "depth image", "--depth")
    infos = [t for t in topics if t.msgtype == INFO_TYPE and t.count]
    beside = next((t for t in infos if t.name in _beside(found_depth.name)), None)
    return CameraTopics(found, found_info, found_depth, None if beside == found_info else beside)


def _image(topics: Sequence[Topic], wanted: str | None) -> Topic:
    images = [topic for topic in topics if topic.msgtype in IMAGE_TYPES and topic.count]
    if wanted is not None:
        return _named(images, wanted, "image", "--image")
    colour = [t for t in images if not any(word in t.name.lower() for word in DEPTH_WORDS)]
    names = {topic.name for topic in colour}  # of one camera the raw images, where there are both
    colour = [t for t in colour if t.name.rpartition("/")[0] not in names]
    return _only(colour, images, "image", "--image")


def _info(topics: Sequence[Topic], image: Topic, wanted: str | None) -> Topic:
    infos = [topic for topic in topics if topic.msgtype == INFO_TYPE and topic.count]
    if wanted is not None:
        return _named(infos, wanted, "camera_info", "--camera-info")
    if not infos:
        raise CopeError(
            "no sensor_msgs/CameraInfo in the bag: give the intrinsics with --camera FILE"
        )
    beside = [topic for topic in infos if topic.name in _beside(image.name)]
    return _only(beside or infos, infos, "camera_info", "--camera-info")


def _beside(image: str) -> set[str]:
    """Names under which drivers publish the camera_info of an image topic."""
    parts = image.split("/")
    if parts[-1] in TRANSPORTS:
        parts = parts[:-1]
    return {"/".join([*parts[:-1], "camera_info"]), "/".join([*parts, "camera_info"])}


def _named(candidates: Sequence[Topic], wanted: str, kind: str, option: str) -> Topic:
    for topic in candidates:
        if topic.name == wanted or topic.name == f"/{wanted}":
            return topic
    raise CopeError(f"{option} {wanted}: no such {kind} topic in the bag; {_listed(candidates)}")


def _only(candidates: Sequence[Topic], others: Sequence[Topic], kind: str, option: str) -> Topic:
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise CopeError(f"no {kind} topic in the bag; {_listed(others)}")
    raise CopeError(
        f"{len(candidates)} {kind} topics in the bag: choose with {option}; {_listed(candidates)}"
    )


def _listed(topics: Sequence[Topic]) -> str:
    if not topics:
        return "it has none of that type"
    return "there are " + ", ".join(f"{t.name} ({t.count})" for t in topics)
