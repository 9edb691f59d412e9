"""A stand-in for the model."""

from __future__ import annotations

import pytest
from node_fakes import FakeEstimator

from cope_ros import pose


@pytest.fixture
def estimator(monkeypatch: pytest.MonkeyPatch) -> FakeEstimator:
    fake = FakeEstimator()
    monkeypatch.setattr(pose.Estimator, "load", lambda *arguments: fake)
    return fake
