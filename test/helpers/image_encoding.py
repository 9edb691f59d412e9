"""Raw images as cameras send them: any encoding, with padding, in any byte order."""

import array

import cv2
import numpy as np
from node_fakes import FRAME, time_of
from sensor_msgs.msg import Image

SAME = {
    **{"uyvy": "yuv422", "yuyv": "yuv422_yuy2"},
    **{"8UC1": "mono8", "8U": "mono8", "16UC1": "mono16", "16U": "mono16"},
}


def smooth_rgb() -> np.ndarray:
    """(48, 64, 3) with three different gradients, so that swapped channels show."""
    v, u = np.mgrid[:48, :64]
    return np.stack([40 + 2 * u, 220 - 3 * v, 100 + u + v], axis=2).astype(np.uint8)


def pack(rgb: np.ndarray, encoding: str, padding: int, big: int = 0) -> Image:
    """A sensor_msgs/Image with ``padding`` bytes of rubbish after each row."""
    rows = encode(rgb, SAME.get(encoding, encoding))
    if rows.dtype == np.uint16:
        rows = rows.astype(">u2" if big else "<u2")
    packed = np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint8)
    packed = np.pad(packed, ((0, 0), (0, padding)), constant_values=99)
    message = Image(height=rgb.shape[0], width=rgb.shape[1], encoding=encoding, is_bigendian=big)
    message.header.frame_id, message.header.stamp = FRAME, time_of(1)
    message.step = packed.shape[1]
    message.data = array.array("B", packed.tobytes())
    return message


def encode(rgb: np.ndarray, encoding: str) -> np.ndarray:
    """Rows (H, ...) of uint8 or native uint16; of planar images all planes below each other."""
    if encoding.startswith("nv"):
        return _planes(rgb, vu=encoding == "nv21")
    if encoding in ("yuv422", "yuv422_yuy2"):
        return _pairs(rgb, luma_first=encoding == "yuv422_yuy2")
    name, wide = encoding.rstrip("0168"), encoding.endswith("16")
    pixels = _mosaic(rgb, name[6:]) if name.startswith("bayer") else _channels(rgb, name)
    return pixels.astype(np.uint16) * 257 if wide else pixels


def _channels(rgb: np.ndarray, name: str) -> np.ndarray:
    if name == "mono":
        return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    colours = rgb if name.startswith("rgb") else rgb[:, :, ::-1]
    alpha = np.full((*rgb.shape[:2], 1), 7, np.uint8)
    return np.concatenate([colours, alpha], 2) if name.endswith("a") else colours


def _mosaic(rgb: np.ndarray, pattern: str) -> np.ndarray:
    """``pattern``: the colours of the first two pixels of the first two rows."""
    mosaic = np.empty(rgb.shape[:2], np.uint8)
    for at, letter in enumerate(pattern):
        row, column = divmod(at, 2)
        mosaic[row::2, column::2] = rgb[row::2, column::2, "rgb".index(letter)]
    return mosaic


def _ycbcr(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Luma (H, W) and chroma (H, W, 2), BT.601 with video range, as cameras send it."""
    y, cr, cb = np.moveaxis(cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb).astype(float), 2, 0)
    chroma = np.stack([cb, cr], 2) * 224 / 255 + 128 * (1 - 224 / 255)
    return (16 + y * 219 / 255).round(), chroma.round()


def _pairs(rgb: np.ndarray, luma_first: bool) -> np.ndarray:
    """(H, W, 2), W made even: two pixels share their chroma."""
    y, chroma = (np.pad(part, [(0, 0), (0, rgb.shape[1] % 2)] + [(0, 0)] * (part.ndim - 2),
                        mode="edge") for part in _ycbcr(rgb))  # fmt: skip
    packed = np.empty((*y.shape, 2), np.uint8)
    packed[:, :, 0 if luma_first else 1] = y
    packed[:, ::2, 1 if luma_first else 0] = chroma[:, ::2, 0]
    packed[:, 1::2, 1 if luma_first else 0] = chroma[:, ::2, 1]
    return packed


def _planes(rgb: np.ndarray, vu: bool) -> np.ndarray:
    """(H + ceil(H / 2), W made even): luma, then chroma of every second row and column."""
    y, chroma = _ycbcr(rgb)
    y = np.pad(y, ((0, 0), (0, rgb.shape[1] % 2)), mode="edge")
    half = chroma[::2, ::2]
    rows = (half[:, :, ::-1] if vu else half).reshape(len(half), -1)
    return np.concatenate([y, rows]).astype(np.uint8)
