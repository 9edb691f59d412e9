"""The demo's instance head against its dense poses: of small, flat and cut-off objects."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.runtime import Estimate, Estimator
from cope_ros.core.network.build import build_estimator
from cope_training.data.frames import Frame
from cope_training.evaluation.held_out import rendered
from cope_training.evaluation.uncertainty import collect, match
from cope_training.exported import network_of
from cope_training.rendering.illumination import random_material
from cope_training.rendering.renderer import Placement
from cope_training.rendering.scene_config import SceneConfig
from cope_training.rendering.scenes import compose_scene, take
from cope_training.rendering.studio import Studio, load_objects

DEMO = Path(__file__).parents[2] / "models/demo"
IMAGES = 12
SMALL = SceneConfig(models=str(DEMO), size_min=50.0, size_max=70.0, empty_share=0.0)
LARGE = SceneConfig(models=str(DEMO), size_min=150.0, size_max=200.0, empty_share=0.0)
EMPTY = SceneConfig(models=str(DEMO), empty_share=1.0)
COLUMNS, ROWS = 3, 2  # of the boxes in an image of flat things
TILT = np.deg2rad(35.0)  # of a face against the view, at most


class Given:
    """Says again what was found."""

    def __init__(self, catalogue: Catalogue, found: Estimate) -> None:
        self.catalogue, self.found = catalogue, found

    def estimate(self, image: np.ndarray, K: np.ndarray) -> Estimate:
        return self.found


@pytest.fixture(scope="module")
def runners() -> list[Estimator]:
    """The dense part alone, and with the instance head."""
    network, layers, catalogue, metadata = network_of(DEMO)
    network.requires_grad_(False)
    found = []
    for refines in (False, True):
        pipeline = build_estimator(network, layers, catalogue)
        pipeline.candidate_threshold.fill_(metadata["candidate_threshold"])
        pipeline.score_threshold.fill_(metadata["score_threshold"] if refines else 0.5)
        if not refines:
            pipeline.refinement = torch.nn.ModuleDict()
        found.append(Estimator(pipeline, metadata, torch.device("cpu")))
    return found


def at_border(frame: Frame) -> Frame:
    """The frame with only the objects that its border cuts."""
    height, width = frame.image.shape[:2]
    boxes = frame.boxes
    inside = (boxes[:, :2] >= 0).all(1) & (boxes[:, 2:] <= (width - 1, height - 1)).all(1)
    return frame.select(~inside & (frame.visibility > 0.3))


def random_face_on(rng: np.random.Generator, thin: int) -> np.ndarray:
    """(3, 3) rotation of an object whose thin axis points to the camera or away, but for a tilt."""
    towards = np.roll(np.eye(3), thin - 2, axis=1)  # that axis along the view
    turn = Rotation.from_rotvec([0, 0, rng.uniform(-np.pi, np.pi)])
    flip = Rotation.from_rotvec([np.pi * rng.integers(2), 0, 0])
    axis = rng.normal(size=2)
    tilt = rng.uniform(0, TILT) * axis / np.linalg.norm(axis)
    return (Rotation.from_rotvec([*tilt, 0]) * turn * flip).as_matrix() @ towards


def flat_things(catalogue: Catalogue, count: int) -> Iterator[Frame]:
    """Images of boxes side by side, of which one face is seen and little else."""
    box = catalogue.class_ids.index("box")
    thin = int(np.argmin(catalogue[box].box_size))
    studio = Studio.for_scenes(load_objects(str(DEMO)), EMPTY, 78)
    for number in range(count):
        rng = np.random.default_rng([78, number])
        shot = compose_scene(rng, studio, EMPTY, 1)
        poses = np.tile(np.eye(4), (COLUMNS * ROWS, 1, 1))
        z = catalogue[box].diameter * shot.K[0, 0] / rng.uniform(110, 170)
        for place, pose in enumerate(poses):
            pixel = (np.array(divmod(place, ROWS)) + 0.5) / (COLUMNS, ROWS) * shot.size
            pose[:3, :3] = random_face_on(rng, thin)
            pose[:3, 3] = np.linalg.solve(shot.K, [*pixel, 1]) * z * rng.uniform(0.95, 1.05)
        boxes = [
            Placement(studio.shapes[box][0], pose, random_material(rng, EMPTY)) for pose in poses
        ]
        rows = np.full(len(boxes), box)
        yield take(studio, replace(shot, class_index=rows, instances=boxes, clutter=[]))[0]


def errors_of_both(runners: list[Estimator], frame: Frame) -> np.ndarray:
    """(2, N, 2) share of the distance and rad, of the objects that both found in a frame."""
    both, owners = [], []
    for runner in runners:
        found = runner.estimate(frame.image, frame.K)
        samples = collect(Given(runner.catalogue, found), [frame])
        size = np.linalg.norm(samples.t, axis=1)
        turn = np.linalg.norm(samples.error[:, 3:], axis=1)
        both.append(np.stack([np.linalg.norm(samples.error[:, :3], axis=1) / size, turn], axis=1))
        owners.append(match(found, frame)[1])
    _, *rows = np.intersect1d(*owners, return_indices=True)
    return np.stack([errors[row] for errors, row in zip(both, rows, strict=True)])


def frames_of(kind: str, catalogue: Catalogue) -> Iterator[Frame]:
    """Rendered images of objects of which little is seen."""
    if kind == "small":
        yield from rendered(SMALL, catalogue, 77, IMAGES)
    elif kind == "border":
        yield from map(at_border, rendered(LARGE, catalogue, 77, IMAGES))
    else:
        yield from flat_things(catalogue, 4)


@pytest.mark.parametrize("kind", ["small", "border", "flat"])
def test_the_instance_head_is_not_worse(kind: str, runners: list[Estimator], egl: None) -> None:
    frames = frames_of(kind, runners[0].catalogue)
    errors = np.concatenate([errors_of_both(runners, frame) for frame in frames], axis=1)
    assert errors.shape[1] >= 10
    dense, head = np.median(errors, axis=1)
    assert (head <= 1.05 * dense).all(), (dense, head)
