"""The one exception of the core that callers are meant to handle."""


class CopeError(ValueError):
    """Bad input from outside: a file, a key or an argument.

    The message names the source (file, key), what was expected and what was found.
    """
