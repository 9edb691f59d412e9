"""How many kernels a frame launches: on a GPU a small operation costs about as much as a large one.

Counted with torch's profiler on the loaded model, on a CPU as on a GPU: operations that compute
or copy something and are not made of others that do. What a CPU alone runs (clustering in blocks)
is counted there.
"""

from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

PREFIX = "aten::"
# Operations that only describe memory: they launch nothing.
NAMES_FREE = """
    _conj _has_compatible_shallow_copy_type _local_scalar_dense _nnpack_available
    _reshape_alias _unsafe_view alias as_strided as_strided_ broadcast_tensors can_cast chunk
    conj contiguous cudnn_is_acceptable data detach detach_ diagonal empty empty_like
    empty_strided expand expand_as flatten is_floating_point is_nonzero is_same_size item
    lift_fresh meshgrid movedim narrow new_empty numel permute pin_memory promote_types real
    requires_grad_ reshape resize resize_ resolve_conj resolve_neg result_type select set_
    size slice split squeeze squeeze_ stride swapaxes t to transpose unbind unflatten unfold
    unsafe_split unsqueeze unsqueeze_ view view_as
"""
FREE = frozenset(NAMES_FREE.split())


def count_operations(model: Any, image: torch.Tensor, K: torch.Tensor) -> int:
    """Kernel-launching operations of one call.

    Args:
        model: a loaded estimator, called before: TorchScript specialises during the first calls.
        image: (1, H, W, 3) uint8 on the model's device.
        K: (1, 3, 3) px there.
    """
    with torch.inference_mode():
        for _ in range(2):
            model(image, K)
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            model(image, K)
    roots = [event for event in profiler.events() if event.cpu_parent is None]
    return sum(_launches(event) for event in roots)


def _launches(event: Any) -> int:
    """Kernels of an event of the profiler and of those within it."""
    within = sum(_launches(child) for child in event.cpu_children)
    own = event.name.startswith(PREFIX) and event.name.removeprefix(PREFIX) not in FREE
    return within or int(own)
