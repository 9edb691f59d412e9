"""The vectorised clustering against a naive loop, on random and on special scenes."""

import pytest
import torch

from cope_ros.core.detection.clustering import cluster, overlaps, select_leaders


def box_iou(boxes: torch.Tensor) -> torch.Tensor:
    """(K, 4) -> (K, K) intersection over union, one pair at a time."""
    iou = torch.zeros(len(boxes), len(boxes))
    for i, a in enumerate(boxes.tolist()):
        for j, b in enumerate(boxes.tolist()):
            width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
            height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
            area_a, area_b = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
            iou[i, j] = width * height / max(area_a + area_b - width * height, 1e-6)
    return iou


def naive(boxes: torch.Tensor, classes: torch.Tensor, active: torch.Tensor, threshold: float):
    """Greedy by score: join the best leader that overlaps, else lead."""
    leaders: list[int] = []
    joined = list(range(len(boxes)))
    iou = box_iou(boxes)
    for row in range(len(boxes)):
        if not active[row]:
            continue
        fits = [k for k in leaders if classes[k] == classes[row] and iou[row, k] > threshold]
        if fits:
            joined[row] = fits[0]
        else:
            leaders.append(row)
    return leaders, joined


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("block", [32, 1000])  # several blocks of rows, and all at once
def test_equals_the_naive_loop(batch: int, threshold: float, block: int) -> None:
    generator = torch.Generator().manual_seed(batch)
    low = 200 * torch.rand(batch, 120, 2, generator=generator)
    size = 40 + 60 * torch.rand(batch, 120, 2, generator=generator)
    boxes = torch.cat((low, low + size), -1)
    classes = torch.randint(3, (batch, 120), generator=generator)
    active = torch.rand(batch, 120, generator=generator) < 0.8
    leads, leader = cluster(boxes, classes, active, torch.tensor(threshold), block)
    for b in range(batch):
        expected, joined = naive(boxes[b], classes[b], active[b], threshold)
        assert leads[b].nonzero().squeeze(1).tolist() == expected
        assert leader[b].tolist() == joined


def test_overlaps_by_hand() -> None:
    boxes = torch.tensor([[[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [0, 0, 0, 0]]])
    classes = torch.zeros(1, 4).long()

    def found(threshold: float) -> torch.Tensor:
        return overlaps(boxes, classes, 0, 4, torch.tensor(threshold))[0]

    assert found(0.0).nonzero().tolist() == [[1, 0]]
    assert found(50 / 150 - 1e-3).nonzero().tolist() == [[1, 0]]
    assert not found(50 / 150 + 1e-3).any()
    rows = overlaps(boxes, classes, 1, 3, torch.tensor(0.1))
    assert rows.shape == (1, 2, 3)
    assert rows[0].nonzero().tolist() == [[0, 0]]


def test_boxes_without_area_or_finite_corners_stay_alone() -> None:
    nan, inf = float("nan"), float("inf")
    wild = [[nan, 0, 10, 10], [-inf, -inf, inf, inf], [10, 10, 0, 0], [0, 0, 0, 0]]
    boxes = torch.tensor([[[0.0, 0, 10, 10], *wild]])
    active = torch.ones(1, 5, dtype=torch.bool)
    leads, leader = cluster(boxes, torch.zeros(1, 5).long(), active, torch.tensor(0.5))
    assert leads.all()
    assert leader[0].tolist() == [0, 1, 2, 3, 4]


def test_nothing_active_gives_no_leader() -> None:
    boxes, classes = torch.zeros(2, 5, 4), torch.zeros(2, 5).long()
    leads, _ = cluster(boxes, classes, torch.zeros(2, 5, dtype=torch.bool), torch.tensor(0.5))
    rows, valid = select_leaders(leads, 3)
    assert rows.shape == valid.shape == (2, 3)
    assert not valid.any()


def test_more_clusters_than_rows_keeps_the_best() -> None:
    leads = torch.tensor([[False, True, True, False, True]])
    rows, valid = select_leaders(leads, 2)
    assert rows.tolist() == [[1, 2]]
    assert valid.all()


def test_other_classes_do_not_join() -> None:
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 10]]])
    both = torch.ones(1, 2, dtype=torch.bool)
    leads, _ = cluster(boxes, torch.tensor([[0, 1]]), both, torch.tensor(0.5))
    assert leads.all()
