"""Reads a run's page as a browser would; for tests."""

from __future__ import annotations

import json
import re
from typing import Any


def frames_in(page: str) -> list[dict[str, Any]]:
    """The frames of the viewer."""
    data = re.search(r"<script id=data type=application/json>(.*?)</script>", page, re.DOTALL)
    assert data is not None
    frames: list[dict[str, Any]] = json.loads(data[1])["frames"]
    return frames


def check_alone(page: str) -> None:
    """The page asks for nothing outside of itself, and nothing is left to be filled in."""
    sources = re.findall(r'(?:src|href)="([^"]{0,40})', page)
    assert [s for s in sources if not s.startswith(("data:image/jpeg;base64,", "#"))] == []
    assert not re.search(r"@import|url\((?!#)", page)  # plots clip to parts of themselves
    assert "{{" not in page
    assert len(page.encode()) < 15e6
