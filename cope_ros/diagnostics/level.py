"""How a part of the node is judged."""

from enum import IntEnum


class Level(IntEnum):
    """diagnostic_msgs/DiagnosticStatus' levels."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


Verdict = tuple[Level, str, dict[str, str]]  # level, message, values
