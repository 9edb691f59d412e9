"""cv_bridge's method of decoding, by the library that comes with bags."""

from typing import Any

import numpy as np
from rosbags.image import image_to_cvimage
from rosbags.image.image import ImageError


class BagBridge:
    """What ``rgb_from_image`` needs of a ``CvBridge``; errors are TypeErrors, as there."""

    def imgmsg_to_cv2(self, message: Any, desired_encoding: str) -> np.ndarray:
        """Pixels of a dense sensor_msgs/Image in another encoding."""
        try:
            return image_to_cvimage(message, desired_encoding)
        except ImageError as error:
            raise TypeError(str(error)) from error
