"""Box overlap and COCO's mAP, against the reference implementation."""

import numpy as np
import pytest
from metrics_scene import estimates, truth

from cope_training.data.boxes import box_iou
from cope_training.evaluation.metrics.detection import coco_map
from cope_training.evaluation.metrics.tables import Estimates, GroundTruth


def test_iou_by_hand() -> None:
    a = np.array([[0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 0, 0], [np.nan] * 4], dtype=float)
    b = np.array([[1, 0, 3, 2], [2, 2, 3, 3], [0, 0, 0, 0], [0, 0, 1, 1]], dtype=float)
    np.testing.assert_allclose(box_iou(a, b), [1 / 3, 0, 0, 0])


def random_scene(seed: int) -> tuple[Estimates, GroundTruth]:
    """Noisy boxes of three classes in eight images, with misses and false alarms."""
    rng = np.random.default_rng(seed)
    gt_rows, gt_boxes, rows, boxes = [], [], [], []
    for image in range(8):
        for _ in range(rng.integers(1, 8)):
            obj, corner, size = (
                int(rng.integers(1, 4)),
                rng.uniform(0, 300, 2),
                rng.uniform(20, 90, 2),
            )
            box = np.concatenate([corner, corner + size])
            gt_rows.append((image, obj, 1.0))
            gt_boxes.append(box)
            for _ in range(rng.integers(0, 3)):
                rows.append((image, obj, float(rng.random())))
                boxes.append(box + rng.normal(0, 5, 4))
        rows.append((image, int(rng.integers(1, 4)), float(rng.random())))
        boxes.append(np.array([0.0, 0, 30, 30]) + rng.uniform(0, 300))
    return estimates(rows, boxes), truth(gt_rows, gt_boxes, images=8)


def as_coco(table, with_scores: bool) -> list[dict]:
    """COCO's records of a table's boxes."""
    corners = table.boxes
    records = []
    for row, (x1, y1, x2, y2) in enumerate(corners.tolist()):
        record = {
            "id": row + 1,
            "image_id": int(table.im_id[row]),
            "category_id": int(table.obj_id[row]),
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "iscrowd": 0,
        }
        records.append(record | ({"score": float(table.score[row])} if with_scores else {}))
    return records


@pytest.mark.parametrize("seed", range(4))
def test_coco_map_equals_faster_coco_eval(seed: int) -> None:
    library = pytest.importorskip("faster_coco_eval")
    ests, gts = random_scene(seed)
    dataset = {
        "images": [{"id": i, "width": 640, "height": 480} for i in range(8)],
        "categories": [{"id": i, "name": str(i)} for i in (1, 2, 3)],
        "annotations": as_coco(gts, with_scores=False),
    }
    reference = library.COCO(dataset)
    judge = library.COCOeval_faster(
        reference, reference.loadRes(as_coco(ests, with_scores=True)), "bbox"
    )
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    ours = coco_map(ests, gts)
    assert np.mean(list(ours.values())) == pytest.approx(judge.stats[0], abs=1e-9)


def test_coco_prefers_instances_that_count_over_ignored_ones() -> None:
    box = [10.0, 10, 50, 50]
    shifted = [12.0, 10, 52, 50]
    ests = estimates([(0, 1, 0.9)], [box])
    gts = truth([(0, 1, 0.05), (0, 1, 0.9)], [box, shifted])
    # The ignored instance fits better, yet the visible one is credited where it fits at all.
    assert coco_map(ests, gts)[1] == pytest.approx(0.9)  # IoU 0.905: all thresholds but 0.95
