"""NMS and RANSAC-EPnP find the planted objects where they were planted."""

from pathlib import Path

import numpy as np
import pytest
import torch
from core_factory import make_catalogue

from cope_ros.core.deployment.model_file import load_model
from cope_ros.core.types import Instances
from cope_training.bench.candidates import Candidate, camera, random_preset, write_planted
from cope_training.bench.planted import plant, plant_into
from cope_training.evaluation.two_stage import TwoStage

SIZE = (320, 256)


@pytest.mark.parametrize("count", [0, 12])
def test_both_ways_see_the_same_objects(count: int, tmp_path: Path) -> None:
    made = random_preset("lite", make_catalogue())
    candidate = Candidate(
        made.name, made.preset, None, made.network, made.config, made.catalogue, SIZE
    )
    write_planted(candidate, tmp_path / "model.pt")
    scripted, _ = load_model(tmp_path, torch.device("cpu"))
    K = camera(SIZE)
    outputs = plant(count, candidate.catalogue, candidate.by_diameter, SIZE, K)
    plant_into(scripted.network, outputs)
    image = torch.zeros(1, SIZE[1], SIZE[0], 3, dtype=torch.uint8)
    with torch.inference_mode():
        usual = TwoStage(scripted, candidate.catalogue, candidate.by_diameter)
        poses = usual(image, K.double().numpy())
        ours = Instances(*scripted(image, K[None]))
    assert len(poses) == int(ours.valid.sum()) == count
    rays = ours.t[0][ours.valid[0]].numpy()
    for _, t in poses:  # an untrained pose head still knows the direction
        direction = t / np.linalg.norm(t)
        cosine = rays @ direction / np.linalg.norm(rays, axis=1)
        assert cosine.max() > np.cos(np.deg2rad(2.0))
