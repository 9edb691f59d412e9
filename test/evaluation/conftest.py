"""A tiny data set and an estimator that knows its ground truth."""

import pytest
from evaluation_scene import KnowingEstimator, Scene

from cope_training import evaluate


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


@pytest.fixture
def knowing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> KnowingEstimator:
    runner = KnowingEstimator(scene)
    monkeypatch.setattr(evaluate.Estimator, "load", lambda path, device, half=False: runner)
    return runner
