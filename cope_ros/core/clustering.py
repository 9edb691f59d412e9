"""Hypotheses to instances by mutual box overlap, in fixed shapes (paper, section 3.4).

Every hypothesis overlaps or does not overlap each better one of its class. A hypothesis
without a better *leader* that it overlaps leads a cluster itself; every other joins the
best leader it overlaps. That is greedy clustering by score, written as a fixed point of
matrix-vector products, so that nothing depends on the number of instances.
"""

import torch
from torch import Tensor

# A fixed point needs one round for each link of the longest chain "suppressed by one that
# is itself suppressed". Chains of real scenes have 2 to 6 links.
MAX_ROUNDS = 24


def box_iou(boxes: Tensor) -> Tensor:
    """(B, K, 4) x1 y1 x2 y2 -> (B, K, K) intersection over union."""
    low = torch.maximum(boxes[:, :, None, 0:2], boxes[:, None, :, 0:2])
    high = torch.minimum(boxes[:, :, None, 2:4], boxes[:, None, :, 2:4])
    size = (high - low).clamp_min(0.0)
    intersection = size[..., 0] * size[..., 1]
    extent = (boxes[..., 2:4] - boxes[..., 0:2]).clamp_min(0.0)
    area = extent[..., 0] * extent[..., 1]
    union = area[:, :, None] + area[:, None, :] - intersection
    return intersection / union.clamp_min(1e-6)


def cluster(
    boxes: Tensor,
    class_index: Tensor,
    active: Tensor,
    iou_threshold: Tensor,
    max_rounds: int = MAX_ROUNDS,
) -> tuple[Tensor, Tensor]:
    """Groups hypotheses of one class whose boxes overlap.

    Args:
        boxes: (B, K, 4) px, best score first.
        class_index: (B, K) int64.
        active: (B, K) bool, hypotheses above the score threshold.
        iou_threshold: () float in [0, 1]; overlap means above it.

    Returns:
        (B, K) bool, which hypotheses lead a cluster, and (B, K) int64, the row of each
        hypothesis's leader (its own row for leaders and for inactive hypotheses).
    """
    n = boxes.shape[1]
    rows = torch.arange(n, device=boxes.device)
    same = class_index[:, :, None] == class_index[:, None, :]
    pair = active[:, :, None] & active[:, None, :]
    better = rows[None, :] < rows[:, None]
    overlap = (box_iou(boxes) > iou_threshold) & same & pair & better
    weights = overlap.to(boxes.dtype)
    leads = active
    for _ in range(max_rounds):
        suppressed = torch.bmm(weights, leads.to(boxes.dtype).unsqueeze(-1)).squeeze(-1) > 0.5
        updated = active & ~suppressed
        # Asking whether the fixed point is reached waits for the device: only on the CPU.
        done = (not boxes.is_cuda) and torch.equal(updated, leads)
        leads = updated
        if done:
            break
    candidates = overlap & leads[:, None, :]
    first = candidates.to(torch.uint8).argmax(-1)
    own = rows.unsqueeze(0).expand_as(first)
    leader = torch.where(candidates.any(-1), first, own)
    return leads, leader


def select_leaders(leads: Tensor, max_instances: int) -> tuple[Tensor, Tensor]:
    """The first ``max_instances`` leaders, padded.

    Args:
        leads: (B, K) bool.

    Returns:
        (B, M) int64 rows and (B, M) bool, false in the padding.
    """
    n = leads.shape[1]
    rows = torch.arange(n, device=leads.device).unsqueeze(0)
    order = torch.where(leads, rows, rows + n)
    value, index = order.topk(min(max_instances, n), dim=1, largest=False, sorted=True)
    return index, value < n
