"""The exported model: one TorchScript file that carries its own description.

The interface is two functions, so that another export format can stand beside this one.
"""

import json
import warnings
from pathlib import Path
from typing import Any

import torch

from cope_ros.core.errors import CopeError

METADATA_FILE = "cope.json"  # TorchScript extra file
FORMAT = "cope_ros/1"
REQUIRED = ("format", "preset", "models_info", "input_size", "max_instances", "training", "metrics")
MODEL_NAME = "model.pt"  # inside a model directory


def save_model(scripted: torch.jit.ScriptModule, metadata: dict[str, Any], path: Path) -> None:
    """Writes a scripted estimator with its metadata.

    Args:
        metadata: JSON-serialisable; ``format`` is added here.
    """
    content = {"format": FORMAT, **metadata}
    missing = [key for key in REQUIRED if key not in content]
    if missing:
        raise CopeError(f"{path}: metadata lacks {', '.join(missing)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    scripted.save(str(path), _extra_files={METADATA_FILE: json.dumps(content)})


def load_model(
    path: Path | str, device: torch.device
) -> tuple[torch.jit.ScriptModule, dict[str, Any]]:
    """Loads an exported estimator; needs none of the project's network code.

    Args:
        path: a ``model.pt`` or the directory that holds one.

    Raises:
        CopeError: names the file and what was expected of it.
    """
    file = Path(path)
    file = file / MODEL_NAME if file.is_dir() else file
    if not file.is_file():
        raise CopeError(f"{file}: expected an exported model ({MODEL_NAME}), found no such file")
    extra = {METADATA_FILE: ""}
    try:
        with warnings.catch_warnings():
            # TorchScript is deprecated upstream, which every start of a node would repeat.
            warnings.simplefilter("ignore", FutureWarning)
            scripted = torch.jit.load(str(file), map_location=device, _extra_files=extra)
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CopeError(
            f"{file}: expected a TorchScript file, cannot load it ({reason})"
        ) from error
    return scripted.eval(), _parse_metadata(extra[METADATA_FILE], file)


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
