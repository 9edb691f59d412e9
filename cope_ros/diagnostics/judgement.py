"""From a snapshot of the node to one status per part that names the failing cause. Knows no ROS."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cope_ros.diagnostics.depth_judgement import judge_depth
from cope_ros.diagnostics.level import Level, Verdict
from cope_ros.diagnostics.snapshot import Snapshot
from cope_ros.input.drops import Cause

SILENCE = 3.0  # s without an image that make a fault of it
HANG = 10.0  # s on one frame that make a fault of it
ODD_AGE = 60.0  # s of age beyond which the stamps must come from another clock
UNPAIRED = (Cause.NO_CAMERA_INFO, Cause.FRAME_ID, Cause.SIZE, Cause.UNPAIRED)
ACTIVE = "active"


@dataclass(frozen=True)
class Status:
    """How one part of the node is doing."""

    part: str
    level: Level
    message: str
    values: Mapping[str, str]


def diagnose(s: Snapshot) -> list[Status]:
    """One status per part; before activation all of them are STALE."""
    parts = {
        "input": judge_input,
        "synchronisation": judge_synchronisation,
        "intrinsics": judge_intrinsics,
        "age": judge_age,
        "inference": judge_inference,
        "output": judge_output,
    }
    if s.depth is not None:
        parts["depth"] = judge_depth
    found = []
    for part, judge in parts.items():
        level, message, values = _with_notices(judge(s), s.notices.get(part, ()))
        if s.lifecycle != ACTIVE:
            level, message = Level.STALE, f"the node is {s.lifecycle}"
        found.append(Status(part, level, message, values))
    return found


def _with_notices(verdict: Verdict, notices: Sequence[str]) -> Verdict:
    """What was said once and still holds is a warning, unless there is worse."""
    level, message, values = verdict
    if not notices:
        return verdict
    if level in (Level.OK, Level.STALE):
        level, message = Level.WARN, notices[0]
    return level, message, values | {"warnings": "; ".join(notices)}


def judge_input(s: Snapshot) -> Verdict:
    """Do images and camera_info come in?"""
    values = {
        "image_rate_hz": f"{s.rate(s.recent.received):.1f}",
        "camera_info_rate_hz": f"{s.rate(s.recent.infos):.1f}",
        "images_received": str(s.total.received),
        "camera_infos_received": str(s.total.infos),
        "images_malformed": str(s.total.dropped.get(Cause.IMAGE, 0)),
    }
    for label, topic in (("image", s.image), ("camera_info", s.info)):
        if topic is not None:
            values |= {f"{label}_topic": topic.name, f"{label}_publishers": str(topic.publishers)}
    malformed = s.lost(Cause.IMAGE)
    for topic in (s.image, s.info):
        if topic is not None and topic.fault is not None:
            return Level.ERROR, topic.fault, values
    if s.silence > SILENCE and s.image is not None:
        text = f"no image on {s.image.name} for {s.silence:.0f} s although it has a publisher"
        return Level.ERROR if s.idle is None else Level.STALE, text, values
    if malformed:
        level = Level.WARN if s.recent.paired else Level.ERROR
        return level, f"{malformed} images refused: {s.reasons[Cause.IMAGE]}", values
    if not s.recent.received:
        return Level.STALE, "waiting for the first image", values
    rate = s.rate(s.recent.received)
    return Level.OK, f"{rate:.1f} Hz images, {s.rate(s.recent.infos):.1f} Hz camera_info", values


def judge_synchronisation(s: Snapshot) -> Verdict:
    """Do images find their camera_info?"""
    values = {"pairs": str(s.total.paired)}
    values |= {f"unpaired_{cause.value}": str(s.total.dropped.get(cause, 0)) for cause in UNPAIRED}
    lost = s.lost(*UNPAIRED)
    if lost:
        worst = max(UNPAIRED, key=lambda cause: s.lost(cause))
        level = Level.WARN if s.recent.paired else Level.ERROR
        text = f"{lost} images found no camera_info, {s.recent.paired} did ({worst.value}): "
        return level, text + s.reasons[worst], values
    if s.idle is not None:
        return Level.OK, s.idle, values
    if not s.recent.paired:
        return Level.STALE, "nothing to pair", values
    return Level.OK, f"{s.rate(s.recent.paired):.1f} Hz pairs", values


def judge_intrinsics(s: Snapshot) -> Verdict:
    """Is camera_info usable?"""
    values = {"refused": str(s.total.dropped.get(Cause.INTRINSICS, 0))}
    if s.intrinsics is not None:
        names = ("fx", "fy", "cx", "cy")
        values |= {n: f"{v:.2f}" for n, v in zip(names, s.intrinsics, strict=True)}
    if s.lost(Cause.INTRINSICS):
        return Level.ERROR, s.reasons[Cause.INTRINSICS], values
    if s.intrinsics is None:
        return Level.STALE, "no camera_info used yet", values
    return Level.OK, "fx {:.1f}, fy {:.1f}, cx {:.1f}, cy {:.1f} px".format(*s.intrinsics), values


def judge_age(s: Snapshot) -> Verdict:
    """Are the images fresh by the node's clock?"""
    dropped = s.lost(Cause.AGE)
    values = {"max_age_s": f"{s.max_age:g}", "dropped": str(s.total.dropped.get(Cause.AGE, 0))}
    if s.age is not None:
        values["age_s"] = f"{s.age:.3f}"
    odd = s.age is not None and abs(s.age) > ODD_AGE
    clocks = "; camera and node go by different clocks, check use_sim_time" if odd else ""
    if dropped:
        level = Level.WARN if s.recent.processed else Level.ERROR
        return level, f"{dropped} images dropped: {s.reasons[Cause.AGE]}{clocks}", values
    if s.age is None:
        return Level.STALE, "no image looked at yet", values
    if odd:
        return Level.WARN, f"the last image is {s.age:.0f} s old{clocks}", values
    return Level.OK, f"the last image was {1000 * s.age:.0f} ms old", values


