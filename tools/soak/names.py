"""What the processes of the soak share: nodes, topics, frames and files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "demo"
IMAGES = MODEL / "sequence"
# One node per transport; both run the same model and are watched alike.
RAW, COMPRESSED = "soak_raw", "soak_compressed"  # namespaces
NAMESPACES = (RAW, COMPRESSED)
RATE = 30.0  # Hz of the camera
COMPRESSED_RATE = 2.0  # Hz
GOOD_FRAME = "soak_camera_optical_frame"  # of true frames; malformed messages may claim it too
FUZZ_FRAME = "soak_fuzz_optical_frame"
SMALL_SIZES = ((64, 48), (32, 24), (40, 2))  # px, of fuzzed images that decode


def image_topic(namespace: str) -> str:
    """Where the node of that namespace expects its images."""
    suffix = "/compressed" if namespace == COMPRESSED else ""
    return f"/{namespace}/image_rect{suffix}"


def info_topic(namespace: str) -> str:
    """Where it expects its camera_info."""
    return f"/{namespace}/camera_info"


def write_counts(path: Path, counts: Mapping[str, Any]) -> None:
    """Replaces a small JSON file in one step, for another process reads it at any time."""
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(counts))
    draft.replace(path)


def read_counts(path: Path) -> dict[str, Any]:
    """What ``write_counts`` wrote last; empty before that."""
    return json.loads(path.read_text()) if path.exists() else {}
