"""The process ``cope_node``: can be stopped from its first moment on."""

from cope_ros.stopping import Stopper


def main(args: list[str] | None = None) -> int:
    """Runs the node until it is told to stop; 1 where it cannot start or broke down.

    Args:
        args: of the command line, ``sys.argv`` by default.
    """
    stopper = Stopper()
    from cope_ros.process import run  # after the signals: torch alone takes seconds

    return stopper.leave(run(args, stopper))
