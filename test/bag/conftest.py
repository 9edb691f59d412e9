"""A stand-in for the model."""

from __future__ import annotations

import pytest
from node_fakes import FakeEstimator

from cope_ros.bag import command


@pytest.fixture
def estimator(monkeypatch: pytest.MonkeyPatch) -> FakeEstimator:
    fake = FakeEstimator()
    monkeypatch.setattr(command.Estimator, "load", lambda *arguments: fake)
    return fake
