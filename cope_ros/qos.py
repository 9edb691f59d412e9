"""QoS of topics that parameters may override: ``qos_overrides.<topic>.<kind>.<policy>``."""

from rclpy.qos import QoSPolicyKind
from rclpy.qos_overriding_options import QoSOverridingOptions

OVERRIDES = "qos_overrides."
POLICIES = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)


def overridable() -> QoSOverridingOptions:
    """For a publisher or subscription whose QoS users may change."""
    return QoSOverridingOptions(POLICIES)


def override_names(topic: str, kind: str) -> list[str]:
    """The parameters of a resolved topic; ``kind``: subscription or publisher."""
    return [f"{OVERRIDES}{topic}.{kind}.{policy.name.lower()}" for policy in POLICIES]
