"""The instance head learns from poses of objects that are not there."""

from types import SimpleNamespace

import pytest
import torch
from core_factory import make_catalogue
from test_instance_head_training import SIDE, SMALL, boxes_seen_head_on

from cope_ros.core import geometry
from cope_ros.core.detection.locations import make_locations
from cope_ros.core.network.build import build_network
from cope_ros.core.network.cope_network import catalogue_corners
from cope_ros.core.network.presets import PRESETS
from cope_ros.core.refinement.instance_regions import PICTURE_CHANNELS
from cope_training.data.frame_batch import FrameBatch
from cope_training.engine.configuration import config_from_dict
from cope_training.engine.distributed import Ranks
from cope_training.engine.trainer import Trainer
from cope_training.tasks.build import build_task
from cope_training.tasks.dense.losses import Predictions
from cope_training.tasks.dense.targets import IGNORE, Targets
from cope_training.tasks.instance_head.absent import absent_objects
from cope_training.tasks.instance_head.rows import NOWHERE, Rows
from cope_training.tasks.instance_head.task import InstanceHeadTargets, InstanceHeadTask

CATALOGUE = make_catalogue()
CLASSES = len(CATALOGUE)
CORNERS = catalogue_corners(CATALOGUE)
CENTERS, STRIDES = make_locations(SIDE, SIDE, torch.device("cpu"))
SEEN_AT = (33, 50)  # px, on object 0 of every image
NOTHING_AT = (60, 110)  # px, background, 60 px below both objects


def make_task(**settings: object) -> InstanceHeadTask:
    torch.manual_seed(0)
    config = config_from_dict(SMALL | {"instance_head": settings})
    network = build_network(PRESETS["lite"], CATALOGUE)
    task = build_task(network, CATALOGUE, config, Ranks(), torch.Generator())
    assert isinstance(task, InstanceHeadTask)
    return task


def location_at(x: float, y: float) -> int:
    """The nearest location of stride 8."""
    distance = (CENTERS - torch.tensor([float(x), float(y)])).norm(dim=1)
    return int(torch.where(STRIDES == 8, distance, 1e6).argmin())


def proposing(
    task: InstanceHeadTask, batch: FrameBatch, location: int, class_index: int, t: torch.Tensor
) -> tuple[Predictions, Targets]:
    """Outputs of which one location of each image is sure of a pose, and the targets."""
    targets = task.targets.build(batch).dense
    logits = torch.full((*targets.labels.shape, CLASSES), -12.0)
    logits[:, location, class_index] = 6.0
    points = geometry.transform(torch.eye(3), t, CORNERS[class_index])
    corners = geometry.project(points, batch.K[0])
    dense = task.loss.dense
    unit = (
        dense.diameters[class_index] * 1000 * 0.65 if dense.by_diameter else STRIDES[location] * 8
    )
    keys = torch.zeros(*targets.labels.shape, 16)
    keys[:, location] = ((CENTERS[location] - corners) / unit).flatten()
    return Predictions(logits, torch.zeros(*targets.labels.shape, 4), keys), targets


def proposed(location: tuple[int, int], class_index: int, t: list[float]) -> Rows:
    task, batch = make_task(), boxes_seen_head_on()
    at = location_at(*location)
    predictions, targets = proposing(task, batch, at, class_index, torch.tensor(t))
    return absent_objects(predictions, targets.labels, batch, task.loss.dense, 1)


def test_a_sure_location_on_the_background_gives_its_pose() -> None:
    rows = proposed(NOTHING_AT, 1, [0.0, 0.15, 0.5])
    assert rows.absent.tolist() == [True, True]
    assert not rows.counts.any()
    assert rows.class_index.tolist() == [1, 1]
    assert rows.image.tolist() == [0, 1]
    assert (rows.row == NOWHERE).all()
    place = rows.t[:, :2] / rows.t[:, 2:]  # an untrained pose head knows no depth
    torch.testing.assert_close(place, torch.tensor([[0.0, 0.3]] * 2), atol=0.02, rtol=0)


def test_another_class_on_an_object_is_absent_and_its_own_is_never_taken() -> None:
    place = [-0.075, 0.0, 0.5]
    assert proposed(SEEN_AT, 1, place).absent.all()  # object 1 lies 0.15 m aside
    seen = torch.tensor(place[:2]) / place[2]
    own = proposed(SEEN_AT, 0, place)
    assert (geometry.length(own.t[:, :2] / own.t[:, 2:] - seen) > 0.05).all()


