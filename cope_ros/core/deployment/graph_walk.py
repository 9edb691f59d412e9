"""What a TorchScript graph does on a GPU: walks it once with values in place of numbers.

Branches whose condition follows from constants, attributes and the device are walked only on the
side that a GPU takes: ``if not x.is_cuda`` hides what is needed on the CPU alone.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch

from cope_ros.core.deployment.graph_operations import FIRST, MASKS, NUMBERS

GPU = torch.device("cuda")
BYTE, BOOL = 0, 11  # of c10::ScalarType, as which dtypes enter graphs
LOOP_PASSES = 3  # walks through a loop's body until its values are as general as they get


class Known(NamedTuple):
    """A constant, an attribute or what follows from them: a value of Python."""

    value: Any


@dataclass
class Array:
    """A tensor on the GPU."""

    mask: bool  # bool or uint8: as an index it selects as many values as it holds ones


class Unknown(NamedTuple):
    """A number, a string or the like that is not known before the graph runs."""


Value = Any  # Known, Array, Unknown, or a list or tuple of these

FOLDED: dict[str, Callable[..., Any]] = {
    "aten::__not__": operator.not_,
    "aten::eq": operator.eq,
    "aten::ne": operator.ne,
    "aten::lt": operator.lt,
    "aten::le": operator.le,
    "aten::gt": operator.gt,
    "aten::ge": operator.ge,
    "aten::__and__": operator.and_,
    "aten::__or__": operator.or_,
    "aten::add": operator.add,
    "aten::sub": operator.sub,
    "aten::mul": operator.mul,
    "prim::type": lambda device: device.type,
}
UNCHANGED = ("prim::unchecked_cast", "prim::unchecked_unwrap_optional", "aten::_unwrap_optional")


def tensors_in(value: Value) -> list[Array]:
    """All tensors of a value."""
    if isinstance(value, Array):
        return [value]
    return [a for v in value for a in tensors_in(v)] if type(value) in (list, tuple) else []


def joined(first: Value, second: Value) -> Value:
    """What is either of two values."""
    if type(first) is type(second) and first == second:
        return first
    lists = type(first) in (list, tuple) and type(first) is type(second)
    if lists and len(first) == len(second):
        return type(first)(joined(a, b) for a, b in zip(first, second, strict=True))
    arrays = tensors_in(first) + tensors_in(second)
    if not arrays:
        return Unknown()
    either = Array(any(a.mask for a in arrays))
    return [either] if list in (type(first), type(second)) else either


class Walk:
    """One walk through a module's ``forward``.

    Args:
        scripted: the module.
        visit: called with each node of the way a GPU takes, its arguments by name (or number) and
            their values.
    """

    def __init__(
        self, scripted: torch.jit.ScriptModule, visit: Callable[[Any, dict[str, Value]], None]
    ) -> None:
        self._visit = visit
        self._values: dict[str, Value] = {}
        graph = scripted.inlined_graph
        own, *inputs = graph.inputs()
        self._values[own.debugName()] = Known(scripted._c)
        for value in inputs:
            self._values[value.debugName()] = self._of_type(value.type(), False)
        self._nodes(graph)

    def _nodes(self, block: Any) -> list[Value]:
        for node in block.nodes():
            given = [self._values[v.debugName()] for v in node.inputs()]
            results = self._results(node, given)
            for output, result in zip(node.outputs(), results, strict=True):
                self._values[output.debugName()] = result
        return [self._values[v.debugName()] for v in block.outputs()]

    def _results(self, node: Any, given: list[Value]) -> Sequence[Value]:
        kind = node.kind()
        if kind == "prim::If":
            return self._branch(node, given[0])
        if kind == "prim::Loop":
            return self._loop(node, given)
        self._visit(node, named(node, given))
        if kind == "prim::Constant":
            return [Known(node.output().toIValue())]
        if kind == "prim::GetAttr":
            return [self._attribute(node, given[0])]
        if kind in ("prim::TupleConstruct", "prim::ListConstruct"):
            return [tuple(given) if kind == "prim::TupleConstruct" else list(given)]
        if kind in ("prim::TupleUnpack", "prim::ListUnpack"):
            return self._unpacked(node, given[0])
        if kind in UNCHANGED:
            return given[:1]
        folded = fold(kind, given)
        if folded is not None:
            return [folded]
        mask = holds_mask(node, given)
        return [self._of_type(v.type(), mask and i == 0) for i, v in enumerate(node.outputs())]

    def _branch(self, node: Any, condition: Value) -> Sequence[Value]:
        yes, no = node.blocks()
        if isinstance(condition, Known):
            return self._nodes(yes if condition.value else no)
        first, second = self._nodes(yes), self._nodes(no)
        return [joined(a, b) for a, b in zip(first, second, strict=True)]

    def _loop(self, node: Any, given: list[Value]) -> Sequence[Value]:
        _, condition, *carried = given
        if condition == Known(False):
            return carried
        (body,) = node.blocks()
        number, *inner = body.inputs()
        self._values[number.debugName()] = Unknown()
        for _ in range(LOOP_PASSES):
            for value, state in zip(inner, carried, strict=True):
                self._values[value.debugName()] = state
            after = self._nodes(body)[1:]
            before = carried
            carried = [joined(a, b) for a, b in zip(before, after, strict=True)]
            if carried == before:
                break
        return carried

    def _attribute(self, node: Any, owner: Value) -> Value:
        if not isinstance(owner, Known):
            return self._of_type(node.output().type(), False)
        value = owner.value.getattr(node.s("name"))
        if isinstance(value, torch.Tensor):
            return Array(value.dtype in (torch.bool, torch.uint8))
        return Known(value)

    def _unpacked(self, node: Any, value: Value) -> Sequence[Value]:
        outputs = list(node.outputs())
        if type(value) in (list, tuple) and len(value) == len(outputs):
            return list(value)
        mask = any(a.mask for a in tensors_in(value))
        return [self._of_type(v.type(), mask) for v in outputs]

    def _of_type(self, kind: Any, mask: bool) -> Value:
        if isinstance(kind, torch.OptionalType):
            return self._of_type(kind.getElementType(), mask)
        if isinstance(kind, torch.TensorType):
            return Array(mask)
        if isinstance(kind, torch.ListType):
            element = self._of_type(kind.getElementType(), mask)
            return [element] if tensors_in(element) else Unknown()
        if isinstance(kind, torch.TupleType):
            return tuple(self._of_type(k, mask) for k in kind.elements())
        return Unknown()


def named(node: Any, given: Sequence[Value]) -> dict[str, Value]:
    """The arguments of a node by the names in its schema, else by their numbers."""
    names = argument_names(node.schema())
    numbers = tuple(str(i) for i in range(len(names), len(given)))  # any number of arguments
    return dict(zip(names + numbers, given, strict=True))


@cache
def argument_names(schema: str) -> tuple[str, ...]:
    """Names of an operation's arguments."""
    known = schema != "(no schema)"
    return tuple(a.name for a in torch._C.parse_schema(schema).arguments) if known else ()


