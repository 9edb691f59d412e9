"""The fit to contours inside the estimator: what it gets, what it changes, the exported file."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import trimesh
from contour_scene import points_of
from core_factory import make_catalogue, make_K, make_network
from test_crop_head import estimate, noise

from cope_ros.core import geometry
from cope_ros.core.catalogue import ObjectModel
from cope_ros.core.deployment.model_file import load_model
from cope_ros.core.errors import CopeError
from cope_ros.core.estimator import CopeEstimator
from cope_ros.core.network.build import build_estimator, build_network
from cope_ros.core.network.cope_network import CopeNetwork
from cope_ros.core.network.presets import PRESETS, ContourFitConfig, NetworkConfig
from cope_ros.core.types import Instances, rank_within_class
from cope_training.engine.checkpoint import Initial
from cope_training.engine.configuration import DENSE, REFINER, DataConfig
from cope_training.engine.initialization import OBJECT_LAYERS, fill_object_surfaces, take_over
from cope_training.export import export_network
from cope_training.exported import network_of

CATALOGUE = make_catalogue()
CONFIG = PRESETS["lite_contour"]
FACES, EDGES = 192, 288  # of a box whose sides are cut twice


def small() -> NetworkConfig:
    """The same with few slots and pixels."""
    assert CONFIG.crop_head is not None
    contour_fit = ContourFitConfig(size=96, faces=FACES, edges=EDGES, rounds=1)
    return replace(
        CONFIG, crop_head=replace(CONFIG.crop_head, max_crops=3), contour_fit=contour_fit
    )


def cut_box(item: ObjectModel) -> trimesh.Trimesh:
    """In metres."""
    return trimesh.creation.box(item.box_size).subdivide().subdivide()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    """The catalogue's boxes as meshes."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "models_info.json").write_text(json.dumps(CATALOGUE.to_dict()))
    for item in CATALOGUE:
        solid = cut_box(item).apply_scale(1000.0)
        solid.export(folder / f"obj_{item.obj_id:06d}.ply")
    return DataConfig(meshes=str(folder))


@pytest.fixture(scope="module")
def refining() -> Initial:
    """A network of before, which knows its objects' surfaces."""
    network = make_network("lite_refiner")
    assert network.refiner is not None
    for points, item in zip(network.refiner.points, CATALOGUE, strict=True):
        points.copy_(points_of(cut_box(item))[: len(points)])
    return Initial(network.state_dict(), CATALOGUE, "before")


@pytest.fixture(scope="module")
def network(refining: Initial, data: DataConfig) -> CopeNetwork:
    """What comes of it with a fit to contours."""
    network = build_network(small(), CATALOGUE).eval()
    take_over(network, refining)
    fill_object_surfaces(network, CATALOGUE, data, DENSE)
    return network


def make_estimator(network: CopeNetwork) -> CopeEstimator:
    estimator = build_estimator(network, small(), CATALOGUE)
    estimator.score_threshold.fill_(0.0)
    return estimator


def test_a_network_without_outlines_is_taken_over_and_gets_them(
    network: CopeNetwork, refining: Initial
) -> None:
    state = network.state_dict()
    added = {name for name in state if name not in refining.weights}
    assert added
    assert all(name.startswith("contour_fit.extractor.") for name in added)
    assert all(torch.equal(state[name], value) for name, value in refining.weights.items())
    assert network.contour_fit is not None
    extractor = network.contour_fit.extractor
    assert extractor.planes.any(2).sum(1).tolist() == [FACES] * 3
    assert extractor.ends.any(2).sum(1).tolist() == [EDGES] * 3
    for row, item in enumerate(CATALOGUE):
        half = torch.tensor(item.box_size / 2).float()
        corners = extractor.ends[row].view(-1, 3).abs().amax(0)
        assert corners == pytest.approx(half, abs=1e-6)


def test_outlines_that_are_there_stay_unless_the_objects_are_others(
    network: CopeNetwork, data: DataConfig
) -> None:
    given = {name: value.clone() for name, value in network.state_dict().items()}
    given["contour_fit.extractor.planes"] = 2.0 * given["contour_fit.extractor.planes"]
    initial = Initial(given, CATALOGUE, "with contours")
    assert "contour_fit." in OBJECT_LAYERS
    for own, factor in (((), 2.0), (("contour_fit.",), 1.0)):
        other = build_network(small(), CATALOGUE)
        take_over(other, initial, own)
        fill_object_surfaces(other, CATALOGUE, data, DENSE)
        assert other.contour_fit is not None
        assert network.contour_fit is not None
        expected = factor * network.contour_fit.extractor.planes
        assert torch.equal(other.contour_fit.extractor.planes, expected)
        fill_object_surfaces(other, CATALOGUE, data, REFINER)
        assert torch.equal(other.contour_fit.extractor.planes, network.contour_fit.extractor.planes)


