"""ROS image messages <-> NumPy arrays, with the interface and errors of ROS 2's cv_bridge.

Colour conversion is `rosbags.image`'s; row padding, byte order, bit depth and the rules for which
conversions make sense are handled here, as upstream's cv_bridge (Jazzy, 4.1) handles them.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from rosbags.image.image import Format, ImageError, convert_color, to_cvtype
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

PASSTHROUGH = "passthrough"
# Chroma in separate planes: the message's height no longer counts the rows of data.
PLANAR_FORMATS = (Format.YUV_NV12, Format.YUV_NV21)
# Full scale of 16 bits over full scale of 8 bits, exactly.
SCALE_8_TO_16 = 257
TYPE_NAMES = {
    **{"uint8": "8U", "int8": "8S", "uint16": "16U", "int16": "16S"},
    **{"int32": "32S", "float32": "32F", "float64": "64F"},
}


class CvBridgeError(TypeError):
    """A message or an array that cannot be converted as asked."""


class CvBridge:
    """Converts between sensor_msgs images and OpenCV arrays; holds no state."""

    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = PASSTHROUGH) -> np.ndarray:
        """Return the pixels of an Image, (H, W) or (H, W, channels), native byte order.

        Raises: CvBridgeError for an unknown encoding or a conversion that makes no sense,
        TypeError for data shorter than the size and step promise.
        """
        image = _unpack(img_msg)
        if desired_encoding == PASSTHROUGH:
            return image
        return _convert(image, img_msg.encoding, desired_encoding)

    def compressed_imgmsg_to_cv2(
        self, cmprs_img_msg: CompressedImage, desired_encoding: str = PASSTHROUGH
    ) -> np.ndarray:
        """Decode a jpeg, png or other OpenCV format, 8 or 16 bits, grey or BGR.

        As upstream, any conversion takes the decoded image to be bgr8; a grey one is therefore
        returned as it is for "bgr8" and refused for other colours.

        Raises: CvBridgeError for data that OpenCV cannot decode or convert.
        """
        data = np.frombuffer(cmprs_img_msg.data, dtype=np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_ANYCOLOR) if data.size else None
        if image is None:
            raise CvBridgeError(f"cannot decode the image (format {cmprs_img_msg.format!r})")
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

        Raises: TypeError unless `cvim` is an array, CvBridgeError for an unknown format.
        """
        if not isinstance(cvim, np.ndarray):
            raise TypeError("Your input type is not a numpy array")
        try:
            _, encoded = cv2.imencode(f".{dst_format}", cvim)
        except cv2.error as error:
            raise CvBridgeError(str(error)) from error
        message = CompressedImage(format=dst_format)
        message.data.frombytes(encoded.tobytes())
        return message


def _type_info(encoding: str) -> tuple[Format, np.dtype[Any], int]:
    """Return (colour format, NumPy type, channels) of an encoding or raise CvBridgeError."""
    try:
        _, colour, dtype, channels = to_cvtype(encoding)
    except ImageError as error:
        raise CvBridgeError(f"Unrecognized image encoding [{encoding}]") from error
    if colour in PLANAR_FORMATS:
        raise CvBridgeError(f"Unrecognized image encoding [{encoding}]")
    return colour, np.dtype(dtype), channels


def _encoding_type(encoding: str) -> str:
    """OpenCV's type name of an encoding, rgb8 -> 8UC3."""
    _, dtype, channels = _type_info(encoding)
    return f"{TYPE_NAMES[dtype.name]}C{channels}"


def _array_type(image: np.ndarray) -> str:
    """OpenCV's type name of an array, (H, W, 3) uint8 -> 8UC3."""
    if image.ndim not in (2, 3) or image.dtype.name not in TYPE_NAMES:
        raise CvBridgeError(f"no image type for shape {image.shape} and dtype {image.dtype}")
    channels = 1 if image.ndim == 2 else image.shape[2]
    return f"{TYPE_NAMES[image.dtype.name]}C{channels}"


def _unpack(message: Image) -> np.ndarray:
    """Copy the pixels out of a message: padding dropped, byte order native."""
    _, native, channels = _type_info(message.encoding)
    dtype = native.newbyteorder(">" if message.is_bigendian else "<")
    shape = (message.height, message.width, channels)
    pixel = dtype.itemsize * channels
    if message.step < message.width * pixel:
        raise TypeError(f"step {message.step} is less than {message.width} pixels of {pixel} bytes")
    if len(message.data) < message.height * message.step:
        raise TypeError(
            f"buffer is too small: {message.height} rows of {message.step} bytes needed"
        )
    strides = (message.step, pixel, dtype.itemsize)
    image = np.ndarray(shape, dtype, buffer=message.data, strides=strides).astype(native)
    return image[:, :, 0] if channels == 1 else image


def _convert(image: np.ndarray, source: str, target: str) -> np.ndarray:
    """Convert colour, then bit depth, between two encodings."""
    source_colour, _, source_channels = _type_info(source)
    target_colour, target_dtype, target_channels = _type_info(target)
    if source == target:
        return image
    if (1 if image.ndim == 2 else image.shape[2]) != source_channels:
        raise CvBridgeError(f"[{source}] has {source_channels} channels, the image {image.shape}")
    if source_colour == Format.GENERIC and target_colour != Format.GENERIC:
        raise CvBridgeError(
            f"[{source}] is not a color format. but [{target}] is. "
            "The conversion does not make sense"
        )
    if Format.GENERIC in (source_colour, target_colour):
        if source_channels != target_channels:
            raise CvBridgeError(f"[{source}] and [{target}] do not have the same number of channel")
        return _convert_depth(image, target_dtype)
    try:
        image = convert_color(image, source, _with_depth_of(target, source))
    except (ImageError, cv2.error) as error:
        raise CvBridgeError(str(error)) from error
    return _convert_depth(image, target_dtype)


def _with_depth_of(target: str, source: str) -> str:
    """Name of the colour of `target` in the bit depth of `source`: rgb8, mono16 -> rgb16."""
    if not target.endswith(("8", "16")):
        return target
    depth = "16" if _type_info(source)[1] == np.uint16 else "8"
    return target.removesuffix("16").removesuffix("8") + depth


def _convert_depth(image: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Scale between 8 and 16 bits (full scale to full scale, rounded); else a plain cast."""
    if image.dtype == np.uint8 and dtype == np.uint16:
        return image.astype(np.uint16) * np.uint16(SCALE_8_TO_16)
    if image.dtype == np.uint16 and dtype == np.uint8:
        return np.rint(image / SCALE_8_TO_16).astype(np.uint8)
    return image.astype(dtype, copy=False)
