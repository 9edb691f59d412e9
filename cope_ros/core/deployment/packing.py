"""All fields of the instances in one tensor, so that one copy brings them to the host."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cope_ros.core.types import Instances


@dataclass(frozen=True)
class Field:
    """Where a field lies in a packed row."""

    name: str
    shape: tuple[int, ...]  # of one instance
    dtype: torch.dtype
    start: int
    stop: int


def layout(instances: Instances) -> tuple[Field, ...]:
    """The places of all fields, in their order; from shapes alone."""
    fields, start = [], 0
    for name, value in instances._asdict().items():
        shape = tuple(value.shape[2:])
        stop = start + int(np.prod(shape, dtype=int))
        fields.append(Field(name, shape, value.dtype, start, stop))
        start = stop
    return tuple(fields)


def pack(instances: Instances) -> Tensor:
    """Instances of B images -> (B, M, W) float32; integers below 2^24 stay exact."""
    batch, rows = instances.valid.shape
    return torch.cat([v.reshape(batch, rows, -1).float() for v in instances], -1)


def unpack(rows: np.ndarray, fields: tuple[Field, ...]) -> dict[str, np.ndarray]:
    """(M, W) float32 of one image -> field name to the (N, ...) rows that are valid."""
    valid = next(field for field in fields if field.name == "valid")
    kept = rows[rows[:, valid.start] > 0.5]
    return {
        field.name: kept[:, field.start : field.stop]
        .reshape(len(kept), *field.shape)
        .astype(_numpy_type(field.dtype))
        for field in fields
        if field is not valid
    }


def _numpy_type(dtype: torch.dtype) -> type:
    return np.float32 if dtype.is_floating_point else np.int64
