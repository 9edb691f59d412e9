"""The text of ``cope_check``: what a maintainer asks for in a bug report, then what is wrong."""

from collections.abc import Iterator, Sequence

from cope_ros.check.causes import Cause
from cope_ros.check.facts import Facts, TopicFacts

LEVELS = ("OK", "WARN", "ERROR", "STALE")


def report(facts: Facts, found: Sequence[Cause]) -> str:
    """All lines."""
    return "\n".join([*_body(facts), "", *_verdict(facts, found)])


def _body(facts: Facts) -> Iterator[str]:
    state = facts.state or ("no answer" if facts.found else "not there")
    yield f"node        {facts.wanted}: {state}"
    for name, value in sorted(facts.parameters.items()):
        yield f"  {name}: {value}"
    for topic in facts.topics:
        yield from _topic(topic)
    if facts.camera:
        yield f"intrinsics  {facts.camera}"
    if facts.age is not None:
        yield f"image age   {facts.age:.3f} s by this machine's clock"
    if facts.tf is not None:
        yield f"TF          {facts.tf or 'target_frame can be reached'}"
    for status in facts.statuses:
        yield f"{LEVELS[min(status.level, 3)]:<6}      {status.name}: {status.message}"
    yield "versions    " + ", ".join(f"{name} {value}" for name, value in facts.versions.items())


def _topic(topic: TopicFacts) -> Iterator[str]:
    rate = f"{topic.rate:.1f} Hz" if topic.count > 1 else f"{topic.count} messages"
    facts = [rate, topic.encoding]
    facts += ["{}x{} px".format(*topic.size)] if topic.size else []
    facts += [] if topic.frame_id is None else [f"frame_id '{topic.frame_id}'"]
    yield f"{topic.label:<12}{topic.name} ({topic.kind}): {', '.join(filter(None, facts))}"
    if topic.qos:
        yield f"  {'reads' if topic.reads else 'sends'} {topic.qos}"
    for node in topic.nodes:
        yield f"  {'from' if topic.reads else 'to'} {node}"


def _verdict(facts: Facts, found: Sequence[Cause]) -> Iterator[str]:
    if facts.instances is not None:
        yield f"poses come: {facts.instances} instances in the newest image"
    elif not any(cause.fatal for cause in found):
        yield "nothing keeps poses from coming"
    else:
        yield "no poses come:"
    for number, cause in enumerate(found, 1):
        yield f"{number}. {cause.text}"
        yield f"   -> {cause.advice}"
