"""QoS of topics that parameters may override: ``qos_overrides.<topic>.<kind>.<policy>``."""

from typing import Any

from rclpy.qos import QoSPolicyKind
from rclpy.qos_overriding_options import QoSOverridingOptions

from cope_ros.parameter_declaration import Spec, fault, shown

OVERRIDES = "qos_overrides."
POLICIES = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)
# What rclpy takes for them, in lower or upper case.
CHOICES = {
    "history": ("keep_last", "keep_all", "system_default"),
    "reliability": ("reliable", "best_effort", "system_default", "best_available"),
    "durability": ("volatile", "transient_local", "system_default", "best_available"),
}
DEEPEST = 10_000  # messages in a queue


def overridable() -> QoSOverridingOptions:
    """For a publisher or subscription whose QoS users may change."""
    return QoSOverridingOptions(POLICIES)


def override_names(topic: str, kind: str) -> list[str]:
    """The parameters of a resolved topic; ``kind``: subscription or publisher."""
    return [f"{OVERRIDES}{topic}.{kind}.{policy.name.lower()}" for policy in POLICIES]


def override_fault(name: str, value: Any) -> str | None:
    """Why an override cannot have a value, None where it can: what is expected and what came.

    Args:
        name: of one of :func:`override_names`; what others hold is not judged.
    """
    policy = name.rpartition(".")[2]
    if policy == "depth":
        return fault(Spec(name, "", span=(1, DEEPEST)), 1, value)
    words = CHOICES.get(policy, ())
    if not words or (isinstance(value, str) and value.lower() in words):
        return None
    return f"expected one of {', '.join(words)}; got {shown(value)}"
