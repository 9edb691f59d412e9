"""ROS image messages <-> NumPy arrays, with the interface and errors of ROS 2's cv_bridge.

As strict as upstream's (Jazzy, 4.1), faults included, so that what works here works there: rows
whose step is no multiple of the pixel come out sheared, and big-endian messages raise
AttributeError under NumPy 2.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

PASSTHROUGH = "passthrough"
# Full scale of 16 bits over full scale of 8 bits, exactly.
SCALE_8_TO_16 = 257
DEPTHS = {
    **{"8U": "uint8", "8S": "int8", "16U": "uint16", "16S": "int16"},
    **{"32S": "int32", "32F": "float32", "64F": "float64"},
}
TYPE_NAMES = {dtype: name for name, dtype in DEPTHS.items()}
GENERIC = re.compile(r"(8U|8S|16U|16S|32S|32F|64F)(?:C([0-9]+))?")
COLOUR = re.compile(r"(mono|rgb|bgr|rgba|bgra|bayer_(?:rggb|bggr|gbrg|grbg))(8|16)")
YUV = {"yuv422": "UYVY", "yuv422_yuy2": "YUY2"}
# OpenCV names a mosaic by the second row's second and third pixel.
MOSAICS = {"bayer_rggb": "BG", "bayer_bggr": "RG", "bayer_gbrg": "GR", "bayer_grbg": "GB"}
GRAY = {"mono": "GRAY"}
CHANNELS = {"rgb": 3, "bgr": 3, "rgba": 4, "bgra": 4}


class CvBridgeError(TypeError):
    """A message or an array that cannot be converted as asked."""


class CvBridge:
    """Converts between sensor_msgs images and OpenCV arrays; holds no state."""

    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = PASSTHROUGH) -> np.ndarray:
        """Return the pixels of an Image, (H, W) or (H, W, channels).

        Raises: CvBridgeError for an unknown encoding or a conversion that makes no sense,
        TypeError for data shorter than the size and step promise, AttributeError for big-endian
        messages under NumPy 2.
        """
        image = _unpack(img_msg)
        if desired_encoding == PASSTHROUGH:
            return image
        return _convert(image, img_msg.encoding, desired_encoding)

    def compressed_imgmsg_to_cv2(
        self, cmprs_img_msg: CompressedImage, desired_encoding: str = PASSTHROUGH
    ) -> Any:
        """Decode a jpeg, png or other OpenCV format, with the bits and channels it was stored in.

        As upstream, any conversion takes the decoded image to be bgr8; a grey one is therefore
        returned as it is for "bgr8" and refused for other colours. Data that OpenCV cannot decode
        are None, or refused for colours other than "bgr8".

        Raises: CvBridgeError for a conversion that makes no sense, cv2.error for no data at all.
        """
        data = np.frombuffer(cmprs_img_msg.data, dtype=np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        if desired_encoding == PASSTHROUGH:
            return image
        return _convert(image, "bgr8", desired_encoding)

    def cv2_to_imgmsg(
        self, cvim: np.ndarray, encoding: str = PASSTHROUGH, header: Header | None = None
    ) -> Image:
        """Pack an array (H, W) or (H, W, channels) into an Image without padding.

        Raises: TypeError unless `cvim` is an array, CvBridgeError if `encoding` is of another
        type or number of channels than `cvim`.
        """
        if not isinstance(cvim, np.ndarray):
            raise TypeError("Your input type is not a numpy array")
        array_type = _array_type(cvim)
        if encoding != PASSTHROUGH and _encoding_type(encoding) != array_type:
            raise CvBridgeError(
                f"encoding specified as {encoding}, but image has incompatible type {array_type}"
            )
        message = Image(height=cvim.shape[0], width=cvim.shape[1])
        if header is not None:
            message.header = header
        message.encoding = array_type if encoding == PASSTHROUGH else encoding
        message.is_bigendian = int(cvim.dtype.byteorder == ">")
        message.data.frombytes(cvim.tobytes())
        message.step = len(message.data) // max(message.height, 1)
        return message

    def cv2_to_compressed_imgmsg(
        self, cvim: np.ndarray, dst_format: str = "jpg"
    ) -> CompressedImage:
        """Encode an array as jpg, png or another format that OpenCV writes.

        Raises: TypeError unless `cvim` is an array, cv2.error for an unknown format.
        """
        if not isinstance(cvim, np.ndarray):
            raise TypeError("Your input type is not a numpy array")
        _, encoded = cv2.imencode(f".{dst_format}", cvim)
        message = CompressedImage(format=dst_format)
        message.data.frombytes(encoded.tobytes())
        return message


def _type_info(encoding: str) -> tuple[np.dtype[Any], int]:
    """Return (NumPy type, channels) of an encoding or raise CvBridgeError."""
    if encoding in YUV:
        return np.dtype("uint8"), 2
    if colour := COLOUR.fullmatch(encoding):
        return np.dtype(f"uint{colour[2]}"), CHANNELS.get(colour[1], 1)
    if generic := GENERIC.fullmatch(encoding):
        return np.dtype(DEPTHS[generic[1]]), int(generic[2] or 1)
    raise CvBridgeError(f"Unrecognized image encoding [{encoding}]")


def _encoding_type(encoding: str) -> str:
    """OpenCV's type name of an encoding, rgb8 -> 8UC3."""
    dtype, channels = _type_info(encoding)
    return f"{TYPE_NAMES[dtype.name]}C{channels}"


