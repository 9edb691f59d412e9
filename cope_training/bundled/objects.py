"""The three demo objects, made by code: a carton, a cup and a box.

They are of the kind that bins hold and cover the three cases of symmetry: the carton has none,
the box looks the same after half a turn about its thickness, the cup after any turn about its
axis. ``python -m cope_training.bundled.objects`` writes ``models/demo`` anew, always the same.
"""

import argparse
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cope_training.bundled import labels as art
from cope_training.rendering.canvas import Color, blank
from cope_training.rendering.meshes import models_info_entry, save_ply
from cope_training.rendering.solids import Band, Panel, Solid, colored_mesh, textured_mesh

# The carton, mm: half its width, half its seam's thickness, and heights.
HALF, SEAM = 35.0, 1.0
FOOT, EAVE, RIDGE, TOP = -90.0, 40.0, 75.0, 90.0


def make_carton() -> Solid:
    """A gable-top carton of 70 x 70 x 180 mm, every face different; origin at its centre."""
    w, body = HALF, [0, 0, FOOT - EAVE]
    slope = HALF - SEAM
    front_roof = art.carton_roof(art.ORANGE, art.WHITE, "OPEN")
    back_roof = art.carton_roof(art.LEAF, art.NAVY, "COOL")
    panels = [
        Panel(art.carton_front(), [-w, -w, EAVE], [70, 0, 0], body),
        Panel(art.carton_right(), [w, -w, EAVE], [0, 70, 0], body),
        Panel(art.carton_back(), [w, w, EAVE], [-70, 0, 0], body),
        Panel(art.carton_left(), [-w, w, EAVE], [0, -70, 0], body),
        Panel(front_roof, [-w, -SEAM, RIDGE], [70, 0, 0], [0, -slope, EAVE - RIDGE]),
        Panel(back_roof, [w, SEAM, RIDGE], [-70, 0, 0], [0, slope, EAVE - RIDGE]),
        Panel(art.carton_base(), [-w, -w, FOOT], [70, 0, 0], [0, 70, 0]),
    ]
    right = _carton_gable(1.0, (art.ORANGE, art.WHITE, art.ORANGE, art.BLACK))
    left = _carton_gable(-1.0, (art.NAVY, art.SKY, art.RED, art.SKY))
    return Solid(panels=panels + _carton_seam(), polygons=right + left)


def _carton_gable(side: float, stripes: tuple[Color, ...]) -> list[tuple[np.ndarray, Color]]:
    """Closes one end (side is the sign of x) under the roof with striped trapezoids."""
    polygons = []
    for row, color in enumerate(stripes):
        low, high = row / len(stripes), (row + 1) / len(stripes)
        a, b = (HALF + (SEAM - HALF) * share for share in (low, high))
        z_low, z_high = (EAVE + (RIDGE - EAVE) * share for share in (low, high))
        x = side * HALF
        ring = [[x, -a, z_low], [x, a, z_low], [x, b, z_high], [x, -b, z_high]]
        polygons.append((np.array(ring if side > 0 else ring[::-1]), color))
    return polygons


def _carton_seam() -> list[Panel]:
    """The flat seam on top, yellow in front and red at the back."""
    w, down = HALF, [0, 0, RIDGE - TOP]
    edge, narrow = blank(70, 2, art.CREAM), blank(2, 15, art.CREAM)
    return [
        Panel(art.carton_fin(art.YELLOW, art.BLACK), [-w, -SEAM, TOP], [70, 0, 0], down),
        Panel(art.carton_fin(art.RED, art.WHITE), [w, SEAM, TOP], [-70, 0, 0], down),
        Panel(edge, [-w, SEAM, TOP], [70, 0, 0], [0, -2 * SEAM, 0]),
        Panel(narrow, [w, -SEAM, TOP], [0, 2 * SEAM, 0], down),
        Panel(narrow, [-w, SEAM, TOP], [0, -2 * SEAM, 0], down),
    ]


