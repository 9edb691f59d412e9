"""The demo's instance head against its dense poses where little is seen: small, at the border."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.runtime import Estimate, Estimator
from cope_ros.core.network.build import build_estimator
from cope_training.data.frames import Frame
from cope_training.evaluation.held_out import rendered
from cope_training.evaluation.uncertainty import collect, match
from cope_training.exported import network_of
from cope_training.rendering.scene_config import SceneConfig

DEMO = Path(__file__).parents[2] / "models/demo"
IMAGES = 12
SMALL = SceneConfig(models=str(DEMO), size_min=50.0, size_max=70.0, empty_share=0.0)
LARGE = SceneConfig(models=str(DEMO), size_min=150.0, size_max=200.0, empty_share=0.0)


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


@pytest.mark.parametrize("kind", ["small", "border"])
def test_the_instance_head_is_not_worse(kind: str, runners: list[Estimator], egl: None) -> None:
    scenes = SMALL if kind == "small" else LARGE
    frames = list(rendered(scenes, runners[0].catalogue, 77, IMAGES))
    if kind == "border":
        frames = [at_border(frame) for frame in frames]
    errors = np.concatenate([errors_of_both(runners, frame) for frame in frames], axis=1)
    assert errors.shape[1] >= 10
    dense, head = np.median(errors, axis=1)
    assert (head <= 1.05 * dense).all(), (dense, head)
