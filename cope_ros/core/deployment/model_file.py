"""The exported model: one TorchScript file that carries its own description.

The interface is two functions, so that another export format can stand beside this one.
"""

import io
import json
import warnings
from pathlib import Path
from typing import Any

import torch

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.integrity import read_model, write_checksum
from cope_ros.core.detection.covariance import KEY as COVARIANCE
from cope_ros.core.detection.covariance import check_factors
from cope_ros.core.errors import CopeError

METADATA_FILE = "cope.json"  # TorchScript extra file
FORMAT = "cope_ros/1"
REQUIRED = ("format", "preset", "models_info", "input_size", "max_instances", "training", "metrics")
FILE = "file"  # key of the metadata that load_model adds about the file itself
SURFACE_POINTS = "surface_points"  # key of the metadata: how many per object, where depth is taken


def save_model(scripted: torch.jit.ScriptModule, metadata: dict[str, Any], path: Path) -> None:
    """Writes a scripted estimator with its metadata, and the file's checksum beside it.

    Args:
        metadata: JSON-serialisable; ``format`` is added here.
    """
    content = {"format": FORMAT, **metadata}
    content.pop(FILE, None)
    missing = [key for key in REQUIRED if key not in content]
    if missing:
        raise CopeError(f"{path}: metadata lacks {', '.join(missing)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    scripted.save(str(path), _extra_files={METADATA_FILE: json.dumps(content)})
    write_checksum(path)


def load_model(
    path: Path | str, device: torch.device
) -> tuple[torch.jit.ScriptModule, dict[str, Any]]:
    """Loads an exported estimator; needs none of the project's network code.

    Args:
        path: a ``model.pt`` or the directory that holds one.

    Returns:
        The model and its metadata, with ``file``: ``sha256`` and whether it was ``verified``
        against a checksum beside the file.

    Raises:
        CopeError: names the file and what was expected of it.
    """
    file, content, sha256, verified = read_model(path)
    extra = {METADATA_FILE: ""}
    try:
        with warnings.catch_warnings():
            # TorchScript is deprecated upstream, which every start of a node would repeat.
            warnings.simplefilter("ignore", FutureWarning)
            source = io.BytesIO(content)
            scripted = torch.jit.load(source, map_location=device, _extra_files=extra)
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CopeError(
            f"{file}: expected a TorchScript file, cannot load it ({reason})"
        ) from error
    metadata = _parse_metadata(extra[METADATA_FILE], file)
    metadata[FILE] = {"sha256": sha256, "verified": verified}
    class_ids = Catalogue.from_dict(metadata["models_info"], str(file)).class_ids
    check_factors(scripted, metadata.get(COVARIANCE), class_ids, str(file))
    return scripted.eval(), metadata


def _parse_metadata(text: str | bytes, file: Path) -> dict[str, Any]:
    if not text:
        raise CopeError(f"{file}: expected an export of cope_ros, found no {METADATA_FILE} inside")
    try:
        metadata = json.loads(text)
    except ValueError as error:
        raise CopeError(f"{file}: {METADATA_FILE}: expected JSON, got {error}") from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        found = metadata.get("format") if isinstance(metadata, dict) else type(metadata).__name__
        raise CopeError(f"{file}: expected format {FORMAT!r}, got {found!r}")
    missing = [key for key in REQUIRED if key not in metadata]
    if missing:
        raise CopeError(f"{file}: {METADATA_FILE} lacks {', '.join(missing)}")
    return metadata
