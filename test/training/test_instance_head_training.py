"""Training of the instance head: what cells show, where it starts, and that it learns."""

import numpy as np
import pytest
import torch
from core_factory import make_catalogue
from test_frame_pool import numbered

from cope_ros.core import geometry
from cope_ros.core.errors import CopeError
from cope_ros.core.network.build import build_network
from cope_ros.core.network.cope_network import catalogue_corners, catalogue_diameters
from cope_ros.core.network.presets import PRESETS
from cope_ros.core.refinement.coordinate_fit import FittedPoses
from cope_ros.core.refinement.instance_regions import PICTURE_CHANNELS
from cope_training.data.frame_batch import DEPTH_UNIT, FrameBatch
from cope_training.engine.configuration import TrainConfig, config_from_dict
from cope_training.engine.distributed import Ranks
from cope_training.engine.trainer import Trainer
from cope_training.tasks.build import build_task
from cope_training.tasks.instance_head.losses import InstanceHeadLoss, Truth, cells_of
from cope_training.tasks.instance_head.rows import draw_rows
from cope_training.tasks.instance_head.starts import displaced

CATALOGUE = make_catalogue()
DIAMETERS = catalogue_diameters(CATALOGUE)
CENTERS = catalogue_corners(CATALOGUE).mean(1)
SIDE = 128
SMALL = {
    "task": "joint",
    "preset": "lite",
    "pretrained": "",
    "samples": 64,
    "batch": 2,
    "pose_pretraining": 0,
    "optimizer": {"name": "muon", "learning_rate": 0.002, "warm_up": 0.0},
    "augment": {"enabled": False},
}


def boxes_seen_head_on(count: int = 2) -> FrameBatch:
    """Images of object 0 and 1 that fill squares, at half a metre; depth is their front face's."""
    frames = []
    for number in range(count):
        frame = numbered(number)
        seen = np.full((SIDE, SIDE), -1, np.int16)
        seen[30:70, 10:50], seen[30:70, 70:110] = 0, 1
        image = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        K = np.array([[200.0, 0, 60], [0, 200.0, 50], [0, 0, 1]])
        poses = np.tile(np.eye(4), (2, 1, 1))
        poses[:, :3, 3] = [[-0.075, 0, 0.5], [0.075, 0, 0.5]]
        depth = np.where(seen >= 0, 0.5 - 0.03, 0.0).astype(np.float32)
        changes = {"image": image, "K": K, "T_cam_obj": poses, "instance_map": seen}
        frames.append(type(frame)(**{**vars(frame), **changes, "depth": depth}))
    return FrameBatch.of(frames)


def truth_of(batch: FrameBatch) -> Truth:
    """The true poses of all instances, flat."""
    images = torch.arange(len(batch.K)).repeat_interleave(2)
    rows = torch.arange(2).repeat(len(batch.K))
    return Truth(
        images, rows, batch.class_index.flatten(), batch.valid.flatten(), images < 0,
        batch.R.flatten(0, 1), batch.t.flatten(0, 1), batch.K[images],
    )  # fmt: skip


def test_cells_show_their_own_instance_and_its_depth() -> None:
    batch = boxes_seen_head_on()
    head = build_network(PRESETS["lite"], CATALOGUE).instance_head
    assert head is not None
    truth = truth_of(batch)
    size = torch.tensor([float(SIDE), float(SIDE)])
    regions = head.regions(truth.class_index, truth.R, truth.t, truth.K, size)
    cells = cells_of(batch, truth, regions)
    assert 0.2 < cells.visible.float().mean() < 0.9
    seen = cells.z[cells.known]
    assert (seen - 0.47).abs().max() <= DEPTH_UNIT
    loss = InstanceHeadLoss(head, catalogue_corners(CATALOGUE), TrainConfig().instance_head)
    own = loss._own_coordinates(regions, truth, cells, DIAMETERS[truth.class_index])
    front = (own @ regions.R)[..., 2][cells.known]  # back in the object's frame
    expected = -0.03 / DIAMETERS[truth.class_index].unsqueeze(1).expand_as(cells.known)
    torch.testing.assert_close(front, expected[cells.known], atol=2e-3, rtol=0)


def test_the_true_pose_costs_nothing() -> None:
    batch = boxes_seen_head_on()
    head = build_network(PRESETS["lite"], CATALOGUE).instance_head
    assert head is not None
    loss, truth = (
        InstanceHeadLoss(head, catalogue_corners(CATALOGUE), TrainConfig().instance_head),
        truth_of(batch),
    )
    fitted = type("Fitted", (), {"R": truth.R, "t": truth.t})()
    assert loss._distance(fitted, truth, DIAMETERS[truth.class_index]).max() < 1e-6