def fold(kind: str, given: Sequence[Value]) -> Value | None:
    """What a node gives on a GPU, if that is known; else None."""
    if kind.startswith("prim::is_") and given and isinstance(given[0], Array):
        return Known(kind == "prim::is_cuda")
    if kind == "prim::device" and isinstance(given[0], Array):
        return Known(GPU)
    if kind in ("aten::__is__", "aten::__isnot__"):
        return _same(kind, given)
    if kind == "aten::append" and type(given[0]) is list:
        given[0].append(given[1])
        return given[0]
    if kind == "aten::__getitem__" and type(given[0]) in (list, tuple) and given[0]:
        return _item(given[0], given[1])
    if kind in FOLDED and all(isinstance(value, Known) for value in given):
        return Known(FOLDED[kind](*(value.value for value in given)))
    return None


def _same(kind: str, given: Sequence[Value]) -> Value | None:
    """``is`` and ``is not``; values of which only the type is known are not None."""
    if Unknown() in given:
        return None
    known = [isinstance(value, Known) for value in given]
    same = given[0].value is given[1].value if all(known) else False
    return Known(same == (kind == "aten::__is__"))


def _item(values: Sequence[Value], number: Value) -> Value:
    if isinstance(number, Known) and -len(values) <= number.value < len(values):
        return values[number.value]
    result = values[0]
    for value in values[1:]:
        result = joined(result, value)
    return result


def holds_mask(node: Any, given: Sequence[Value]) -> bool:
    """Whether the (first) tensor that comes out of a node is a mask."""
    name = node.kind().partition("::")[2]
    dtype = named(node, given).get("dtype")
    if isinstance(dtype, Known) and isinstance(dtype.value, int):
        return dtype.value in (BYTE, BOOL)
    if name in MASKS or name in NUMBERS:
        return name in MASKS
    if name == "where":
        given = given[1:]
    arrays = tensors_in(list(given))
    if name in FIRST:
        arrays = arrays[:1]
    numbers = any(isinstance(v, Known) and type(v.value) in (int, float) for v in given)
    if name in ("add", "sub", "mul", "rsub", "pow") and numbers:
        return False
    return bool(arrays) and all(a.mask for a in arrays)
