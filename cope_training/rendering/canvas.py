"""Pixel drawings for procedural labels, and their cover by few one-colour rectangles.

A canvas is an (H, W, 3) uint8 sRGB array, row 0 at the top, one pixel per millimetre of the
printed surface. Everything is drawn without anti-aliasing, so that large areas of one colour
stay exact and a mesh of one quad per rectangle shows the drawing sharply at any distance.
"""

from collections.abc import Iterator

import numpy as np

Color = tuple[int, int, int]

# 5x7 letters, one string of seven rows each; only what the demo labels need.
_GLYPHS = {
    "A": ".###. #...# #...# ##### #...# #...# #...#",
    "C": ".#### #.... #.... #.... #.... #.... .####",
    "E": "##### #.... #.... ####. #.... #.... #####",
    "G": ".#### #.... #.... #..## #...# #...# .####",
    "H": "#...# #...# #...# ##### #...# #...# #...#",
    "I": "##### ..#.. ..#.. ..#.. ..#.. ..#.. #####",
    "J": "..### ...#. ...#. ...#. ...#. #..#. .##..",
    "K": "#...# #..#. #.#.. ##... #.#.. #..#. #...#",
    "L": "#.... #.... #.... #.... #.... #.... #####",
    "M": "#...# ##.## #.#.# #.#.# #...# #...# #...#",
    "N": "#...# ##..# ##..# #.#.# #..## #..## #...#",
    "O": ".###. #...# #...# #...# #...# #...# .###.",
    "P": "####. #...# #...# ####. #.... #.... #....",
    "R": "####. #...# #...# ####. #.#.. #..#. #...#",
    "S": ".#### #.... #.... .###. ....# ....# ####.",
    "T": "##### ..#.. ..#.. ..#.. ..#.. ..#.. ..#..",
    "U": "#...# #...# #...# #...# #...# #...# .###.",
    "1": "..#.. .##.. ..#.. ..#.. ..#.. ..#.. .###.",
    "5": "##### #.... ####. ....# ....# #...# .###.",
    "0": ".###. #...# #..## #.#.# ##..# #...# .###.",
}


def blank(width: int, height: int, color: Color) -> np.ndarray:
    """A canvas of one colour."""
    return np.full((height, width, 3), color, dtype=np.uint8)


def fill(canvas: np.ndarray, x: int, y: int, width: int, height: int, color: Color) -> None:
    """Fills a rectangle given by its top left corner."""
    canvas[max(y, 0) : y + height, max(x, 0) : x + width] = color


def disc(canvas: np.ndarray, x: float, y: float, radius: float, color: Color) -> None:
    """Fills a disc around (x, y)."""
    rows, columns = np.mgrid[: canvas.shape[0], : canvas.shape[1]]
    canvas[(columns - x) ** 2 + (rows - y) ** 2 <= radius**2] = color


def triangle(canvas: np.ndarray, corners: tuple[tuple[float, float], ...], color: Color) -> None:
    """Fills a triangle given by three (x, y) corners in any order."""
    rows, columns = np.mgrid[: canvas.shape[0], : canvas.shape[1]]
    sides = []
    for (x0, y0), (x1, y1) in zip(corners, (*corners[1:], corners[0]), strict=True):
        sides.append((x1 - x0) * (rows - y0) - (y1 - y0) * (columns - x0))
    inside = np.all([s >= 0 for s in sides], axis=0) | np.all([s <= 0 for s in sides], axis=0)
    canvas[inside] = color


def text(canvas: np.ndarray, x: int, y: int, words: str, color: Color, scale: int = 2) -> None:
    """Writes block letters with the top left corner at (x, y); a letter is 5 x 7 times scale."""
    for place, letter in enumerate(words):
        if letter == " ":
            continue
        glyph = np.array([[c == "#" for c in row] for row in _GLYPHS[letter].split()])
        mask = np.kron(glyph, np.ones((scale, scale), dtype=bool))
        left = x + place * 6 * scale
        part = canvas[y : y + mask.shape[0], left : left + mask.shape[1]]
        part[mask[: part.shape[0], : part.shape[1]]] = color


def bars(canvas: np.ndarray, x: int, y: int, height: int, widths: str, color: Color) -> None:
    """Draws a bar code: digits give the widths of alternating bars and gaps."""
    for place, digit in enumerate(widths):
        if place % 2 == 0:
            fill(canvas, x, y, int(digit), height, color)
        x += int(digit)


def rectangles(canvas: np.ndarray) -> Iterator[tuple[int, int, int, int, Color]]:
    """Covers the canvas by disjoint one-colour rectangles, greedily widest first, row by row.

    Yields:
        (x, y, width, height, color) in pixels.
    """
    codes = canvas.astype(np.int64) @ np.array([65536, 256, 1])
    done = np.zeros(codes.shape, dtype=bool)
    for y, x in np.ndindex(*codes.shape):
        if done[y, x]:
            continue
        code = codes[y, x]
        run = (codes[y, x:] == code) & ~done[y, x:]
        width = len(run) if run.all() else int(np.argmin(run))
        same = ((codes[y:, x : x + width] == code) & ~done[y:, x : x + width]).all(axis=1)
        height = len(same) if same.all() else int(np.argmin(same))
        done[y : y + height, x : x + width] = True
        yield x, y, width, height, (int(code) >> 16, (int(code) >> 8) & 255, int(code) & 255)
