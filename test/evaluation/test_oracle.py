"""Oracle substitution: what true rotation and true depth mend, on a tiny data set."""

from collections.abc import Callable

import numpy as np
import pytest
from evaluation_scene import IMAGES, KnowingEstimator, Scene
from scipy.spatial.transform import Rotation

from cope_training import evaluate
from cope_training.evaluation.inference import run_model
from cope_training.evaluation.metrics import find_scenes, read_ground_truth
from cope_training.evaluation.oracle import OracleRow, oracle_rows, oracle_table

SEEN = 2 * IMAGES  # instances at least half visible
FAR, TURNED = 1.06, Rotation.from_rotvec([0.7, 0, 0]).as_matrix()
NAMES = {1: "thing_1", 2: "thing_2"}


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


@pytest.fixture(scope="module")
def rows_of(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Callable:
    scenes = find_scenes(scene.write(tmp_path_factory.mktemp("data") / "toys"))
    gts = read_ground_truth(scenes)

    def rows(disturb) -> dict[str, OracleRow]:
        ests = run_model(KnowingEstimator(scene, disturb), scenes, gts.K).estimates
        result = evaluate.evaluate(ests, scenes, gts, scene.objects)
        return oracle_rows(result, gts, scene.objects, NAMES)

    return rows


def test_true_depth_mends_depth_alone(rows_of: Callable) -> None:
    def farther(row: int, found: dict) -> None:
        found["t"][...] *= FAR

    row = rows_of(farther)["all"]
    assert row.instances == SEEN
    assert (row.right, row.true_rotation, row.true_depth, row.both) == (0, 0, 1, 1)
    assert row.depth_bias == pytest.approx(FAR - 1, abs=1e-6)
    assert row.depth_scatter == pytest.approx(0, abs=1e-6)
    assert row.rotation_deg == pytest.approx(0, abs=1e-3)
    assert row.missed == 0


def test_true_rotation_mends_rotation_alone(rows_of: Callable) -> None:
    def turned(row: int, found: dict) -> None:
        found["R"][...] = found["R"] @ TURNED

    rows = rows_of(turned)
    assert (rows["all"].right, rows["all"].true_depth) == (0, 0)
    assert (rows["all"].true_rotation, rows["all"].both) == (1, 1)
    assert rows["thing_1"].rotation_deg == pytest.approx(np.rad2deg(0.7), abs=0.01)


def test_both_mend_what_neither_does(rows_of: Callable) -> None:
    def wrong(row: int, found: dict) -> None:
        found["R"][...] = found["R"] @ TURNED
        found["t"][...] *= FAR

    row = rows_of(wrong)["all"]
    assert (row.right, row.true_rotation, row.true_depth, row.both) == (0, 0, 0, 1)


def test_an_equivalent_turn_of_a_symmetric_object_is_no_error(rows_of: Callable) -> None:
    spin = Rotation.from_rotvec([0, 0, 1.0]).as_matrix()

    def spun(row: int, found: dict) -> None:
        if found["class_index"][0] == 1:
            found["R"][...] = found["R"] @ spin

    row = rows_of(spun)["thing_2"]
    assert (row.right, row.both) == (1, 1)
    assert row.rotation_deg < 1.0  # BOP's steps


def test_a_missed_instance_stays_missed_and_groups_have_their_own(rows_of: Callable) -> None:
    def unseen(row: int, found: dict) -> bool | None:
        return False if row == 1 else None  # three quarters visible

    rows = rows_of(unseen)
    assert rows["all"].missed == pytest.approx(1 / SEEN)
    assert rows["all"].both == pytest.approx(1 - 1 / SEEN)
    assert rows["visible 75-90 %"].missed == pytest.approx(1 / IMAGES)
    assert (rows["visible 30-50 %"].instances, rows["visible 30-50 %"].missed) == (IMAGES, 0)
    assert sum(row.instances for name, row in rows.items() if name.startswith("size")) == SEEN
    lines = oracle_table(rows).splitlines()
    assert len(lines) == 2 + len(rows)
    assert len({line.count("|") for line in lines}) == 1


def test_nothing_found_at_all_is_a_row_of_dashes(rows_of: Callable) -> None:
    row = rows_of(lambda *_: False)["all"]
    assert (row.missed, row.both) == (1, 0)
    assert row.to_dict()["depth_bias"] is None
    assert "| - | - |" in oracle_table({"all": row})
