"""The refinement stage that holds an instance head: what it refines, scores and gives once."""

from dataclasses import replace

import pytest
import torch
from core_factory import make_catalogue, make_estimator, make_K
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.network.build import build_network
from cope_ros.core.network.presets import PRESETS, InstanceHeadConfig
from cope_ros.core.refinement.instance_refinement import InstanceRefinement
from cope_ros.core.refinement.instance_regions import PICTURE_CHANNELS
from cope_ros.core.types import Instances, RefinementInputs

CATALOGUE = make_catalogue()
SHARED = 64 + PICTURE_CHANNELS  # channels of the map that a head of preset lite sees


def make_found(instances: int = 60) -> tuple[Instances, Tensor]:
    """So many instances of one image in 100 rows, scores falling, and the image's K."""
    rows, generator = 100, torch.Generator().manual_seed(1)
    t = torch.rand(1, rows, 3, generator=generator) * torch.tensor([4.0, 3.0, 0.4])
    t = t - torch.tensor([2.0, 1.5, -4.0])
    found = Instances(
        torch.arange(rows)[None] < instances,
        torch.arange(rows)[None] % 3,
        torch.linspace(0.99, 0.5, rows)[None],
        geometry.exp_so3(torch.randn(1, rows, 3, generator=generator)),
        t,
        torch.eye(6).expand(1, rows, 6, 6) * 1e-4,
        torch.zeros(1, rows, 4),
        torch.zeros(1, rows, 8, 2),
        torch.full((1, rows), 5),
        torch.zeros(1, rows),
    )
    return found, torch.tensor([[[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]])


@pytest.mark.parametrize("most", [8, 48, 200])
def test_the_stage_refines_as_many_as_it_takes(most: int) -> None:
    torch.manual_seed(0)
    preset = replace(PRESETS["lite"], instance_head=InstanceHeadConfig(max_refined=most))
    head = build_network(preset, CATALOGUE).eval().instance_head
    assert head is not None
    stage = torch.jit.script(InstanceRefinement(head, CATALOGUE))
    found, K = make_found()
    inputs = RefinementInputs(torch.zeros(1, 480, 640, 3), K, torch.randn(1, 64, 120, 160))
    with torch.inference_mode():
        refined = stage(inputs, found)
    assert all(torch.isfinite(field.float()).all() for field in refined)
    assert refined.valid.sum() <= 60
    kept = (refined.t[0, refined.valid[0]].unsqueeze(1) - found.t[0]).norm(dim=-1).amin(1) < 1e-6
    assert int(kept.sum()) == max(0, 60 - most)
    valid = refined.score[0][refined.valid[0]]
    assert (valid.diff() <= 0).all()


def test_scores_weigh_being_there_more_than_being_right() -> None:
    torch.manual_seed(0)
    head = build_network(PRESETS["lite"], CATALOGUE).eval().instance_head
    assert head is not None
    found, K = make_found(4)
    inputs = RefinementInputs(torch.zeros(1, 480, 640, 3), K, torch.randn(1, SHARED, 120, 160))
    with torch.inference_mode():
        expected = {}
        for logit in (-3.0, 2.0):
            head.pose_output.weight[-1].zero_()
            head.pose_output.bias[-1] = logit
            refined = InstanceRefinement(head, CATALOGUE)(inputs, found)
            expected[logit] = refined.score[0, refined.valid[0]].sort().values
    ratio = (torch.sigmoid(torch.tensor(-3.0)) / torch.sigmoid(torch.tensor(2.0))) ** 0.5
    torch.testing.assert_close(expected[-3.0], expected[2.0] * ratio)
    assert (expected[2.0] < found.score[0, :4].sort().values).all()


def test_one_object_found_twice_is_given_once() -> None:
    torch.manual_seed(0)
    head = build_network(PRESETS["lite"], CATALOGUE).eval().instance_head
    assert head is not None
    found, K = make_found(4)
    found = found._replace(
        t=found.t[:, :1].expand(-1, 100, -1), class_index=torch.zeros_like(found.class_index)
    )
    inputs = RefinementInputs(torch.zeros(1, 480, 640, 3), K, torch.randn(1, SHARED, 120, 160))
    with torch.inference_mode():
        refined = InstanceRefinement(head, CATALOGUE)(inputs, found)
    assert refined.valid.sum() == 1


def test_an_estimator_with_an_instance_head_is_scripted_as_it_runs() -> None:
    estimator = make_estimator("lite")
    image = torch.randint(0, 256, (2, 128, 160, 3), dtype=torch.uint8)
    with torch.inference_mode():
        eager = estimator(image, make_K(2))
        scripted = torch.jit.script(estimator)(image, make_K(2))
    assert eager.valid.any()
    for name, a, b in zip(Instances._fields, eager, scripted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3, msg=name)
