"""Pictures of any depth and mode as 8-bit RGB."""

import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from cope_ros.core.errors import CopeError


def decode_picture(source: Path | BinaryIO, name: str) -> np.ndarray:
    """(H, W, 3) uint8 sRGB, as stored (an EXIF orientation is not applied).

    Gray and palette pictures become RGB, transparency is dropped, 16-bit values are scaled.

    Args:
        source: a file or a stream.
        name: for the message.

    Raises:
        CopeError: no picture, broken, or far too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of palettes and odd tags
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source) as image:
                return rgb_pixels(image)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise CopeError(f"{name!r} has too many pixels ({error})") from error
    except (OSError, ValueError, SyntaxError, EOFError, IndexError) as error:
        raise CopeError(f"{name!r} is no picture that can be read") from error


def rgb_pixels(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 of an opened picture.

    Raises:
        OSError, ValueError: as Pillow does, where it is broken.
    """
    if image.mode.startswith(("I", "F")):
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        gray = np.rint(values * (255.0 / _full_scale(image.mode, values.max(initial=0.0))))
        return np.repeat(gray.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def _full_scale(mode: str, largest: float) -> float:
    """The value of white: of 16-bit pictures 65535, of others what their values suggest."""
    if mode.startswith("I;16") or largest > 255.0:
        return 65535.0
    return 1.0 if mode == "F" and largest <= 1.0 else 255.0
