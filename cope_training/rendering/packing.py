"""Packing of rectangles in rows, for texture sheets and silhouette sheets."""

import numpy as np

Tile = tuple[int, int, int, int, int]  # index, x, y, width, height


def pack_rows(sizes: np.ndarray, width: int, height: int) -> list[list[Tile]]:
    """Places tiles in rows, tallest first, on as many sheets as that takes.

    Args:
        sizes: (N, 2) int widths and heights, none larger than a sheet.
        width: of a sheet.
        height: of a sheet.

    Returns:
        For each sheet its tiles; every tile lies on exactly one sheet.
    """
    sheets: list[list[Tile]] = []
    x, y, row_height = width, height, 0
    for i in np.argsort(-sizes[:, 1], kind="stable"):
        w, h = int(sizes[i, 0]), int(sizes[i, 1])
        if x + w > width:
            x, y, row_height = 0, y + row_height, h
        if not sheets or y + h > height:
            sheets.append([])
            x, y, row_height = 0, 0, h
        sheets[-1].append((int(i), x, y, w, h))
        x += w
    return sheets
