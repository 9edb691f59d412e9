"""Layers: sizes, counts and invariances of the presets."""

import pytest
import torch
from core_factory import make_catalogue
from torch.utils.flop_counter import FlopCounterMode

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.detection.locations import make_locations, pyramid_level
from cope_ros.core.errors import CopeError
from cope_ros.core.network.backbone import BACKBONES, build_backbone, fold_batch_norm
from cope_ros.core.network.build import build_network
from cope_ros.core.network.presets import PRESETS, NetworkConfig, get_preset


@pytest.mark.parametrize("name", BACKBONES)
def test_backbones_give_strides_8_16_32(name: str) -> None:
    backbone = build_backbone(name).eval()
    with torch.inference_mode():
        maps = backbone(torch.zeros(1, 3, 64, 96))
    for feature, stride, channels in zip(maps, (8, 16, 32), backbone.channels, strict=True):
        assert feature.shape == (1, channels, 64 // stride, 96 // stride)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "efficientnet_lite0"])
def test_folding_batch_norms_changes_nothing(name: str) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(name)
    for module in backbone.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    backbone.eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        before = backbone(image)
    fold_batch_norm(backbone)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in backbone.modules())
    with torch.inference_mode():
        after = backbone(image)
    for a, b in zip(before, after, strict=True):
        assert torch.allclose(a, b, atol=1e-4 * a.abs().max().item())


def lmo_sized_catalogue() -> Catalogue:
    return make_catalogue(8)


def test_paper_preset_has_the_published_size() -> None:
    """178 GMAC at 640x480 with the pose head on every location, two thirds in the heads."""
    network = build_network(PRESETS["paper"], lmo_sized_catalogue()).eval()
    image = torch.zeros(1, 480, 640, 3, dtype=torch.uint8)
    locations = 80 * 60 + 40 * 30 + 20 * 15
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(image)
        keypoints, classes = torch.zeros(locations, 8, 2), torch.zeros(locations).long()
        network.pose_head(keypoints, classes, torch.eye(3).expand(locations, 3, 3))
    gmac = counter.get_total_flops() / 2e9
    assert gmac == pytest.approx(178, abs=1)
    per_module = counter.get_flop_counts()
    names = ("class_tower", "box_tower", "key_tower")
    heads = sum(sum(per_module[f"CopeNetwork.{n}"].values()) for n in names) / 2e9
    assert heads / gmac == pytest.approx(2 / 3, abs=0.02)
    millions = sum(p.numel() for p in network.parameters()) / 1e6
    assert millions == pytest.approx(67.3, abs=0.1)


def test_lite_preset_stays_small() -> None:
    network = build_network(PRESETS["lite"], lmo_sized_catalogue())
    assert sum(p.numel() for p in network.parameters()) < 2.5e6


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("preset", ["lite", "improved"])
def test_outputs_of_any_batch_and_size(preset: str, batch: int) -> None:
    network = build_network(PRESETS[preset], make_catalogue()).eval()
    image = torch.zeros(batch, 64, 96, 3, dtype=torch.uint8)
    with torch.inference_mode():
        logits, boxes, keys = network(image)[:3]
    n = 8 * 12 + 4 * 6 + 2 * 3
    assert (logits.shape, boxes.shape, keys.shape) == ((batch, n, 3), (batch, n, 4), (batch, n, 16))
    assert len(make_locations(64, 96, torch.device("cpu"))[0]) == n


def test_locations_are_cell_centres_level_by_level() -> None:
    centers, strides = make_locations(32, 64, torch.device("cpu"))
    assert centers[0].tolist() == [3.5, 3.5]
    assert centers[1].tolist() == [11.5, 3.5]
    assert centers[-1].tolist() == [47.5, 15.5]
    assert strides.unique().tolist() == [8, 16, 32]


def test_levels_follow_equation_2_for_the_lm_camera() -> None:
    delta_over_z = torch.tensor([0.1, 0.19, 0.2, 0.5, 0.6, 5.0])
    assert pyramid_level(572.4 * delta_over_z).tolist() == [0, 0, 1, 1, 2, 2]


def test_configuration_round_trip_and_unknown_key() -> None:
    config = PRESETS["improved"]
    assert NetworkConfig.from_dict(config.to_dict()) == config
    with pytest.raises(CopeError, match="colour"):
        NetworkConfig.from_dict({**config.to_dict(), "colour": 1})
    with pytest.raises(CopeError, match="expected one of paper, improved, lite"):
        get_preset("big")