# Height in mm where each ring of the cup's wall ends, from below.
CUP_RINGS: tuple[tuple[float, Color], ...] = (
    (6, art.BROWN), (18, art.CREAM), (22, art.RED), (36, art.CREAM), (52, art.TEAL),
    (56, art.YELLOW), (62, art.NAVY), (66, art.WHITE), (84, art.RED),
    (88, art.WHITE), (92, art.RED), (97, art.WHITE),
)  # fmt: skip


def make_cup() -> Solid:
    """An open paper cup, 80 mm wide and 100 mm high, banded; origin at the middle of its axis."""
    lip, half = 97.0, 50.0
    wall = [(height / lip, color) for height, color in CUP_RINGS]
    rim = [(38.5, lip - half), (40.0, half - 2.0), (39.0, half), (37.4, half - 0.6)]
    inner, floor, foot = (27.4, 4.0 - half), 4.0 - half, -half
    bands = [Band((28.5, foot), rim[0], wall)]
    bands += [Band(a, b, [(1.0, art.WHITE)]) for a, b in itertools.pairwise(rim)]
    bands.append(Band(rim[-1], inner, [(0.16, art.SKY), (0.22, art.WHITE), (1.0, art.CREAM)]))
    rings = [(0.35, art.CREAM), (0.7, art.ORANGE), (1.0, art.BROWN)]
    bands.append(Band(inner, (0.0, floor), rings))
    bands.append(
        Band((0.0, foot), (28.5, foot), [(0.42, art.NAVY), (0.88, art.WHITE), (1.0, art.BROWN)])
    )
    return Solid(bands=bands)


def make_box() -> Solid:
    """A snack box of 160 x 100 x 45 mm; half a turn about z, its thickness, changes nothing."""
    x, y, z = 80.0, 50.0, 22.5
    panels = [
        Panel(art.box_top(), [-x, y, z], [160, 0, 0], [0, -100, 0]),
        Panel(art.box_base(), [-x, -y, -z], [160, 0, 0], [0, 100, 0]),
    ]
    for s in (1.0, -1.0):
        panels += [
            Panel(art.box_long_side(), [-s * x, -s * y, z], [s * 160, 0, 0], [0, 0, -45]),
            Panel(art.box_short_side(), [s * x, -s * y, z], [0, s * 100, 0], [0, 0, -45]),
        ]
    return Solid(panels=panels)


_HALF_TURN = {"symmetries_discrete": [[-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]]}
_ANY_TURN = {"symmetries_continuous": [{"axis": [0, 0, 1], "offset": [0, 0, 0]}]}
# obj_id: name, maker, symmetries as in BOP's models_info.json
DEMO_OBJECTS: dict[int, tuple[str, Callable[[], Solid], dict[str, Any]]] = {
    1: ("carton", make_carton, {}),
    2: ("cup", make_cup, _ANY_TURN),
    3: ("box", make_box, _HALF_TURN),
}


def write_demo_objects(folder: Path) -> None:
    """Writes meshes and models_info.json (mm, as BOP) into ``folder``.

    ``meshes`` holds vertex colours, which every program reads; ``textured`` the same surfaces
    with few triangles and a texture, which the renderer prefers because they draw faster.
    """
    for name in ("meshes", "textured"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    info = {}
    for obj_id, (name, make, symmetries) in DEMO_OBJECTS.items():
        solid = make()
        mesh = colored_mesh(solid)
        save_ply(folder / "meshes" / f"obj_{obj_id:06d}.ply", mesh)
        save_ply(folder / "textured" / f"obj_{obj_id:06d}.ply", textured_mesh(solid))
        info[str(obj_id)] = models_info_entry(mesh, name, symmetries)
    (folder / "models_info.json").write_text(json.dumps(info, indent=2) + "\n")


def main() -> None:
    """Command line: writes the demo objects."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("models/demo"))
    write_demo_objects(parser.parse_args().folder)


if __name__ == "__main__":
    main()
