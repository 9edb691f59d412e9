"""Networks in half precision: float16 on a GPU, bfloat16 on a CPU that computes with it."""

from typing import Any

import torch

from cope_ros.core.errors import CopeError

# Parts whose learned layers decide on millimetres, or that no half precision has been measured on.
EXACT_PARTS = ("pose_head", "crop_head", "refiner", "contour_fit")
EXACT_HEAD_PARTS = ("regions", "surface", "fit")  # geometry
NO_HALF = "expected a GPU or a CPU with bfloat16 instructions (AVX512_BF16 or AMX), got neither"
_CPU_TESTS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # of torch.cpu


def half_dtype(device: torch.device) -> torch.dtype | None:
    """What half precision means on a device; None where it would only be slower.

    A CPU without instructions for bfloat16 (AVX512_BF16 or AMX) emulates it.
    """
    if device.type == "cuda":
        return torch.float16
    tests = (getattr(torch.cpu, name, None) for name in _CPU_TESTS)
    return torch.bfloat16 if any(test is not None and test() for test in tests) else None


def halve(network: Any, dtype: torch.dtype) -> None:
    """Puts a network in half precision, in place, but for pose head, crop head,
    refiner, fit to outlines, stem and the geometry of the instance head.

    Poses need the mantissa of all these. In the stem, batch norms of nearly constant channels
    leave folded weights up to 100 that cancel each other: eleven bits there cost four fifths
    of all deviation and a few percent of the work.

    Args:
        network: of a loaded file or not, see ``CopeNetwork``.
        dtype: see ``half_dtype``.

    Raises:
        CopeError: bfloat16 for a file that was exported before there was a choice.
    """
    backbone = network.backbone
    if hasattr(backbone, "stage_precision"):
        backbone.stage_precision = backbone.stage_precision.to(dtype)
    elif dtype == torch.float16 and hasattr(backbone, "half_stages"):  # exports before bfloat16
        backbone.half_stages = True
    else:
        raise CopeError(f"half: the model file knows no {dtype}; export it again")
    for stage in (backbone.stage3, backbone.stage4, backbone.stage5):
        stage.to(dtype)
    for name, child in network.named_children():
        if name not in ("backbone", "instance_head", *EXACT_PARTS):
            child.to(dtype)
    head = getattr(network, "instance_head", None)
    if head is not None:
        for name, child in head.named_children():
            if name not in EXACT_HEAD_PARTS:
                child.to(dtype)
