"""The demonstration's figures against closed-form ones."""

from pathlib import Path

import demo_scene
import numpy as np
import pytest

from cope_ros.core.catalogue import MM, Catalogue
from cope_training.evaluation.metrics import EvalObject, load_objects
from demo.images import read_folder
from demo.record import Pose, Processed
from demo.summary import Accuracy, Known, measure_accuracy, read_truth, summarise, table_of

IMAGES = 4


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory whose sequence/ is a BOP scene, as in models/demo."""
    folder = tmp_path_factory.mktemp("model")
    demo_scene.write_model(folder)
    demo_scene.write_scene(folder / "sequence", IMAGES)
    return folder


@pytest.fixture(scope="module")
def catalogue(model: Path) -> Catalogue:
    """The two boxes."""
    return Catalogue.from_models_info(model / "models_info.json")


@pytest.fixture(scope="module")
def objects(model: Path) -> dict[int, EvalObject]:
    """Their meshes."""
    return load_objects(model)


def answers(model: Path, catalogue: Catalogue, change: np.ndarray, only: int = 2) -> Known:
    """Every image with the true poses of the first objects, each followed by ``change``."""
    known = []
    for image in read_folder(model / "sequence"):
        assert image.key is not None
        true = [(o, T) for o, T in demo_scene.poses(image.key[1]).items() if o <= only]
        poses = [
            Pose(catalogue[catalogue.index_of(o)].class_id, "", 0.8, T @ change) for o, T in true
        ]
        known.append((image, Processed(0, 10.0, tuple(poses))))
    return known


def accuracy(
    model: Path, catalogue: Catalogue, objects: dict[int, EvalObject], known: Known
) -> Accuracy:
    """Reads the truth and measures."""
    truth = read_truth(model / "sequence", known, catalogue)
    assert truth is not None
    return measure_accuracy(table_of(known, catalogue)[0], truth, objects)[0]


def test_true_poses_are_perfect(model, catalogue, objects) -> None:
    """Recall 1 and no error."""
    found = accuracy(model, catalogue, objects, answers(model, catalogue, np.eye(4)))
    assert found.add_s_recall == 1.0
    assert found.translation == pytest.approx(0, abs=1e-9)
    assert found.rotation == pytest.approx(0, abs=1e-4)


def test_half_turn_is_free_for_the_symmetric_object_alone(model, catalogue, objects) -> None:
    """About z: the brick looks the same, the wedge is as wrong as can be."""
    known = answers(model, catalogue, demo_scene.HALF_TURN)
    found = accuracy(model, catalogue, objects, known)
    assert found.add_s_recall == 0.5
    # ADD of the turned wedge is the length of its base's diagonal: over half its diameter.
    assert np.hypot(30, 50) > 0.5 * np.linalg.norm(demo_scene.WEDGE)
    assert found.rotation == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(("millimetres", "recall"), [(7.0, 1.0), (8.5, 0.5), (9.5, 0.0)])
def test_threshold_is_a_tenth_of_the_diameter(
    model, catalogue, objects, millimetres, recall
) -> None:
    """Moved along x; the wedge (diameter 91.1 mm) by ADD, the brick (74.8 mm) by ADD-S."""
    change = np.eye(4)
    change[0, 3] = millimetres * MM
    found = accuracy(model, catalogue, objects, answers(model, catalogue, change))
    assert found.add_s_recall == recall
    assert found.translation == pytest.approx(millimetres * MM)


def test_missed_instances_lower_the_recall_alone(model, catalogue, objects) -> None:
    """Only the bricks are found: half of all instances."""
    found = accuracy(model, catalogue, objects, answers(model, catalogue, np.eye(4), only=1))
    assert found.add_s_recall == 0.5
    assert found.translation == pytest.approx(0, abs=1e-9)


def test_best_score_takes_the_instance(model, catalogue, objects) -> None:
    """A worse pose of higher score goes first, but claims only what it comes near enough to."""
    known = []
    for (image, frame), (_, moved) in zip(
        answers(model, catalogue, np.eye(4)), answers(model, catalogue, shifted(20)), strict=True
    ):
        bold = [Pose(p.class_id, "", 0.95, p.T_cam_obj) for p in moved.poses]
        known.append((image, Processed(0, 1.0, (*frame.poses, *bold))))
    found = accuracy(model, catalogue, objects, known)
    assert found.add_s_recall == 1.0  # 20 mm is no claim at a tenth of the diameter
    assert found.translation == pytest.approx(20 * MM)


def shifted(millimetres: float) -> np.ndarray:
    """(4, 4): along z."""
    T = np.eye(4)
    T[2, 3] = millimetres * MM
    return T


def test_hidden_instances_are_not_counted(tmp_path: Path, objects) -> None:
    """Where nothing is at least half visible there is no recall."""
    catalogue = demo_scene.write_model(tmp_path)
    demo_scene.write_scene(tmp_path / "sequence", 2, visibility=0.49)
    found = accuracy(tmp_path, catalogue, objects, answers(tmp_path, catalogue, np.eye(4)))
    assert found == Accuracy(None, None, None)


def test_unknown_classes_are_passed_over(model, catalogue, objects) -> None:
    """A detection of a class that the model directory does not list counts as nothing."""
    known = answers(model, catalogue, np.eye(4))
    stranger = Pose("stranger", "", 1.0, np.eye(4))
    known = [(i, Processed(0, 1.0, (*f.poses, stranger))) for i, f in known]
    assert accuracy(model, catalogue, objects, known).add_s_recall == 1.0


def test_nothing_found_gives_recall_zero(model, catalogue, objects) -> None:
    """Answers without any detection."""
    known = [(i, Processed(0, 1.0, ())) for i, _ in answers(model, catalogue, np.eye(4))]
    assert accuracy(model, catalogue, objects, known) == Accuracy(0.0, None, None, 8)


def test_no_truth_for_other_objects(model: Path, tmp_path: Path) -> None:
    """Equal obj_ids of another data set are told apart by the diameters."""
    other = demo_scene.write_model(tmp_path).to_dict()
    sizes = {key: value for key, value in other["1"].items() if isinstance(value, float)}
    other["1"] |= {key: 1.5 * value for key, value in sizes.items()}
    catalogue = Catalogue.from_dict(other)
    assert read_truth(model / "sequence", answers(model, catalogue, np.eye(4)), catalogue) is None


def test_no_truth_in_a_plain_folder(model: Path, tmp_path: Path, catalogue: Catalogue) -> None:
    """No scene_gt.json at all."""
    assert read_truth(tmp_path, answers(model, catalogue, np.eye(4)), catalogue) is None


def test_summary_has_the_agreed_keys() -> None:
    """Counts, percentiles and units."""
    pose = Pose("brick", "", 1.0, np.eye(4))
    frames = [Processed(i, float(i), (pose,) * 2) for i in range(101)]
    content = summarise(110, frames, Accuracy(0.75, 0.0123, np.pi / 90, 8))
    assert content == {
        "frames_published": 110,
        "frames_processed": 101,
        "frames_dropped": 9,
        "detections": 202,
        "latency_ms": {"p50": 50.0, "p99": 99.0},
        "instances": 8,
        "add_s_recall": 0.75,
        "mean_translation_error_mm": 12.3,
        "mean_rotation_error_deg": 2.0,
    }


def test_summary_of_nothing_is_null_not_a_number() -> None:
    """No frame processed, no ground truth."""
    content = summarise(5, [], Accuracy())
    assert content["frames_dropped"] == 5
    assert content["latency_ms"] == {"p50": None, "p99": None}
    assert content["add_s_recall"] is None
