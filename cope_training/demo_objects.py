"""The three demo objects, made by code: a carton, a cup and a box.

They are of the kind that bins hold and cover the three cases of symmetry: the carton has none,
the box looks the same after half a turn about its thickness, the cup after any turn about its
axis. ``python -m cope_training.demo_objects`` writes ``models/demo`` anew, always the same.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cope_training.rendering.canvas import (
    Color, bars, blank, disc, fill, text, triangle,
)  # fmt: skip
from cope_training.rendering.meshes import Mesh, models_info_entry, save_ply
from cope_training.rendering.solids import SolidBuilder

WHITE, CREAM, BLACK = (238, 238, 232), (236, 222, 184), (28, 28, 32)
ORANGE, YELLOW, RED, GREEN = (232, 122, 24), (244, 202, 40), (192, 36, 40), (44, 128, 62)
LEAF, NAVY, SKY, PURPLE = (128, 186, 66), (28, 52, 120), (92, 168, 216), (104, 52, 132)
BROWN, TEAL, GRAY = (104, 62, 36), (20, 132, 128), (150, 150, 150)


def _carton_front() -> np.ndarray:
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


def _carton_right() -> np.ndarray:
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


def _carton_back() -> np.ndarray:
    canvas = blank(70, 130, GREEN)
    for step in range(13):
        fill(canvas, 5 * step, 60 - 3 * step, 10, 12, LEAF)
    triangle(canvas, ((8, 124), (35, 76), (62, 124)), CREAM)
    triangle(canvas, ((22, 124), (35, 100), (48, 124)), RED)
    disc(canvas, 16, 18, 11, YELLOW)
    disc(canvas, 16, 18, 6, ORANGE)
    text(canvas, 32, 8, "SUN", WHITE, 2)
    return canvas


def _carton_left() -> np.ndarray:
    canvas = blank(130, 70, NAVY)  # drawn lying, then turned: the words run upwards
    fill(canvas, 0, 0, 130, 9, SKY)
    text(canvas, 4, 18, "ORANGE", WHITE, 3)
    for column in range(13):
        fill(canvas, 10 * column, 48, 5, 8, ORANGE if column % 3 else RED)
    fill(canvas, 0, 60, 130, 4, YELLOW)
    fill(canvas, 114, 9, 16, 39, PURPLE)
    return np.ascontiguousarray(np.rot90(canvas))


def _carton_roof(ground: Color, mark: Color, word: str) -> np.ndarray:
    canvas = blank(70, 49, ground)
    fill(canvas, 0, 40, 70, 4, mark)
    text(canvas, 9, 10, word, mark, 2)
    return canvas


def make_carton() -> Mesh:
    """A gable-top carton of 70 x 70 x 180 mm, every face different; origin at its centre."""
    solid = SolidBuilder()
    top, eave, ridge, foot = 90.0, 40.0, 75.0, -90.0
    w, fin = 35.0, 1.0
    body = [0, 0, foot - eave]
    solid.panel(_carton_front(), [-w, -w, eave], [70, 0, 0], body)
    solid.panel(_carton_right(), [w, -w, eave], [0, 70, 0], body)
    solid.panel(_carton_back(), [w, w, eave], [-70, 0, 0], body)
    solid.panel(_carton_left(), [-w, w, eave], [0, -70, 0], body)
    roof = ridge - eave
    solid.panel(
        _carton_roof(ORANGE, WHITE, "OPEN"), [-w, -fin, ridge], [70, 0, 0], [0, fin - w, -roof]
    )
    solid.panel(
        _carton_roof(LEAF, NAVY, "COOL"), [w, fin, ridge], [-70, 0, 0],
        [0, w - fin, -roof],
    )  # fmt: skip
    _carton_gables(solid, eave, ridge, w, fin)
    _carton_fin(solid, ridge, top, w, fin)
    base = blank(70, 70, GRAY)
    fill(base, 8, 8, 24, 24, BLACK)
    fill(base, 34, 0, 3, 70, WHITE)
    text(base, 40, 44, "50", NAVY, 2)
    solid.panel(base, [-w, -w, foot], [70, 0, 0], [0, 70, 0])
    return solid.build()


def _carton_gables(solid: SolidBuilder, eave: float, ridge: float, w: float, fin: float) -> None:
    """Closes the two ends under the roof with differently striped trapezoids."""
    for side, stripes in ((1.0, (ORANGE, WHITE, ORANGE, BLACK)), (-1.0, (NAVY, SKY, RED, SKY))):
        for row, color in enumerate(stripes):
            low, high = row / len(stripes), (row + 1) / len(stripes)
            a, b = (w + (fin - w) * part for part in (low, high))
            z_low, z_high = (eave + (ridge - eave) * part for part in (low, high))
            x = side * w
            ring = [[x, -a, z_low], [x, a, z_low], [x, b, z_high], [x, -b, z_high]]
            solid.polygon(np.array(ring if side > 0 else ring[::-1]), color)


def _carton_fin(solid: SolidBuilder, ridge: float, top: float, w: float, fin: float) -> None:
    """The flat seam on top, yellow in front and red at the back."""
    height = int(top - ridge)
    front, back = blank(70, height, YELLOW), blank(70, height, RED)
    for x in range(0, 70, 10):
        fill(front, x, 4, 5, 7, BLACK)
    fill(back, 10, 4, 50, 3, WHITE)
    solid.panel(front, [-w, -fin, top], [70, 0, 0], [0, 0, -height])
    solid.panel(back, [w, fin, top], [-70, 0, 0], [0, 0, -height])
    edge, narrow = blank(70, 2, CREAM), blank(2, height, CREAM)
    solid.panel(edge, [-w, fin, top], [70, 0, 0], [0, -2 * fin, 0])
    solid.panel(narrow, [w, -fin, top], [0, 2 * fin, 0], [0, 0, -height])
    solid.panel(narrow, [-w, fin, top], [0, -2 * fin, 0], [0, 0, -height])


CUP_BANDS: tuple[tuple[float, Color], ...] = (  # height in mm where each band ends, from below
    (6, BROWN), (18, CREAM), (22, RED), (36, CREAM), (40, TEAL), (52, TEAL), (56, YELLOW),
    (62, NAVY), (66, WHITE), (84, RED), (88, WHITE), (92, RED), (97, WHITE),
)  # fmt: skip


def make_cup(segments: int = 64) -> Mesh:
    """An open paper cup, 80 mm wide and 100 mm high, banded; origin at the middle of its axis."""
    solid = SolidBuilder()
    height, wall, lip = 100.0, 1.5, 97.0

    def outer(z: float) -> tuple[float, float]:
        return 28.5 + 10.0 * z / lip, z - 0.5 * height

    low = 0.0
    for high, color in CUP_BANDS:
        solid.turned(outer(low), outer(high), color, segments)
        low = high
    top = 0.5 * height
    rim = [outer(lip), (40.0, top - 2.4), (40.0, top - 0.8), (39.2, top), (37.6, top - 0.6)]
    rim.append((36.9, top - 4.0))
    for a, b in zip(rim, rim[1:], strict=False):
        solid.turned(a, b, WHITE, segments)
    floor = 4.0 - 0.5 * height
    inside = [((36.9, top - 4.0), SKY), ((35.6, top - 16.0), WHITE), ((34.9, top - 22.0), CREAM)]
    stops = [*(p for p, _ in inside), (28.5 - wall + 0.4, floor)]
    for a, b, (_, color) in zip(stops, stops[1:], inside, strict=False):
        solid.turned(a, b, color, segments)
    for a, b, color in ((stops[-1][0], 18.0, CREAM), (18.0, 8.0, ORANGE), (8.0, 0.0, BROWN)):
        solid.turned((a, floor), (b, floor), color, segments)
    foot = -0.5 * height
    for a, b, color in ((0.0, 12.0, NAVY), (12.0, 25.0, WHITE), (25.0, 28.5, BROWN)):
        solid.turned((a, foot), (b, foot), color, segments)
    return solid.build()


def _twice(half: np.ndarray) -> np.ndarray:
    """A drawing that half a turn leaves as it is: the upper half given, the lower made."""
    return np.concatenate([half, half[::-1, ::-1]])


def _box_top() -> np.ndarray:
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


def _box_base() -> np.ndarray:
    half = blank(160, 50, CREAM)
    for row in range(4):
        fill(half, 8, 6 + 9 * row, 70 - 12 * (row % 2), 4, BROWN)
    bars(half, 100, 6, 24, "2113121132211312213112", BLACK)
    fill(half, 92, 36, 68, 8, GREEN)
    return _twice(half)


def _box_long_side() -> np.ndarray:
    canvas = blank(160, 45, PURPLE)
    fill(canvas, 0, 0, 160, 5, YELLOW)
    text(canvas, 10, 14, "CRISP", YELLOW, 3)
    fill(canvas, 110, 10, 40, 26, RED)
    triangle(canvas, ((114, 33), (130, 12), (146, 33)), WHITE)
    return canvas


def _box_short_side() -> np.ndarray:
    canvas = blank(100, 45, ORANGE)
    fill(canvas, 0, 0, 100, 5, YELLOW)
    for column in range(5):
        fill(canvas, 6 + 11 * column, 12, 6, 26, NAVY)
    disc(canvas, 80, 25, 13, WHITE)
    disc(canvas, 80, 25, 7, GREEN)
    return canvas


def make_box() -> Mesh:
    """A snack box of 160 x 100 x 45 mm; half a turn about z, its thickness, changes nothing."""
    solid = SolidBuilder()
    x, y, z = 80.0, 50.0, 22.5
    solid.panel(_box_top(), [-x, y, z], [160, 0, 0], [0, -100, 0])
    solid.panel(_box_base(), [-x, -y, -z], [160, 0, 0], [0, 100, 0])
    for sign in (1.0, -1.0):
        solid.panel(_box_long_side(), [-sign * x, -sign * y, z], [sign * 160, 0, 0], [0, 0, -45])
        solid.panel(_box_short_side(), [sign * x, -sign * y, z], [0, sign * 100, 0], [0, 0, -45])
    return solid.build()


_HALF_TURN = {"symmetries_discrete": [[-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]]}
_ANY_TURN = {"symmetries_continuous": [{"axis": [0, 0, 1], "offset": [0, 0, 0]}]}
# obj_id: name, mesh, symmetries as in BOP's models_info.json
DEMO_OBJECTS: dict[int, tuple[str, Callable[[], Mesh], dict[str, Any]]] = {
    1: ("carton", make_carton, {}),
    2: ("cup", make_cup, _ANY_TURN),
    3: ("box", make_box, _HALF_TURN),
}


def write_demo_objects(folder: Path) -> None:
    """Writes meshes/obj_00000N.ply and models_info.json (mm, as BOP) into ``folder``."""
    (folder / "meshes").mkdir(parents=True, exist_ok=True)
    info = {}
    for obj_id, (name, make, symmetries) in DEMO_OBJECTS.items():
        mesh = make()
        save_ply(folder / "meshes" / f"obj_{obj_id:06d}.ply", mesh)
        info[str(obj_id)] = models_info_entry(mesh, name, symmetries)
    (folder / "models_info.json").write_text(json.dumps(info, indent=2) + "\n")


def main() -> None:
    """Command line: writes the demo objects."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("models/demo"))
    write_demo_objects(parser.parse_args().folder)


if __name__ == "__main__":
    main()