def test_the_preset_is_built_with_room_for_each_object() -> None:
    network = build_network(CONFIG, CATALOGUE)
    assert CONFIG.contour_fit is not None
    assert network.contour_fit is not None
    assert network.contour_fit.extractor.planes.shape == (3, CONFIG.contour_fit.faces, 4)
    assert network.contour_fit.extractor.ends.shape == (3, CONFIG.contour_fit.edges, 6)
    assert not list(network.contour_fit.parameters())  # nothing to learn
    assert build_network(PRESETS["lite_refiner"], CATALOGUE).contour_fit is None


def test_the_instances_looked_at_are_fitted_and_no_others(network: CopeNetwork) -> None:
    estimator, image = make_estimator(network), noise(2)
    after = estimate(estimator, image)
    estimator.refinement["crops"].contour_fit = None
    before = estimate(estimator, image)
    assert int(before.valid.sum(1).min()) > 3
    for b in range(2):
        n = int(before.valid[b].sum())
        assert int(after.valid[b].sum()) == n
        # Scores change, and with them the order.
        same = (after.t[b, :n, None] == before.t[b, :n]).all(-1)
        first = rank_within_class(before).score[b, :3]
        assert same.any(0).tolist() == (~torch.isin(before.score[b, :n], first)).tolist()
        share = same.float() @ before.score[b, :n] / same.sum(1)
        share = (after.score[b, :n] / share)[same.any(1)]
        assert share == pytest.approx(share[:1].expand(n - 3), rel=1e-4)  # as nobody looked
        fitted = after.score[b, :n][~same.any(1)]
        assert bool((fitted < before.score[b, :3].max()).all())
        assert not torch.isin(fitted, before.score[b]).any()
        assert bool((after.score[b, :n].diff() <= 0).all())
    assert geometry.determinant3(after.R[after.valid]) == pytest.approx(1.0, abs=1e-4)
    assert bool((after.score >= 0).all() & (after.score <= before.score.max()).all())


def test_the_exported_file_fits_as_well_and_holds_the_outlines(
    network: CopeNetwork, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    export_network(network, small(), CATALOGUE, path, preset="lite_contour", input_size=(160, 128))
    rebuilt, config, _, _ = network_of(path)
    assert config == small()
    assert network.contour_fit is not None
    assert rebuilt.contour_fit is not None
    for name, value in network.contour_fit.state_dict().items():
        assert torch.equal(rebuilt.contour_fit.state_dict()[name], value)
    loaded, _ = load_model(path, torch.device("cpu"))
    loaded.score_threshold.fill_(0.0)  # an export's own check sees no instance in noise
    image = noise()
    with torch.inference_mode():
        got = Instances(*loaded(image, make_K()))
    ours = estimate(make_estimator(rebuilt), image)
    apart = (ours.t[0, :, None] - got.t[0]).norm(dim=-1)
    apart = apart + (ours.class_index[0, :, None] != got.class_index[0])
    order = apart.argmin(1)  # scores of noise lie so close that rounding may swap two instances
    assert sorted(order[ours.valid[0]].tolist()) == list(range(int(got.valid.sum())))
    for name, a, b in zip(Instances._fields, ours, got, strict=True):
        a, b = a[0, ours.valid[0]], b[0, order[ours.valid[0]]]
        # Noise has no contours: a pixel rounded the other way moves a fit.
        atol = {"R": 0.03, "t": 0.03, "boxes": 3.0, "keypoints": 3.0}.get(name, 1e-3)
        assert torch.allclose(a.float(), b.float(), atol=atol), name


def test_configurations_are_read_and_wrong_ones_refused() -> None:
    assert NetworkConfig.from_dict(CONFIG.to_dict()) == CONFIG
    assert NetworkConfig.from_dict(json.loads(json.dumps(small().to_dict()))) == small()
    old = PRESETS["lite_refiner"].to_dict()
    del old["contour_fit"]
    assert NetworkConfig.from_dict(old) == PRESETS["lite_refiner"]
    with pytest.raises(CopeError, match=r"network.contour_fit: expected a refiner"):
        replace(CONFIG, refiner=None)