def judge_inference(s: Snapshot) -> Verdict:
    """Does the estimator work, and where?"""
    values = _inference_values(s)
    failures = s.lost(Cause.ESTIMATE)
    if s.busy > HANG:
        return Level.ERROR, f"the estimator has worked on one frame for {s.busy:.0f} s", values
    if failures:
        level = Level.WARN if s.recent.processed else Level.ERROR
        return level, f"{failures} frames failed: {s.reasons[Cause.ESTIMATE]}", values
    if s.model is not None and s.model.fallback is not None:
        level = Level.WARN if s.model.asked == "auto" else Level.ERROR
        return level, f"CUDA failed, running on the CPU: {s.model.fallback}", values
    if s.idle is not None:
        return Level.OK, s.idle, values
    if s.instances is None:
        return Level.STALE, "no frame processed yet", values
    rate = s.rate(s.recent.processed)
    return Level.OK, f"{rate:.1f} Hz, p50 {1000 * s.latency.p50:.0f} ms", values


def _inference_values(s: Snapshot) -> dict[str, str]:
    values = {
        "rate_hz": f"{s.rate(s.recent.processed):.1f}",
        "latency_p50_ms": f"{1000 * s.latency.p50:.1f}",
        "latency_p99_ms": f"{1000 * s.latency.p99:.1f}",
        "estimate_p50_ms": f"{1000 * s.estimate.p50:.1f}",
        "estimate_p99_ms": f"{1000 * s.estimate.p99:.1f}",
        "superseded": str(s.total.dropped.get(Cause.SUPERSEDED, 0)),
        "failed": str(s.total.dropped.get(Cause.ESTIMATE, 0)),
    }
    values |= {f"stage_{n}_p50_ms": f"{1000 * t.p50:.1f}" for n, t in s.stages.items()}
    if s.model is not None:
        values |= {
            "device": s.model.device,
            "device_parameter": s.model.asked,
            "model": s.model.path,
            "model_sha256": s.model.sha256[:12],
            "preset": s.model.preset,
        }
    if s.rss_mib is not None:
        values["rss_mib"] = f"{s.rss_mib:.0f}"
    if s.gpu_mib is not None:
        values["gpu_mib"] = f"{s.gpu_mib:.0f}"
    return values


def judge_output(s: Snapshot) -> Verdict:
    """Does anything leave, and does anybody listen?"""
    values = {
        "rate_hz": f"{s.rate(s.recent.processed):.1f}",
        "frames_published": str(s.total.processed),
        "instances": str(s.instances or 0),
    }
    values |= {f"subscribers_{name}": str(count) for name, count in s.subscribers.items()}
    values |= {f"dropped_{cause.value}": str(s.total.dropped.get(cause, 0)) for cause in Cause}
    if s.idle is not None:
        return Level.OK, s.idle, values
    lost = s.lost(Cause.TRANSFORM)
    if lost:
        level = Level.WARN if s.recent.processed else Level.ERROR
        return level, f"{lost} frames dropped: {s.reasons[Cause.TRANSFORM]}", values
    if not s.recent.processed:
        level = Level.ERROR if s.recent.received and not s.busy else Level.STALE
        return level, "nothing published; see the other parts", values
    rate = s.rate(s.recent.processed)
    listeners = s.subscribers.get("detections", 0)
    heard = f"{listeners} listen" if listeners else "nobody listens"
    return Level.OK, f"{rate:.1f} Hz, {s.instances} instances, {heard}", values
