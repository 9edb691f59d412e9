"""What is printed on the demo objects, drawn by code: one pixel per millimetre."""

import numpy as np

from cope_training.rendering.canvas import Color, bars, blank, disc, fill, text, triangle

WHITE, CREAM, BLACK = (238, 238, 232), (236, 222, 184), (28, 28, 32)
ORANGE, YELLOW, RED, GREEN = (232, 122, 24), (244, 202, 40), (192, 36, 40), (44, 128, 62)
LEAF, NAVY, SKY, PURPLE = (128, 186, 66), (28, 52, 120), (92, 168, 216), (104, 52, 132)
BROWN, TEAL, GRAY = (104, 62, 36), (20, 132, 128), (150, 150, 150)


def carton_front() -> np.ndarray:
    """The front of the carton: name, orange, content."""
    canvas = blank(70, 130, YELLOW)
    fill(canvas, 0, 0, 70, 34, WHITE)
    text(canvas, 6, 5, "JUICE", GREEN, 2)
    text(canvas, 12, 22, "ORANGE", ORANGE, 1)
    disc(canvas, 35, 76, 29, WHITE)
    disc(canvas, 35, 76, 26, ORANGE)
    for x, y in ((24, 66), (35, 58), (46, 66), (35, 76), (24, 86), (46, 86), (35, 95)):
        disc(canvas, x, y, 3.2, YELLOW)
    triangle(canvas, ((36, 50), (62, 38), (58, 58)), GREEN)
    fill(canvas, 0, 112, 70, 18, GREEN)
    text(canvas, 8, 114, "1L", WHITE, 2)
    disc(canvas, 54, 121, 6, RED)
    return canvas


def carton_right() -> np.ndarray:
    """Its right side: table and bar code."""
    canvas = blank(70, 130, WHITE)
    fill(canvas, 0, 0, 70, 16, ORANGE)
    text(canvas, 8, 5, "NUTRITION", BLACK, 1)
    fill(canvas, 6, 22, 40, 56, BLACK)
    for row in range(7):
        shade = CREAM if row % 2 else WHITE
        fill(canvas, 8, 24 + 8 * row, 20, 6, shade)
        fill(canvas, 30, 24 + 8 * row, 14, 6, shade)
    fill(canvas, 52, 22, 12, 56, LEAF)
    bars(canvas, 8, 90, 26, "211312113221131221311212", BLACK)
    fill(canvas, 0, 122, 70, 8, RED)
    disc(canvas, 57, 102, 8, NAVY)
    return canvas


def carton_back() -> np.ndarray:
    """Its back: a tent under the sun."""
    canvas = blank(70, 130, GREEN)
    for step in range(13):
        fill(canvas, 5 * step, 60 - 3 * step, 10, 12, LEAF)
    triangle(canvas, ((8, 124), (35, 76), (62, 124)), CREAM)
    triangle(canvas, ((22, 124), (35, 100), (48, 124)), RED)
    disc(canvas, 16, 18, 11, YELLOW)
    disc(canvas, 16, 18, 6, ORANGE)
    text(canvas, 32, 8, "SUN", WHITE, 2)
    return canvas


def carton_left() -> np.ndarray:
    """Its left side, with upright letters."""
    canvas = blank(130, 70, NAVY)  # drawn lying, then turned: the words run upwards
    fill(canvas, 0, 0, 130, 9, SKY)
    text(canvas, 4, 18, "ORANGE", WHITE, 3)
    for column in range(13):
        fill(canvas, 10 * column, 48, 5, 8, ORANGE if column % 3 else RED)
    fill(canvas, 0, 60, 130, 4, YELLOW)
    fill(canvas, 114, 9, 16, 39, PURPLE)
    return np.ascontiguousarray(np.rot90(canvas))


def carton_roof(ground: Color, mark: Color, word: str) -> np.ndarray:
    """A slope of its roof with a word on it."""
    canvas = blank(70, 49, ground)
    fill(canvas, 0, 40, 70, 4, mark)
    text(canvas, 9, 10, word, mark, 2)
    return canvas


def carton_base() -> np.ndarray:
    """Its underside."""
    canvas = blank(70, 70, GRAY)
    fill(canvas, 8, 8, 24, 24, BLACK)
    fill(canvas, 34, 0, 3, 70, WHITE)
    text(canvas, 40, 44, "50", NAVY, 2)
    return canvas


def carton_fin(ground: Color, mark: Color) -> np.ndarray:
    """One side of the flat seam on top: dashes in black or a line."""
    canvas = blank(70, 15, ground)
    if mark == BLACK:
        for x in range(0, 70, 10):
            fill(canvas, x, 4, 5, 7, mark)
    else:
        fill(canvas, 10, 4, 50, 3, mark)
    return canvas


def _twice(half: np.ndarray) -> np.ndarray:
    """A drawing that half a turn leaves as it is: the upper half given, the lower made."""
    return np.concatenate([half, half[::-1, ::-1]])


def box_top() -> np.ndarray:
    """The upper face of the box, the same after half a turn."""
    half = blank(160, 50, PURPLE)
    fill(half, 0, 0, 160, 5, YELLOW)
    text(half, 8, 11, "SNACK", WHITE, 3)
    disc(half, 128, 28, 18, YELLOW)
    disc(half, 128, 28, 13, BROWN)
    for x, y in ((122, 22), (134, 25), (126, 34)):
        disc(half, x, y, 2.6, CREAM)
    fill(half, 0, 40, 70, 5, ORANGE)
    fill(half, 0, 47, 160, 3, SKY)
    return _twice(half)


def box_base() -> np.ndarray:
    """Its lower face, the same after half a turn."""
    half = blank(160, 50, CREAM)
    for row in range(4):
        fill(half, 8, 6 + 9 * row, 70 - 12 * (row % 2), 4, BROWN)
    bars(half, 100, 6, 24, "2113121132211312213112", BLACK)
    fill(half, 92, 36, 68, 8, GREEN)
    return _twice(half)


def box_long_side() -> np.ndarray:
    """Its two long sides."""
    canvas = blank(160, 45, PURPLE)
    fill(canvas, 0, 0, 160, 5, YELLOW)
    text(canvas, 10, 14, "CRISP", YELLOW, 3)
    fill(canvas, 110, 10, 40, 26, RED)
    triangle(canvas, ((114, 33), (130, 12), (146, 33)), WHITE)
    return canvas


def box_short_side() -> np.ndarray:
    """Its two short sides."""
    canvas = blank(100, 45, ORANGE)
    fill(canvas, 0, 0, 100, 5, YELLOW)
    for column in range(5):
        fill(canvas, 6 + 11 * column, 12, 6, 26, NAVY)
    disc(canvas, 80, 25, 13, WHITE)
    disc(canvas, 80, 25, 7, GREEN)
    return canvas