def test_doubts_learn_by_how_much_the_fit_is_too_sure() -> None:
    torch.manual_seed(0)
    number, wrong = 4000, torch.tensor([0.5, 2.0, 4.0])  # of x y, of z, of the rotation
    head = build_network(PRESETS["lite"], CATALOGUE).instance_head
    assert head is not None
    truth = truth_of(boxes_seen_head_on(number // 2))
    sigma = torch.tensor([0.02, 0.02, 0.02, 0.01, 0.01, 0.005])
    error = torch.randn(number, 6) * sigma * wrong[[2, 2, 2, 0, 0, 1]]
    size = torch.tensor([float(SIDE), float(SIDE)])
    regions = head.regions(truth.class_index, truth.R, truth.t, truth.K, size)
    side = DIAMETERS[truth.class_index].unsqueeze(1)
    ratio = torch.exp(-error[:, 5:])
    center = torch.cat((-error[:, 3:5] * side, regions.center[:, 2:] * ratio), 1)
    way = regions.R_cam_ray
    R = way @ geometry.exp_so3(-error[:, :3]) @ way.mT @ truth.R
    t = (way @ center.unsqueeze(-1)).squeeze(-1)
    t = t - (R @ CENTERS[truth.class_index].unsqueeze(-1)).squeeze(-1)
    fitted = FittedPoses(R, t, torch.diag_embed(sigma.pow(-2)).expand(number, 6, 6))
    loss = InstanceHeadLoss(head, catalogue_corners(CATALOGUE), TrainConfig().instance_head)
    true = loss._in_ray(regions, truth.class_index, truth.R, truth.t)
    found = loss._error(fitted, regions, truth.class_index, true)
    torch.testing.assert_close(found, error, atol=1e-4, rtol=0)
    doubt = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([doubt], lr=0.1)
    for _ in range(80):
        prediction = type("Prediction", (), {"doubt": doubt.expand(number, 3)})()
        optimizer.zero_grad()
        loss._doubt(prediction, fitted, regions, truth.class_index, true).mean().backward()
        optimizer.step()
    # Normal errors under a distribution with tails: a little less than they are.
    torch.testing.assert_close(doubt.detach().exp(), wrong, rtol=0.3, atol=0)
    assert (doubt.detach().exp() < wrong).all()


def test_starts_are_wrong_by_as_much_as_dense_poses() -> None:
    batch = FrameBatch.of([numbered(n) for n in range(200)])
    starts = displaced(batch, CENTERS, DIAMETERS, torch.Generator().manual_seed(0))
    depth = (starts.t[..., 2] / batch.t[..., 2]).log().abs()
    angle = geometry.rotation_angle(starts.R.flatten(0, 1), batch.R.flatten(0, 1))
    assert 0.01 < depth.median() < 0.08
    assert depth.max() < 0.7
    assert 4 < torch.rad2deg(angle).median() < 25


def test_the_head_learns_images_by_heart() -> None:
    torch.manual_seed(0)
    config = config_from_dict(SMALL)
    network = build_network(PRESETS["lite"], CATALOGUE)
    task = build_task(network, CATALOGUE, config, Ranks(), torch.Generator())
    batch = boxes_seen_head_on()
    size = (SIDE // 4, SIDE // 4)
    shared = torch.randn(2, 64 + PICTURE_CHANNELS, *size)
    starts = displaced(batch, CENTERS, DIAMETERS, torch.Generator().manual_seed(3))
    head = network.instance_head
    assert head is not None
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3)
    totals = []
    rows = draw_rows(starts, batch, CENTERS, config.instance_head)
    for _ in range(40):
        losses = task._refine(shared, rows, batch)
        total = torch.stack([v for k, v in losses.items() if not k.startswith("right")]).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(float(total))
    assert totals[-1] < 0.5 * totals[0]
    assert losses["right2"] >= 0.75


def test_a_joint_step_moves_both_stages() -> None:
    trainer = Trainer(config_from_dict(SMALL), CATALOGUE, torch.device("cpu"))
    trainer.train_mode()
    before = {n: p.detach().clone() for n, p in trainer.network.named_parameters()}
    values = trainer.train_step(boxes_seen_head_on())
    assert values["total"] > 0
    assert {"cls", "head_coordinates", "head_pose"} <= set(values)
    moved = {
        n.split(".")[0] for n, p in trainer.network.named_parameters() if (p != before[n]).any()
    }
    assert {"pyramid", "class_tower", "instance_head"} <= moved


def test_a_preset_without_a_head_is_refused() -> None:
    with pytest.raises(CopeError, match="instance head"):
        Trainer(
            config_from_dict(SMALL | {"preset": "lite_refiner"}), CATALOGUE, torch.device("cpu")
        )


def test_hours_set_the_schedule() -> None:
    trainer = Trainer(
        config_from_dict(SMALL | {"hours": 0.5, "samples": 10**9}), CATALOGUE, torch.device("cpu")
    )
    assert trainer.progress == 0.0
    trainer.pass_time(900.0)
    assert trainer.progress == pytest.approx(0.5)
    assert trainer.checkpoint({}).state["seconds"] == pytest.approx(900.0)
    trainer.pass_time(1800.0)
    assert trainer.progress == 1.0


def test_a_gpu_takes_what_the_configuration_has_for_it() -> None:
    config = config_from_dict(
        SMALL | {"gpu": {"batch": 48, "data": {"pool": 100}, "optimizer": {"learning_rate": 0.01}}}
    )
    assert config.on("cpu").batch == 2
    cuda = config.on("cuda:0")
    assert (cuda.batch, cuda.data.pool, cuda.optimizer.learning_rate) == (48, 100, 0.01)
    assert cuda.optimizer.name == "muon"
    with pytest.raises(CopeError, match="unknown keys"):
        config_from_dict(SMALL | {"gpu": {"batches": 48}}).on("cuda:0")
