"""From facts to what is wrong, in plain words, each with what to do. Knows no ROS."""

from collections.abc import Iterator
from typing import NamedTuple

from cope_ros.check.facts import Facts, TopicFacts

ERROR, STALE = 2, 3  # levels of diagnostics
ODD_AGE = 10.0  # s, beyond which clocks differ
ON_DEMAND = "on_demand"


class Cause(NamedTuple):
    """Something that is wrong."""

    text: str
    advice: str
    fatal: bool = True  # no poses can come


def causes(facts: Facts) -> list[Cause]:
    """What is wrong, the most fundamental first; nothing fatal where poses come."""
    if not facts.found:
        return [_absent(facts)]
    if facts.state != "active":
        return [_not_active(facts)]
    found = [*_inputs(facts), *_contents(facts), *_diagnosed(facts), *_remarks(facts)]
    if facts.instances is not None:  # poses come all the same
        return [cause._replace(fatal=False) for cause in found]
    if not any(cause.fatal for cause in found):
        found.append(_silent(facts))
    return found


def _absent(facts: Facts) -> Cause:
    if facts.others:
        text = f"there is no node {facts.wanted}, but {', '.join(facts.others)}"
        return Cause(text, f"cope_check {facts.others[0]}")
    return Cause(
        f"there is no node {facts.wanted}",
        "start it: ros2 launch cope_ros cope.launch.py; if it runs, compare ROS_DOMAIN_ID, "
        "RMW_IMPLEMENTATION and ROS_AUTOMATIC_DISCOVERY_RANGE of both shells",
    )


def _not_active(facts: Facts) -> Cause:
    if not facts.state:
        return Cause(f"{facts.wanted} does not answer", "its log says more; restart it")
    return Cause(
        f"{facts.wanted} is {facts.state}",
        f"ros2 lifecycle set {facts.wanted} "
        + ("activate" if facts.state == "inactive" else "configure, then activate")
        + "; if that fails the node's log names the parameter at fault",
    )


def _inputs(facts: Facts) -> Iterator[Cause]:
    for topic in facts.topics:
        if not topic.reads:
            continue
        needed = topic.label in ("image", "camera_info")
        if topic.fault is not None:
            yield Cause(topic.fault, _remedy(topic), needed)
        elif not topic.count and (topic.label != "camera_info" or facts.camera == ""):
            who = ", ".join(topic.nodes) or "somebody"
            text = f"nothing comes on {topic.name} although {who} publishes it"
            yield Cause(text, f"ros2 topic hz {topic.name}", needed)


def _remedy(topic: TopicFacts) -> str:
    if "QoS" in (topic.fault or ""):
        name = f"qos_overrides.{topic.name}.subscription.reliability"
        return f"set the publisher's QoS, or the node's: -p {name}:=best_effort (or .durability)"
    if "launch argument" in (topic.fault or ""):
        return "start the launch file with that argument, or remap the topic"
    name = "camera_info" if topic.label == "camera_info" else "image"
    example = "/camera/color/" + ("image_rect" if name == "image" else name)
    return f"start the camera's driver, or name its topic: {name}:={example}"


def _contents(facts: Facts) -> Iterator[Cause]:
    if facts.pairing is not None:
        yield Cause(facts.pairing, "camera_info has to come from the camera of the images")
    if facts.intrinsics is not None:
        yield Cause(facts.intrinsics, "calibrate the camera (ros2 run camera_calibration ...)")
    for note in facts.notes:
        yield Cause(note, "nothing to do if that is meant", fatal=False)
    image = facts.topic("image")
    if image is not None and image.count and not image.frame_id:
        text = "images have no frame_id: no TF frames are sent"
        yield Cause(text, "set it in the camera's driver", fatal=False)


def _diagnosed(facts: Facts) -> Iterator[Cause]:
    """What the node itself says; inputs and intrinsics were looked at above."""
    for status in facts.statuses:
        if status.level == ERROR and not any(w in status.name for w in ("input", "intrinsics")):
            yield Cause(f"{status.name}: {status.message}", "see /diagnostics")


def _remarks(facts: Facts) -> Iterator[Cause]:
    if facts.tf:
        frame = facts.values.get("target_frame", "")
        advice = f"ros2 run tf2_ros tf2_echo {frame} {_frame(facts)}"
        yield Cause(f"detections cannot be given in target_frame: {facts.tf}", advice)
    if facts.age is not None and abs(facts.age) > ODD_AGE:
        text = f"images are {facts.age:.0f} s old by this machine's clock"
        fatal = 0 < facts.values.get("max_age", 0.0) < facts.age
        advice = "compare clocks; with a bag or a simulator set use_sim_time everywhere"
        yield Cause(text, advice, fatal)


def _silent(facts: Facts) -> Cause:
    """Inputs are fine, and nothing was published."""
    if facts.values.get("mode") == ON_DEMAND:
        advice = f"ros2 service call {facts.wanted}/trigger std_srvs/srv/Trigger"
        return Cause("mode is on_demand: frames are processed when asked for", advice, False)
    said = [f"{s.name}: {s.message}" for s in facts.statuses if s.level]
    return Cause(
        f"images come, and nothing was published in {facts.seconds:.0f} s",
        "; ".join(said) or "the node's log and /diagnostics say more",
    )


def _frame(facts: Facts) -> str:
    image = facts.topic("image")
    return (image.frame_id if image is not None else None) or "CAMERA_FRAME"
