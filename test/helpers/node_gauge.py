"""A model whose poses can be told in advance: it measures its input."""

import warnings
from pathlib import Path

import torch
from node_fakes import CATALOGUE
from torch import Tensor, nn

from cope_ros.core.deployment.model_file import save_model
from cope_ros.core.types import Instances

SIZE = (64, 32)  # width, height of the gauge's input, px


class Gauge(nn.Module):
    """Not a network: reports its input as a pose, one instance per enabled class.

    Row i has t = (fx, cx, mean of colour channel i) in thousandths, and its score is 0.8 if that
    is at least the threshold.
    """

    score_threshold: Tensor
    iou_threshold: Tensor
    n_hypotheses: Tensor
    enabled: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("score_threshold", torch.tensor(0.5))
        self.register_buffer("iou_threshold", torch.tensor(0.5))
        self.register_buffer("n_hypotheses", torch.tensor(10))
        self.register_buffer("enabled", torch.ones(2, dtype=torch.bool))

    def forward(self, image: Tensor, K: Tensor) -> Instances:
        colour = image.to(torch.float32).mean(1).mean(1)[0, :2]
        K_row = K[0].to(torch.float32)
        t = torch.stack([K_row[0, 0].expand(2), K_row[0, 2].expand(2), colour], 1) / 1000.0
        return Instances(
            (self.enabled & (self.score_threshold <= 0.8)).unsqueeze(0),
            torch.arange(2).unsqueeze(0),
            torch.full((1, 2), 0.8),
            torch.eye(3).expand(1, 2, 3, 3),
            t.unsqueeze(0),
            torch.eye(6).expand(1, 2, 6, 6),
            torch.zeros(1, 2, 4),
            torch.zeros(1, 2, 8, 2),
            torch.ones(1, 2, dtype=torch.int64),
            torch.zeros(1, 2),
        )


def save_gauge(path: Path) -> None:
    """Exports the gauge as ``path``."""
    metadata = {"preset": "gauge", "input_size": list(SIZE), "max_instances": 2}
    metadata |= {"models_info": CATALOGUE.to_dict(), "training": {}, "metrics": {}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_model(torch.jit.script(Gauge()), metadata, path)
