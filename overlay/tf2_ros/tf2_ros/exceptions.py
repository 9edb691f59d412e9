"""Why a transform cannot be given; names and meaning as in ROS 2's tf2."""


class TransformException(Exception):  # noqa: N818 (the name is upstream's)
    """Any of the others."""


class LookupException(TransformException):
    """Nobody has ever spoken of a frame."""


class ConnectivityException(TransformException):
    """Two frames belong to different trees."""


class ExtrapolationException(TransformException):
    """The time asked for lies outside what has been received."""


class InvalidArgumentException(TransformException):
    """A frame's name or a transform is none."""
