"""Hypotheses to instances by mutual box overlap, in fixed shapes (paper, section 3.4).

Every hypothesis overlaps or does not overlap each better one of its class. A hypothesis
without a better *leader* that it overlaps leads a cluster itself; every other joins the
best leader it overlaps. That is greedy clustering by score, written as a fixed point of
matrix-vector products, so that nothing depends on the number of instances.
"""

import torch
from torch import Tensor

from cope_ros.core import geometry

# A fixed point needs one round for each link of the longest chain "suppressed by one that
# is itself suppressed". Chains of real scenes have 2 to 6 links.
MAX_ROUNDS = 24
# Rows compared at a time on a CPU: half a megabyte per matrix stays in the core's cache, and
# what lies above the diagonal is mostly left out. A GPU takes all rows at once.
CPU_BLOCK = 128
SAME_ASIDE = 0.25  # of the diameter, across the ray, and
SAME_DEEPER = 0.15  # of the depth, along it: nearer than that two of a kind are one


def overlaps(
    boxes: Tensor, class_index: Tensor, start: int, stop: int, iou_threshold: Tensor
) -> Tensor:
    """Which of the better hypotheses of its class each of the given rows overlaps.

    Intersection over union exceeds a threshold q where (1 + q) times the intersection
    exceeds q times the sum of the areas, which needs neither union nor division.

    Args:
        boxes: (B, K, 4) px x1 y1 x2 y2, best score first; empty boxes overlap nothing.
        class_index: (B, K) int64.
        start, stop: the rows in question.
        iou_threshold: () float in [0, 1].

    Returns:
        (B, stop - start, stop) float, 1 where row and column overlap, else 0.
    """
    x1, y1, x2, y2 = boxes[:, :stop].permute(2, 0, 1).contiguous().unbind(0)
    area = (x2 - x1).clamp_min(0.0) * (y2 - y1).clamp_min(0.0) * iou_threshold
    width = torch.minimum(x2[:, start:, None], x2[:, None, :])
    width = width.sub_(torch.maximum(x1[:, start:, None], x1[:, None, :])).clamp_min_(0.0)
    height = torch.minimum(y2[:, start:, None], y2[:, None, :])
    height = height.sub_(torch.maximum(y1[:, start:, None], y1[:, None, :])).clamp_min_(0.0)
    both = width.mul_(height).mul_(1.0 + iou_threshold)
    found = both > area[:, start:, None] + area[:, None, :]
    classes = class_index[:, :stop].to(boxes.dtype)  # compared four times as fast as int64
    found = (found & (classes[:, start:, None] == classes[:, None, :])).to(boxes.dtype)
    found[:, :, start:].tril_(-1)
    return found


def cluster(
    boxes: Tensor,
    class_index: Tensor,
    active: Tensor,
    iou_threshold: Tensor,
    cpu_block: int = CPU_BLOCK,
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
    block = n if boxes.is_cuda else cpu_block
    boxes = torch.where(active.unsqueeze(-1), boxes, torch.zeros_like(boxes))
    rows = torch.arange(n, device=boxes.device)
    leads = torch.zeros_like(boxes[..., 0])
    leader = rows.expand_as(active).clone()
    for start in range(0, n, block):
        stop = min(start + block, n)
        overlap = overlaps(boxes, class_index, start, stop, iou_threshold)
        # Better blocks are settled; inside of this one the fixed point is sought.
        joined = torch.bmm(overlap, leads[:, :stop].unsqueeze(-1)).squeeze(-1) > 0.5
        free = active[:, start:stop] & ~joined
        leads[:, start:stop] = _fixed_point(overlap[:, :, start:], free).to(leads.dtype)
        # The best leader is the one with the most rows behind it.
        behind = leads[:, :stop] * (n - rows[:stop])
        best = (overlap * behind.unsqueeze(1)).amax(-1)
        own = rows[start:stop].to(best.dtype)
        leader[:, start:stop] = torch.where(best > 0.5, n - best, own).long()
    return leads > 0.5, leader


def _fixed_point(overlap: Tensor, free: Tensor, max_rounds: int = MAX_ROUNDS) -> Tensor:
    """(B, b, b) overlaps and (B, b) bool free rows -> (B, b) bool, which of these lead."""
    leads = free
    for _ in range(max_rounds):
        suppressed = torch.bmm(overlap, leads.to(overlap.dtype).unsqueeze(-1)).squeeze(-1) > 0.5
        updated = free & ~suppressed
        # Asking whether the fixed point is reached waits for the device: only on the CPU.
        done = (not overlap.is_cuda) and torch.equal(updated, leads)
        leads = updated
        if done:
            break
    return leads


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


def nms_3d(
    class_index: Tensor,
    valid: Tensor,
    center: Tensor,
    size: Tensor,
    same_aside: float = SAME_ASIDE,
    same_deeper: float = SAME_DEEPER,
) -> Tensor:
    """(B, M) bool: a better instance of the class lies at nearly the same place.

    Two objects of one kind cannot: their middles would be nearer than a quarter of their size.
    Along the ray, where estimates are far less exact, they have to be farther apart.

    Args:
        class_index, valid: (B, M), best first.
        center: (B, M, 3) m, middles.
        size: (B, M) m, diameters.
        same_aside, same_deeper: shares of diameter and depth, see above.
    """
    depth = center[..., 2:].clamp_min(1e-3)
    ray = center[..., :2] / depth
    aside = geometry.length(ray.unsqueeze(2) - ray.unsqueeze(1)) * depth
    deeper = (depth - depth.transpose(1, 2)).abs()
    near = (aside < same_aside * size.unsqueeze(-1)) & (deeper < same_deeper * depth)
    alike = (class_index.unsqueeze(2) == class_index.unsqueeze(1)) & valid.unsqueeze(1)
    return torch.tril(near & alike, -1).any(2) & valid
