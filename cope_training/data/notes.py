"""Notes to whoever started the command: each said once, however often a folder is read."""

import logging

_said: set[str] = set()


def note_once(log: logging.Logger, message: str, *values: object) -> None:
    """Logs a warning that this process has not logged yet.

    Args:
        log: of the module that has something to say.
        message, values: as in ``logging.Logger.warning``.
    """
    text = message % values
    if text not in _said:
        _said.add(text)
        log.warning("%s", text)
