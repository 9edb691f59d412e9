"""The refiner is trained on what the crop head says, in crops laid as they are in use."""

from dataclasses import replace

import pytest
import torch
from refiner_scene import CATALOGUE, SIZE, make_task
from test_crop_head_training import make_crop

from cope_ros.core import geometry
from cope_ros.core.refinement.crop_network import STRIDE
from cope_training.data.frames import Frame
from cope_training.tasks.crop_head.targets import CropHeadTargetBuilder
from cope_training.tasks.refiner.config import MARGIN
from cope_training.tasks.refiner.task import MAX_CORRECTION, RefinerCrops, RefinerTask

EXACT = {"found_share": 0.0, "center_error": 0.0, "size_error": 0.0, "rotation_error": 0.0}


def cut_crops(task: RefinerTask, frames: list[Frame]) -> RefinerCrops:
    crops = torch.stack([torch.from_numpy(f.image) for f in frames])
    return task.cut_crops(crops, task.targets(frames))


def test_the_close_up_says_what_is_wrong() -> None:
    """As it would of the crop without its margin, whose pose is found by hand."""
    task = make_task(found_share=1.0)
    frames = [make_crop(i, 3 * i, MARGIN) for i in range(3)]
    plain = [make_crop(i, 3 * i) for i in range(3)]
    crops = torch.stack([torch.from_numpy(f.image[MARGIN:-MARGIN, MARGIN:-MARGIN]) for f in frames])
    K = torch.from_numpy(plain[0].K).float().expand(3, 3, 3)
    classes = torch.arange(3)
    with torch.no_grad():
        R, center = task.crop_head.pose(task.crop_head(crops, classes), classes, K)
    result = cut_crops(task, frames)
    assert torch.allclose(result.R_wide_crop @ result.targets.R_start, R, atol=1e-4)
    back = (result.R_wide_crop @ result.targets.center_start[..., None]).squeeze(-1)
    assert torch.allclose(back, center, atol=1e-4)


def test_poses_of_another_side_are_seen_but_not_to_be_corrected() -> None:
    torch.manual_seed(1)  # of the weights, which find any rotation: few are near
    task = make_task(found_share=1.0)
    frames = [make_crop(0, i, MARGIN) for i in range(20)]
    targets = cut_crops(task, frames).targets
    angle = geometry.rotation_angle(targets.R, targets.R_start)
    assert torch.equal(targets.near > 0, angle < MAX_CORRECTION)
    assert 0 < targets.near.mean() < 1
    crops = torch.zeros(20, SIZE, SIZE, 3, dtype=torch.uint8)
    with torch.no_grad():
        delta, _ = task.part.predict_delta(crops, *targets.given)
        all_near = replace(targets, near=torch.ones(20))
        some, every = (task.loss(delta, t)["rotation"] for t in (targets, all_near))
        few = (every - some) / every
    assert few > 0.3  # most of what is wrong is not asked for


def test_a_share_of_the_poses_is_random() -> None:
    samples = make_task(found_share=0.25).targets([make_crop(0, 0, MARGIN)] * 400)
    assert samples.found.float().mean() == pytest.approx(0.25, abs=0.07)


def test_points_are_where_the_window_shows_them() -> None:
    task = make_task(**EXACT)
    frames = [make_crop(i, 5 + i, MARGIN) for i in range(3)]
    result, samples = cut_crops(task, frames), task.targets(frames)
    targets = result.targets
    assert targets.visible.mean() > 0.1
    steps = STRIDE * torch.arange(SIZE // STRIDE) + STRIDE // 2
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    pixels = geometry.project(targets.points.flatten(1, 2), targets.K)
    off = (pixels - torch.stack((x, y), -1).view(1, -1, 2)).abs().amax(-1)
    seen = targets.visible.flatten(1) > 0
    assert off[seen].max() < 0.9  # the nearest pixel of the wider crop
    wide = targets.points.flatten(1, 2) @ result.R_wide_crop.transpose(1, 2)
    place = geometry.project(wide, samples.K).round().long()
    for i in range(3):
        u, v = place[i, seen[i]].unbind(-1)
        assert torch.allclose(wide[i, seen[i], 2], samples.depth[i, v, u], atol=1e-5)
        assert samples.own[i, v, u].all()


def test_truth_is_the_same_in_all_frames() -> None:
    task = make_task(rotation_error=0.0, found_share=0.0)
    frames = [make_crop(0, 7, MARGIN)]
    result = cut_crops(task, frames)
    true = CropHeadTargetBuilder(CATALOGUE)(frames)
    assert torch.allclose(result.R_wide_crop @ result.targets.R, true.R[:, 0], atol=1e-5)
    middle = torch.tensor(CATALOGUE[0].corners.mean(0)).float()
    center = true.R[:, 0] @ middle + true.t[:, 0]
    back = (result.R_wide_crop @ result.targets.center[..., None]).squeeze(-1)
    assert torch.allclose(back, center, atol=1e-5)


def test_what_lies_beyond_the_wider_window_is_not_seen() -> None:
    task = make_task(found_share=0.0, center_error=0.0, size_error=0.0, zoom_sigma=0.0)
    frame = make_crop(0, 2, MARGIN)
    samples = task.targets([frame])
    far = samples.center_start.clone()
    far[:, 0] += 2.0 * float(samples.center_start[0, 2])
    samples = task.targets([frame]).__class__(**(vars(samples) | {"center_start": far}))
    assert task.cut_crops(torch.from_numpy(frame.image)[None], samples).targets.visible.sum() == 0


def test_only_the_refiner_gets_gradients() -> None:
    task = make_task(found_share=0.5)
    frames = [make_crop(i, i, MARGIN) for i in range(3)]
    crops = torch.stack([torch.from_numpy(f.image) for f in frames])
    task.part.points.normal_(std=0.03)
    task(crops, task.targets(frames), 0.0)["total"].backward()
    assert all(p.grad is None for p in task.crop_head.parameters())
    assert any(p.grad is not None and p.grad.any() for p in task.part.parameters())
