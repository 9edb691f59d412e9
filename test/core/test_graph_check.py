"""No CUDA graph holds what waits for the GPU: each kind is found, and no model has any."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from core_factory import make_estimator
from torch import Tensor, nn

from cope_ros.core.deployment.graph_check import check_graph, find_faults
from cope_ros.core.deployment.model_file import load_model
from cope_ros.core.errors import CopeError
from cope_ros.core.network.presets import PRESETS

ROOT = Path(__file__).resolve().parents[2]
# What the presets' files consist of; torch 2.11, the oldest that is supported, loads all of it.
OPERATIONS = frozenset((ROOT / "test" / "data" / "operations.txt").read_text().split())

SHIPPED = sorted((ROOT / "models").glob("*/model.pt"))


# Faults in TorchScript, and the operation that is to be named.
FAULTS = {
    "x * torch.tensor([1.0, 2.0], device=x.device)": "aten::tensor",
    "x + torch.ones(3)": "aten::ones",
    "x + torch.zeros([3], device=torch.device('cpu')).to(x.device)": "aten::zeros",
    "x * x.max().item()": "aten::item",
    "x * float(x.max())": "aten::Float",
    "x[: int(x[0])]": "aten::Int",
    "x if bool(x.any()) else -x": "aten::Bool",
    "x if x.sum() > 0 else -x": "aten::Bool",
    "x if torch.equal(x, x) else -x": "aten::equal",
    "x if torch.allclose(x, x) else -x": "aten::allclose",
    "x.nonzero()": "aten::nonzero",
    "torch.where(x > 0)[0]": "aten::where",
    "x[x > 0]": "aten::index",
    "x[torch.isfinite(x) & (x < 1)]": "aten::index",
    "x[(x > 0).view(-1).gather(0, x.argsort())]": "aten::index",
    "x[self.mask]": "aten::index",
    "x.masked_select(x > 0)": "aten::masked_select",
    "x.masked_fill(x > 0, x[0])": "aten::masked_fill",
    "torch.unique_consecutive(x)": "aten::unique_consecutive",
    "torch.bincount(x.long())": "aten::bincount",
    "x.repeat_interleave(x.long())": "aten::repeat_interleave",
    "nn.functional.one_hot(x.long())": "aten::one_hot",
    "torch.linalg.solve(self.A, x)": "aten::linalg_solve",
    "torch.linalg.inv(self.A)": "aten::linalg_inv",
    "torch.linalg.svd(self.A)[1]": "aten::linalg_svd",
    "torch.linalg.eigh(self.A)[0]": "aten::linalg_eigh",
    "torch.linalg.cholesky(self.A)": "aten::linalg_cholesky",
    "torch.linalg.solve_ex(self.A, x, check_errors=True)[0]": "aten::linalg_solve_ex",
    "x.cpu() + 1.0": "aten::cpu",
    "x.to('cpu')": "aten::to",
    "x.to(torch.device('cpu')) + 1.0": "aten::to",
    "x[torch.ones([3], dtype=torch.bool, device=x.device)]": "aten::index",
}
SOUND = [
    "x * torch.arange(3, device=x.device) + torch.full_like(x, 2.0)",
    "x[(x > 0).long()] + x.new_full([3], 1.0)",
    "x[x.argsort()] + torch.eye(3, device=x.device)[0]",
    "torch.where(x > 0, x, torch.zeros_like(x)).masked_fill(x > 1, 0.0)",
    "torch.linalg.solve_ex(self.A, x)[0] + torch.linalg.cross(x, x)",
    "x if x.shape[0] > 2 and x.dtype == torch.float32 else x[:2]",
    "nn.functional.one_hot(x.long(), 4)",
    "x if x.is_cuda else x * x.max().item()",
    "x if not (not x.is_cuda and torch.equal(x, x)) else -x",
    "x if x.device.type != 'cpu' else x[x > 0]",
    "x if self.known is None else x * float(x.max())",
]


class Model(nn.Module):
    """What the expressions above may use."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("A", torch.eye(3))
        self.register_buffer("mask", torch.ones(3, dtype=torch.bool))
        self.known: Tensor | None = None


def loaded(module: nn.Module) -> torch.jit.ScriptModule:
    """A module as it comes out of a model file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = io.BytesIO()
        torch.jit.save(torch.jit.script(module), file)
        file.seek(0)
        return torch.jit.load(file)


@pytest.fixture
def model_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], nn.Module]:
    """Return a function that makes a model of the body of its ``forward``."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(body: str) -> nn.Module:
        name = f"planted_{abs(hash(body))}"
        source = "import torch\nfrom torch import Tensor, nn\nfrom test_graph_check import Model\n"
        source += f"class Planted(Model):\n    def forward(self, x: Tensor):\n        {body}\n"
        (tmp_path / f"{name}.py").write_text(source)
        return __import__(name).Planted()

    return make


@pytest.mark.parametrize(("expression", "operation"), FAULTS.items())
def test_each_kind_of_fault_is_found(
    model_of: Callable[[str], nn.Module], expression: str, operation: str
) -> None:
    model = loaded(model_of(f"return {expression}"))
    assert operation in [fault.operation for fault in find_faults(model)]
    with pytest.raises(CopeError, match=f"here: no CUDA graph can hold this model.*{operation}"):
        check_graph(model, "here")


@pytest.mark.parametrize("expression", SOUND)
def test_what_a_graph_holds_is_let_through(
    model_of: Callable[[str], nn.Module], expression: str
) -> None:
    assert find_faults(loaded(model_of(f"return {expression}"))) == []


def test_faults_are_found_in_loops_in_branches_and_in_assignments(
    model_of: Callable[[str], nn.Module],
) -> None:
    lines = ["y = x", "for i in range(x.shape[0]):", "    if x.shape[0] > i:"]
    lines += ["        y = y[y > 0]", "x[x > 0] = 1.0", "x[1:] = 2.0", "print(x)", "return y"]
    faults = find_faults(loaded(model_of("\n        ".join(lines))))
    found = {fault.operation for fault in faults}
    assert found == {"aten::index", "aten::index_put_", "aten::tensor", "prim::Print"}
    assert any("y[y > 0]" in fault.place and "planted_" in fault.place for fault in faults)


@pytest.mark.parametrize("preset", PRESETS)
def test_no_preset_has_faults_or_operations_that_an_old_torch_lacks(preset: str) -> None:
    model = loaded(make_estimator(preset))
    assert find_faults(model) == []
    assert set(torch.jit.export_opnames(model)) <= OPERATIONS


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_no_shipped_model_has_faults_or_operations_that_an_old_torch_lacks(path: Path) -> None:
    model, _ = load_model(path, torch.device("cpu"))
    assert set(torch.jit.export_opnames(model)) <= OPERATIONS
    check_graph(model, str(path))
