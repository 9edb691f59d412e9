"""The vectorised clustering against a naive loop, on random and on special scenes."""

import pytest
import torch

from cope_ros.core.clustering import box_iou, cluster, select_leaders


def naive(boxes: torch.Tensor, classes: torch.Tensor, active: torch.Tensor, threshold: float):
    """Greedy by score: join the best leader that overlaps, else lead."""
    leaders: list[int] = []
    joined = list(range(len(boxes)))
    iou = box_iou(boxes[None])[0]
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
def test_equals_the_naive_loop(batch: int, threshold: float) -> None:
    generator = torch.Generator().manual_seed(batch)
    low = 200 * torch.rand(batch, 120, 2, generator=generator)
    size = 40 + 60 * torch.rand(batch, 120, 2, generator=generator)
    boxes = torch.cat((low, low + size), -1)
    classes = torch.randint(3, (batch, 120), generator=generator)
    active = torch.rand(batch, 120, generator=generator) < 0.8
    leads, leader = cluster(boxes, classes, active, torch.tensor(threshold))
    for b in range(batch):
        expected, joined = naive(boxes[b], classes[b], active[b], threshold)
        assert leads[b].nonzero().squeeze(1).tolist() == expected
        assert leader[b].tolist() == joined


def test_iou_by_hand() -> None:
    boxes = torch.tensor([[[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [0, 0, 0, 0]]])
    iou = box_iou(boxes)[0]
    assert iou[0, 1] == pytest.approx(50 / 150)
    assert iou[0, 0] == pytest.approx(1.0)
    assert iou[0, 2] == 0
    assert torch.isfinite(iou).all()


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
