"""The known name that a misspelt one is likely to mean."""

import difflib
from collections.abc import Iterable

ALIKE = 0.8  # of two names, from 0 to 1, beyond which one is the other, misspelt
SOMEWHAT = 0.6  # difflib's default: worth a hint where the name is wrong in any case


def hint(name: str, known: Iterable[str], alike: float = SOMEWHAT) -> str:
    """``; did you mean '...'?``, empty where no known name is that much alike."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=alike)
    return f"; did you mean '{close[0]}'?" if close else ""
