"""A message as it is read record by record, without an index."""

from typing import NamedTuple


class Found(NamedTuple):
    """One message."""

    topic: str
    msgtype: str
    msgdef: str
    digest: str  # MD5 in ROS 1, "" in ROS 2: made from the definition
    time: int  # ns
    data: bytes
