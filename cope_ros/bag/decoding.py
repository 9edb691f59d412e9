"""Recorded images to pixels, with cv_bridge's methods, by the library that comes with bags."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from rosbags.image import compressed_image_to_cvimage, image_to_cvimage
from rosbags.image.image import ImageError, to_cvtype


class BagBridge:
    """What ``rgb_from_image`` needs of a ``CvBridge``; errors are TypeErrors, as there."""

    def imgmsg_to_cv2(self, message: Any, desired_encoding: str) -> np.ndarray:
        """Pixels of a sensor_msgs/Image in another encoding; rows may be padded."""
        try:
            _, _, dtype, channels = to_cvtype(message.encoding)
            row = message.width * channels * np.dtype(dtype).itemsize
            data = np.asarray(message.data, dtype=np.uint8).reshape(message.height, message.step)
            dense: Any = SimpleNamespace(
                height=message.height,
                width=message.width,
                encoding=message.encoding,
                is_bigendian=bool(message.is_bigendian),
                data=np.ascontiguousarray(data[:, :row]),
            )
            return image_to_cvimage(dense, desired_encoding)
        except (ImageError, ValueError) as error:
            raise TypeError(str(error)) from error

    def compressed_imgmsg_to_cv2(self, message: Any, desired_encoding: str) -> Any:
        """Pixels of a sensor_msgs/CompressedImage as they are stored: grey or BGR."""
        try:
            return compressed_image_to_cvimage(message)
        except AssertionError:  # the library's word for data that OpenCV cannot decode
            return None
