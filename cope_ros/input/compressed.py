"""sensor_msgs/CompressedImage -> stored pixels and what they are. Knows no ROS.

``format`` is written by compressed_image_transport as ``<encoding>; <codec> compressed <stored>``:
the encoding of the raw image, jpeg or png, and the encoding in which it was stored, which older
releases leave out. Others write the codec alone.
"""

import re
from typing import Any, NamedTuple

import cv2
import numpy as np

from cope_ros.input.drops import Cause, FrameError
from cope_ros.input.encodings import BAYER, TYPE_ALONE, spelt
from cope_ros.input.image_header import encoded_size, is_whole

COLOUR = re.compile(r"(rgb|bgr)a?(8|16)")


class Format(NamedTuple):
    """The parts of ``format``, "" where it does not tell."""

    encoding: str  # of the raw image
    codec: str
    stored: str  # the encoding of the pixels that went into the codec


def read_format(text: str) -> Format:
    """Reads ``format``.

    Raises:
        FrameError: (cause IMAGE) no picture of colours or greys.
    """
    if "compresseddepth" in text.lower():
        raise _refusal(f"expected a picture, got compressedDepth (format '{text[:60]}')")
    encoding, separator, rest = (part.strip() for part in text.partition(";"))
    words = rest.split() if separator else encoding.split()
    codec = words[0].lower() if words else ""
    stored = spelt(words[2]) if len(words) > 2 else ""
    return Format(spelt(encoding) if separator else "", codec, stored)


def stated_size(message: Any) -> tuple[int, int]:
    """(width, height) px that the image's own header states, before anything is decoded.

    Raises:
        FrameError: (cause IMAGE) not a picture, or not one that can be decoded here.
    """
    read_format(message.format)
    try:
        return encoded_size(memoryview(message.data))  # of numpy's numbers, products would overflow
    except FrameError as error:
        raise FrameError(Cause.IMAGE, f"{error} (format '{message.format[:60]}')") from error


def decompress(message: Any, assumed: str = "") -> tuple[np.ndarray, str]:
    """Decodes a jpeg or png image; EXIF's orientation is not applied, camera_info knows none.

    Args:
        assumed: what 8UC3 and the like hold.

    Returns:
        (H, W) or (H, W, channels) uint8 or uint16, and the encoding that tells what they are.

    Raises:
        FrameError: (cause IMAGE) not a picture, or cut off.
        cv2.error: OpenCV cannot decode it.
    """
    form = read_format(message.format)
    data = np.frombuffer(message.data, dtype=np.uint8)
    if not is_whole(data.tobytes()):
        raise _refusal(f"expected a whole file, got one cut off after {len(data)} bytes")
    # Unchanged: 16 bits stay, a mosaic stays gray, and no pixel is turned.
    # Cut off files are refused before: some versions of OpenCV fill them with gray.
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if image is None:
        text = f"expected jpeg or png data, got {len(data)} undecodable bytes"
        raise _refusal(f"{text} (format '{message.format[:60]}')")
    return image, _encoding_of(image, form, assumed)


def _encoding_of(image: np.ndarray, form: Format, assumed: str) -> str:
    bits = 8 * image.itemsize
    if image.ndim == 2:
        raw = assumed if assumed and TYPE_ALONE.fullmatch(form.encoding) else form.encoding
        mosaic = raw.rstrip("0123456789")
        # Stored as mono8 it was made gray before; else it is the sensor's mosaic.
        return f"{mosaic if mosaic in BAYER and not form.stored else 'mono'}{bits}"
    order = "rgb" if _stored_as_rgb(form, assumed) else "bgr"
    return f"{order}{'a' if image.shape[2] == 4 else ''}{bits}"


def _stored_as_rgb(form: Format, assumed: str) -> bool:
    """Whether what the codec takes for blue is red.

    compressed_image_transport stores BGR, as the codecs expect, and says so; where the format of
    a colour image does not, its channels went in as RGB.
    """
    if COLOUR.fullmatch(form.stored):
        return form.stored.startswith("rgb")
    if COLOUR.fullmatch(form.encoding):
        return True
    return TYPE_ALONE.fullmatch(form.encoding) is not None and assumed.startswith("rgb")


def _refusal(message: str) -> FrameError:
    return FrameError(Cause.IMAGE, f"image: {message}")