@pytest.mark.parametrize(("shift", "absent"), [(0.0, False), (0.02, False), (0.12, True)])
def test_a_pose_near_its_class_could_be_refined_and_teaches_nothing(
    shift: float, absent: bool
) -> None:
    rows = proposed(NOTHING_AT, 0, [-0.075, shift, 0.5])
    assert rows.absent.tolist() == [absent, absent]


def test_ignored_locations_and_poses_behind_the_camera_teach_nothing() -> None:
    task, batch = make_task(), boxes_seen_head_on()
    at = location_at(*NOTHING_AT)
    predictions, targets = proposing(task, batch, at, 1, torch.tensor([0.0, 0.15, 0.5]))
    ignored = torch.full_like(targets.labels, IGNORE)
    rows = absent_objects(predictions, ignored, batch, task.loss.dense, 1)
    assert not rows.absent.any()
    assert torch.isfinite(rows.t).all()
    wild = Predictions(
        predictions.logits, predictions.boxes, torch.full_like(predictions.keys, 1e30)
    )
    rows = absent_objects(wild, targets.labels, batch, task.loss.dense, 3)
    assert torch.isfinite(rows.t).all()
    assert torch.isfinite(rows.R).all()
    assert (rows.t[:, 2] > 0).all()


def test_rows_of_an_image_come_together_for_features_are_pooled_so() -> None:
    task, batch = make_task(absent=2), boxes_seen_head_on(3)
    at = location_at(*NOTHING_AT)
    predictions, dense = proposing(task, batch, at, 1, torch.tensor([0.0, 0.15, 0.5]))
    rows = task._rows(predictions, InstanceHeadTargets(dense, batch), 0.9)
    assert rows.image.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    assert rows.row.tolist() == [0, 1, NOWHERE, NOWHERE] * 3
    assert rows.counts.tolist() == [True, True, False, False] * 3
    assert torch.equal(rows.R_gt[rows.counts], batch.R.flatten(0, 1))


def test_what_is_absent_lowers_quality_and_visibility_alone() -> None:
    task, batch = make_task(), boxes_seen_head_on()
    head = task.network.instance_head
    assert head is not None
    rows = proposed(NOTHING_AT, 1, [0.0, 0.15, 0.5])
    shared = torch.randn(2, 64 + PICTURE_CHANNELS, 32, 32)
    losses = task._refine(shared, rows, batch)
    taught = {name for name, value in losses.items() if float(value.detach()) != 0}
    assert taught == {"head_visible", "head_quality"}
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3)
    for _ in range(30):
        losses = task._refine(shared, rows, batch)
        optimizer.zero_grad()
        (losses["head_visible"] + losses["head_quality"]).backward()
        optimizer.step()
    regions = head.regions(rows.class_index, rows.R, rows.t, batch.K, torch.tensor([128.0, 128.0]))
    prediction = head(head.maps(shared), rows.class_index, regions)
    assert (torch.sigmoid(prediction.quality) < 0.2).all()
    assert torch.sigmoid(prediction.visible).mean() < 0.2


def test_they_come_with_dense_poses_and_can_be_turned_off() -> None:
    batch = boxes_seen_head_on()
    for settings, progress, more in (
        ({}, 0.1, 0),
        ({}, 0.5, 2),
        ({"absent": 0}, 0.5, 0),
        ({"absent": 3}, 0.5, 6),
    ):
        task = make_task(**settings)
        at = location_at(*NOTHING_AT)
        predictions, _ = proposing(task, batch, at, 1, torch.tensor([0.0, 0.15, 0.5]))
        targets = SimpleNamespace(dense=task.targets.build(batch).dense, batch=batch)
        rows = task._rows(predictions, targets, progress)
        assert len(rows.row) == 4 + more


def test_gradients_stay_finite_with_an_untrained_network() -> None:
    config = config_from_dict(SMALL | {"instance_head": {"absent": 20}})
    trainer = Trainer(config, CATALOGUE, torch.device("cpu"))
    trainer.train_mode()
    batch = boxes_seen_head_on()
    targets = trainer.task.targets.build(batch)
    losses = trainer.task(batch.image, targets, 0.5)
    losses["total"].backward()
    for name, parameter in trainer.network.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name
