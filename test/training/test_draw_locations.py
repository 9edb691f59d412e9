"""The picture of sampled locations shows what the targets say, and nothing else."""

from pathlib import Path

import numpy as np
import pytest
from core_factory import make_catalogue
from PIL import Image
from test_bop_reader import make_frame as make_bop_frame
from test_bop_reader import write_scene
from test_targets import CROP_SCALE, SIDE, make_frame

from cope_training.engine.pictures import box_edges, side_by_side
from cope_training.tasks import draw_locations
from cope_training.tasks.dense.targets import TargetBuilder, VisibilityRules

ROOT = Path(__file__).resolve().parents[2]
RULES = VisibilityRules(foreground=0.25, regression=0.5, ignore=0.1)


def panels(picture: np.ndarray) -> list[np.ndarray]:
    """The four pictures of a row of black frames."""
    side = 3 * SIDE
    return [picture[:, i * (side + 4) : i * (side + 4) + side] for i in range(4)]


@pytest.mark.parametrize(("z", "level"), [(0.5, 1), (0.3, 2), (0.1, 3)])
def test_locations_are_marked_on_their_level_alone(z: float, level: int) -> None:
    frame = make_frame([(0, z, 1.0)], [CROP_SCALE])
    marked = [
        int((p.sum(-1) > 0).sum())
        for p in panels(draw_locations.draw(frame, make_catalogue(), RULES))
    ]
    assert marked[level] > 0
    assert [bool(m) for m in marked[1:]] == [i == level for i in (1, 2, 3)]
    targets = TargetBuilder(make_catalogue(), RULES)([frame])
    counts = draw_locations.count_by_level(targets)
    assert counts[8 * 2 ** (level - 1)] == len(targets.rows) > 0
    square = marked[level] / len(targets.rows)
    assert 7**2 <= square <= 8**2  # filled


def test_what_does_not_regress_is_hollow_and_what_is_ignored_crossed() -> None:
    areas = []
    for visibility in (0.6, 0.3, 0.2, 0.05):
        frame = make_frame([(0, 0.5, visibility)], [CROP_SCALE])
        picture = panels(draw_locations.draw(frame, make_catalogue(), RULES))[1]
        areas.append(int((picture.sum(-1) > 0).sum()))
    filled, hollow, crossed, nothing = areas
    assert filled > hollow > crossed > nothing == 0


def test_a_box_has_twelve_edges() -> None:
    corners = make_catalogue()[0].corners
    edges = box_edges(corners)
    assert len(edges) == 12
    lengths = sorted(np.linalg.norm(corners[a] - corners[b]) for a, b in edges)
    assert lengths == pytest.approx(sorted([0.06, 0.08, 0.1] * 4))


def test_pictures_stand_in_a_row() -> None:
    row = side_by_side([np.zeros((5, 7, 3), np.uint8), np.ones((5, 2, 3), np.uint8)], gap=1)
    assert row.shape == (5, 10, 3)
    assert (row[:, 7] == 255).all()


def test_the_command_draws_a_bop_frame(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    frame = make_bop_frame(np.random.default_rng(0), 2, 64, 96)
    write_scene(tmp_path / "set" / "train_pbr" / "000000", [frame])
    out = tmp_path / "picture.png"
    config = str(ROOT / "config" / "training" / "object.yaml")
    arguments = ["--config", config, "--bop", str(tmp_path / "set"), "--out", str(out)]
    assert draw_locations.main(arguments) == 0
    assert np.asarray(Image.open(out)).shape == (192, 4 * 288 + 12, 3)
    assert "stride 32" in capsys.readouterr().out
    assert draw_locations.main([*arguments, "--split", "test"]) == 1
