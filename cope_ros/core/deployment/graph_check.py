"""Refuses models that cannot run as one CUDA graph, without a GPU.

While CUDA records a graph, nothing may wait for the device: no number may be read off a tensor,
no tensor may be made from Python's numbers or copied to or from the host, no shape may depend on
values, and no solver may ask whether it succeeded. The check walks the graph that the model file
holds (``graph_walk``), not the code it was made from: both differ.
"""

from typing import Any, NamedTuple

import torch

from cope_ros.core.deployment import graph_operations as operations
from cope_ros.core.deployment.graph_walk import Known, Value, Walk, tensors_in
from cope_ros.core.errors import CopeError

NUMBER_TYPES = (torch.NumberType, torch.IntType, torch.FloatType, torch.BoolType, torch.StringType)
CALLS = ("prim::CallMethod", "prim::CallFunction", "prim::PythonOp", "prim::fork")


class Fault(NamedTuple):
    """One thing that a CUDA graph cannot hold."""

    operation: str
    reason: str
    place: str  # in the source, as far as the file tells

    def __str__(self) -> str:
        return f"{self.operation}: {self.reason} ({self.place})"


def find_faults(scripted: torch.jit.ScriptModule) -> list[Fault]:
    """What keeps a scripted (loaded) model from being captured; nothing, if it is empty."""
    found: dict[Fault, None] = {}  # a set in the order of the graph

    def visit(node: Any, arguments: dict[str, Value]) -> None:
        reason = refusal(node, arguments)
        if reason is not None:
            found[Fault(node.kind(), reason, place_of(node))] = None

    Walk(scripted, visit)
    return list(found)


def check_graph(scripted: torch.jit.ScriptModule, source: str) -> None:
    """Refuses a model that cannot be captured.

    Raises:
        CopeError: names the first faults and where they are.
    """
    faults = find_faults(scripted)
    if faults:
        shown = "; ".join(str(fault) for fault in faults[:3])
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise CopeError(f"{source}: no CUDA graph can hold this model: {shown}{more}")


def refusal(node: Any, arguments: dict[str, Value]) -> str | None:
    """Why a CUDA graph cannot hold a node; None if it can."""
    kind = node.kind()
    space, _, name = kind.partition("::")
    if kind in CALLS or space not in ("aten", "prim"):
        return "what it does is not known here"
    arrays = tensors_in(list(arguments.values()))
    if kind == "prim::Print" and arrays:
        return "prints values of the GPU"
    if space == "prim" and name not in ("NumToTensor", "tolist"):
        return None
    if kind == "prim::NumToTensor" or (space == "aten" and name in operations.FROM_NUMBERS):
        return "makes a tensor from Python's numbers, on the host"
    return (
        _reads(node, name, arguments, arrays)
        or _factorizes(name, arguments)
        or _depends_on_values(node, name, arguments)
        or _host(node, name, arguments, arrays)
    )


def _reads(node: Any, name: str, arguments: dict[str, Value], arrays: list[Any]) -> str | None:
    numbers = any(_is_number(output.type()) for output in node.outputs())
    if arrays and numbers and node.kind() not in operations.METADATA:
        return "waits for a value of the GPU"
    for argument, value in arguments.items():
        if (name, argument) in operations.READ_ARGUMENTS and tensors_in(value):
            return f"waits for the value of {argument}"
    return "waits for the GPU" if name in operations.WAITING else None


def _factorizes(name: str, arguments: dict[str, Value]) -> str | None:
    if name in operations.FACTORIZATIONS or (
        name.startswith("linalg_") and name not in operations.WITHOUT_CHECKS
    ):
        return "waits for the GPU to know whether it succeeded"
    if name == "linalg_norm" and arguments["ord"] != Known(None):
        return "may need singular values, which waits for the GPU"
    if name.endswith("_ex") and arguments.get("check_errors", Known(False)) != Known(False):
        return "asks for a check, which waits for the GPU"
    return None


def _depends_on_values(node: Any, name: str, arguments: dict[str, Value]) -> str | None:
    if name in operations.INDEXING:
        masked = any(a.mask for a in tensors_in(arguments["indices"]))
        return "selects by a mask, as many as it holds" if masked else None
    if name == "where" and "self" not in arguments:
        return "gives as many results as the values say"
    if name == "one_hot":
        unknown = arguments["num_classes"] == Known(-1)
        return "has as many columns as the values say" if unknown else None
    tags = _tags(node, name)
    if torch.Tag.dynamic_output_shape in tags or torch.Tag.data_dependent_output in tags:
        return "gives what only the values tell"
    return None


def _host(node: Any, name: str, arguments: dict[str, Value], arrays: list[Any]) -> str | None:
    if name in ("cpu", "numpy", "pin_memory"):
        return "copies to the host"
    device = arguments.get("device", Known(None))
    given = device.value if isinstance(device, Known) else None
    if given is not None and torch.device(given).type != "cuda":
        return "copies to the host" if arrays else "makes a tensor on the host"
    makes = any(isinstance(output.type(), torch.TensorType) for output in node.outputs())
    if makes and not arrays and "device" in arguments and given is None:
        return "makes a tensor on the host"
    return None


def _is_number(kind: Any) -> bool:
    if isinstance(kind, torch.ListType | torch.OptionalType):
        return _is_number(kind.getElementType())
    return isinstance(kind, NUMBER_TYPES)


def _tags(node: Any, name: str) -> list[Any]:
    """What torch says of an operation of its own."""
    overload = torch._C.parse_schema(node.schema()).overload_name or "default"
    packet = getattr(torch.ops.aten, name, None)
    return getattr(getattr(packet, overload, None), "tags", [])


def place_of(node: Any) -> str:
    """Where in the source a node comes from."""
    lines = node.sourceRange().strip().splitlines()
    marked = next((i for i, line in enumerate(lines) if "~" in line), 1)
    where = next((line.strip() for line in lines if line.lstrip().startswith("File ")), "")
    return f"{lines[max(0, marked - 1)].strip()} {where}".strip()