def _array_type(image: np.ndarray) -> str:
    """OpenCV's type name of an array, (H, W, 3) uint8 -> 8UC3."""
    if image.ndim not in (2, 3) or image.dtype.name not in TYPE_NAMES:
        raise CvBridgeError(f"no image type for shape {image.shape} and dtype {image.dtype}")
    channels = 1 if image.ndim == 2 else image.shape[2]
    return f"{TYPE_NAMES[image.dtype.name]}C{channels}"


def _unpack(message: Image) -> np.ndarray:
    """Copy the pixels out of a message; a step between two pixels is rounded down."""
    native, channels = _type_info(message.encoding)
    dtype = native.newbyteorder(">" if message.is_bigendian else "<")
    pixels = int(message.step / dtype.itemsize / channels)
    shape = (message.height, pixels) if channels == 1 else (message.height, pixels, channels)
    image = np.ascontiguousarray(np.ndarray(shape, dtype, buffer=message.data)[:, : message.width])
    if message.is_bigendian == (sys.byteorder == "little"):
        swapped: Any = image.byteswap()
        image = swapped.newbyteorder()  # gone in NumPy 2: upstream calls it all the same
    return image


def _convert(image: Any, source: str, target: str) -> np.ndarray:
    """Convert colour, then bit depth, between two encodings."""
    (source_dtype, source_channels), (dtype, channels) = _type_info(source), _type_info(target)
    if source == target:
        return image
    if image is None:
        raise CvBridgeError("cannot convert an empty image")
    if not (_is_colour(source) and _is_colour(target)):
        if not _is_colour(source) and _is_colour(target):
            raise CvBridgeError(
                f"[{source}] is not a color format. but [{target}] is. "
                "The conversion does not make sense"
            )
        if source_channels != channels:
            raise CvBridgeError(f"[{source}] and [{target}] do not have the same number of channel")
        return _convert_depth(image, dtype)
    try:
        image = _convert_colour(image, source, target)
    except cv2.error as error:
        raise CvBridgeError(str(error)) from error
    return _convert_depth(image, dtype) if source_dtype != dtype else image


def _is_colour(encoding: str) -> bool:
    return encoding in YUV or COLOUR.fullmatch(encoding) is not None


def _convert_colour(image: np.ndarray, source: str, target: str) -> np.ndarray:
    from_name, to_name = (e if e in YUV else e.rstrip("0168") for e in (source, target))
    if from_name == to_name:
        return image
    to = GRAY.get(to_name, to_name.upper())
    if from_name in YUV:
        code = f"COLOR_YUV2{to}_{YUV[from_name]}"
    elif from_name in MOSAICS and to_name in ("mono", "rgb", "bgr"):
        code = f"COLOR_Bayer{MOSAICS[from_name]}2{to}"
    else:
        code = f"COLOR_{GRAY.get(from_name, from_name.upper())}2{to}"
    if not hasattr(cv2, code) or to_name in MOSAICS or to_name in YUV:
        raise CvBridgeError(f"Unsupported conversion from [{source}] to [{target}]")
    if image.ndim == 2 and CHANNELS.get(from_name, 1) > 1:  # OpenCV 4 says so, OpenCV 5 converts
        raise CvBridgeError(f"Invalid number of channels in input image: 1 for [{source}]")
    return cv2.cvtColor(image, getattr(cv2, code))


def _convert_depth(image: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Scale between 8 and 16 bits (full scale to full scale, rounded); else a saturating cast."""
    if image.dtype == np.uint8 and dtype == np.uint16:
        return image.astype(np.uint16) * np.uint16(SCALE_8_TO_16)
    if image.dtype == np.uint16 and dtype == np.uint8:
        return np.rint(image / SCALE_8_TO_16).astype(np.uint8)
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        image = np.rint(np.clip(image.astype(float), bounds.min, bounds.max))
    return image.astype(dtype, copy=False)
