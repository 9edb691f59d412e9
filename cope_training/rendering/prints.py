"""Pictures full of edges for what lies around objects, (H, W, 3) uint8 sRGB.

Photographs scaled to a whole image are smooth where a small object stands, and an outline is
easily found on them. Desks, shelves and boards with markers are not like that: many small things
with hard edges, print and strong contrast next to each other.
"""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cope_training.rendering.textures import procedural_picture, random_color, random_crop

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
CODE_CELLS = (4, 8)  # of a square code's side, its dark frame not counted
FONT_SIZE = 14  # px, before it is scaled
PIECES = (25, 70)  # pasted onto each other

Piece = Callable[[np.random.Generator, Sequence[np.ndarray], tuple[int, int]], np.ndarray]


def _photograph(
    rng: np.random.Generator, photographs: Sequence[np.ndarray], size: tuple[int, int]
) -> np.ndarray:
    if not photographs:
        picture = procedural_picture(rng, 64)
    else:
        picture = photographs[int(rng.integers(len(photographs)))]
    return random_crop(rng, picture, size)


def _code(
    rng: np.random.Generator, photographs: Sequence[np.ndarray], size: tuple[int, int]
) -> np.ndarray:
    """A square of black and white cells in a black frame on white, stretched."""
    cells = int(rng.integers(*CODE_CELLS, endpoint=True))
    grid = np.pad(rng.integers(0, 2, (cells, cells)), 1)
    light = rng.uniform(150, 255)
    values = np.where(np.pad(grid, 1, constant_values=1), light, rng.uniform(0, 60))
    image = Image.fromarray(values.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
    return np.asarray(image.convert("RGB"))


def _text(
    rng: np.random.Generator, photographs: Sequence[np.ndarray], size: tuple[int, int]
) -> np.ndarray:
    """Lines of letters, large or small."""
    paper, ink = random_color(rng), random_color(rng)
    if rng.random() < 0.5:
        paper, ink = np.full(3, rng.uniform(180, 255)), np.full(3, rng.uniform(0, 80))
    lines, width = int(rng.integers(1, 7)), int(rng.integers(3, 16))
    letters = rng.choice(list(LETTERS + " " * 8), (lines, width)).tolist()
    text = "\n".join("".join(line) for line in letters)
    image = Image.new("RGB", (9 * width + 4, int(1.4 * FONT_SIZE * lines) + 4), _rgb(paper))
    ImageDraw.Draw(image).multiline_text(
        (2, 2), text, fill=_rgb(ink), font=ImageFont.load_default(FONT_SIZE)
    )
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR))


def _shapes(
    rng: np.random.Generator, photographs: Sequence[np.ndarray], size: tuple[int, int]
) -> np.ndarray:
    """Discs, lines and polygons."""
    image = Image.new("RGB", size, _rgb(random_color(rng)))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(1, 6)):
        x, y = rng.uniform(0, size[0], 4), rng.uniform(0, size[1], 4)
        fill = _rgb(random_color(rng))
        kind = rng.integers(3)
        if kind == 0:
            draw.ellipse((min(x[:2]), min(y[:2]), max(x[:2]), max(y[:2])), fill=fill)
        elif kind == 1:
            draw.line((x[0], y[0], x[1], y[1]), fill=fill, width=int(rng.integers(1, 8)))
        else:
            draw.polygon(list(zip(x, y, strict=True)), fill=fill)
    return np.asarray(image)


KINDS: tuple[tuple[float, Piece], ...] = (
    (0.45, _photograph), (0.2, _code), (0.2, _text), (0.15, _shapes),
)  # fmt: skip


def print_picture(
    rng: np.random.Generator, photographs: Sequence[np.ndarray], side: int = 256
) -> np.ndarray:
    """A random collage of photographs, codes, text and shapes, each turned anyhow.

    Args:
        rng: of what is random.
        photographs: (H, W, 3) uint8 pictures; none: procedural ones instead.
        side: px.

    Returns:
        (side, side, 3) uint8.
    """
    canvas = Image.fromarray(_photograph(rng, photographs, (side, side)))
    chances = [chance for chance, _ in KINDS]
    scale = np.exp(rng.uniform(np.log(0.5), np.log(1.6)))
    turn = rng.uniform(0, 360)
    for _ in range(rng.integers(*PIECES)):
        draw = KINDS[int(rng.choice(len(KINDS), p=chances))][1]
        size = np.exp(rng.normal(np.log(0.14 * scale), 0.45, 2)).clip(0.03, 0.6) * side
        width, height = max(int(size[0]), 4), max(int(size[1]), 4)
        if draw is _code:
            height = width
        piece = Image.fromarray(draw(rng, photographs, (width, height)))
        angle = turn + 90 * rng.integers(4) if rng.random() < 0.5 else rng.uniform(0, 360)
        turned = piece.convert("RGBA").rotate(angle, Image.Resampling.BILINEAR, expand=True)
        x, y = rng.uniform(-0.1, 1.0, 2) * side
        canvas.paste(turned, (int(x), int(y)), turned)
    return np.asarray(canvas)


def _rgb(color: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in color)
    return red, green, blue
