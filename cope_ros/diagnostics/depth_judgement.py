"""Does depth come in, fit the images, and agree with the objects? Knows no ROS."""

from cope_ros.diagnostics.level import Level, Verdict
from cope_ros.diagnostics.snapshot import DepthState, Snapshot
from cope_ros.input.depth_image import Fault

DOUBT = 20  # instances of which none is confirmed that make a warning


def judge_depth(s: Snapshot) -> Verdict:
    """The depth input; only where depth.mode is not off."""
    depth = s.depth
    assert depth is not None
    values = _values(s, depth)
    bad = Level.ERROR if depth.required else Level.WARN
    if depth.topic is not None and depth.topic.fault is not None:
        return bad, depth.topic.fault, values
    recent = depth.recent
    lost = sum(recent.faults.values())
    if lost:
        worst = max(recent.faults, key=lambda fault: recent.faults[fault])
        level = Level.WARN if recent.matched else bad
        text = f"{recent.matched} images found their depth, {lost} times not ({worst.value}): "
        return level, text + depth.reasons[worst], values
    if s.idle is not None:
        return Level.OK, s.idle, values
    if not recent.matched:
        return Level.STALE, "no image has found its depth yet", values
    if recent.instances >= DOUBT and not recent.confirmed:
        text = f"depth contradicts all of the last {recent.instances} poses: transparent or shiny "
        return Level.WARN, text + "objects, or depth that is not registered", values
    share = 100 * recent.confirmed / max(recent.instances, 1)
    rate = s.rate(recent.received)
    return Level.OK, f"{rate:.1f} Hz depth images, {share:.0f} % of the poses confirmed", values


def _values(s: Snapshot, depth: DepthState) -> dict[str, str]:
    total, recent = depth.total, depth.recent
    values = {
        "depth_rate_hz": f"{s.rate(recent.received):.1f}",
        "depth_images_received": str(total.received),
        "matched": str(total.matched),
        "instances": str(total.instances),
        "instances_confirmed": str(total.confirmed),
    }
    values |= {fault.value: str(total.faults.get(fault, 0)) for fault in Fault}
    if depth.topic is not None:
        values |= {"depth_topic": depth.topic.name}
        values |= {"depth_publishers": str(depth.topic.publishers)}
    return values
