"""Symmetry groups: closed from generators, combined with axes, refused where impossible."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.detection.averaging import SymmetryAligner
from cope_ros.core.errors import CopeError
from cope_ros.core.rotations import about
from cope_ros.core.symmetry import close_group
from cope_ros.tracking.symmetry import Symmetries
from cope_training.tasks.symmetric_poses import SymmetricPoses

MODELS = Path(__file__).parents[2] / "models"
CENTER = np.array([0.01, -0.02, 0.03])  # m
X, Y, Z = np.eye(3)
BOX = {
    "diameter": 170.0,
    **{f"min_{a}": -50.0 for a in "xyz"},
    **{f"size_{a}": 100.0 for a in "xyz"},
}


def turn(axis: np.ndarray, degrees: float, center: np.ndarray = CENTER) -> np.ndarray:
    return about(axis, np.array([np.deg2rad(degrees)]), center)[0]


def entry(discrete: list[np.ndarray] = [], axes: list[np.ndarray] = []) -> dict:  # noqa: B006
    rows = []
    for T in discrete:
        row = T.copy()
        row[:3, 3] *= 1e3
        rows.append(row.reshape(16).tolist())
    lines = [{"axis": list(a), "offset": (1e3 * CENTER).tolist()} for a in axes]
    return {**BOX, "symmetries_discrete": rows, "symmetries_continuous": lines}


def catalogue(*entries: dict) -> Catalogue:
    return Catalogue.from_dict({str(i + 1): e for i, e in enumerate(entries)})


SOLIDS = {
    "box": ([turn(X, 180), turn(Y, 180)], 4),
    "prism": ([turn(Z, 120), turn(X, 180)], 6),
    "twelve": ([turn(Z, 30)], 12),
    "cube": ([turn(X, 90), turn(Y, 90)], 24),
    "tetrahedron": ([turn((X + Y + Z) / np.sqrt(3), 120), turn(X, 180)], 12),
    "thirty-six": ([turn(Z, 10)], 36),
    "listed twice": ([turn(Z, 180), turn(Z, 180), np.eye(4)], 2),
}


@pytest.mark.parametrize("name", SOLIDS)
def test_generators_span_the_group(name: str) -> None:
    generators, order = SOLIDS[name]
    members = close_group(np.array(generators), [], 0.17).members
    assert len(members) == order
    assert np.array_equal(members[0], np.eye(4))
    for a in members:
        assert a[:3, :3] @ CENTER + a[:3, 3] == pytest.approx(CENTER)
        for b in members:
            assert min(np.abs(a @ b - c).max() for c in members) < 1e-9


def test_a_can_has_its_axis_and_one_flip_however_it_is_described() -> None:
    described = [[turn(X, 180)], [turn(Y, 180)], [turn(Z, 90), turn((X + Y) / np.sqrt(2), 180)]]
    for discrete in described:
        group = close_group(np.array(discrete), [(Z, CENTER), (-Z, CENTER + 0.05 * Z)], 0.17)
        assert len(group.members) == 2
        assert group.members[1][:3, :3] @ Z == pytest.approx(-Z)
        assert group.axis == pytest.approx(Z)


def test_two_axes_that_meet_are_a_sphere() -> None:
    group = close_group(np.zeros((0, 4, 4)), [(X, CENTER + 0.02 * X), (Z, CENTER)], 0.17)
    assert group.sphere
    assert group.offset == pytest.approx(CENTER)
    assert Catalogue.from_dict({"1": entry(axes=[X, Z])})[0].symmetry.sphere


def test_inexact_half_turns_of_scans_are_kept_as_they_are() -> None:
    """LM-O's glue and IC-BIN's cup: 178.5 and 177.5 degrees about slanted axes."""
    for degrees in (178.5, 177.5):
        axis = np.array([0.02, 0.02, 1.0]) / np.linalg.norm([0.02, 0.02, 1.0])
        T = turn(axis, degrees)
        members = close_group(T[None], [], 0.17).members
        assert np.allclose(members, [np.eye(4), T])


@pytest.mark.parametrize("digits", [3, 6])
def test_rounding_is_made_orthogonal(digits: int) -> None:
    T = turn((X + 2 * Z) / np.sqrt(5), 120)
    rounded = np.round(T, digits)
    members = close_group(rounded[None], [], 0.17).members
    assert len(members) == 3
    for member in members:
        assert member[:3, :3] @ member[:3, :3].T == pytest.approx(np.eye(3), abs=1e-12)
    assert members[1] == pytest.approx(T, abs=2 * 10.0**-digits)


MIRROR, LAST, NAN, SCALED = (turn(Z, 180) for _ in range(4))
MIRROR[:3, :3] = np.diag([1.0, 1.0, -1.0])
LAST[3, 0] = 0.1
NAN[0, 0] = np.nan
SCALED[:3, :3] *= 1.1


@pytest.mark.parametrize(
    ("discrete", "lines", "reason"),
    [
        ([MIRROR], [], "mirror"),
        ([LAST], [], "last row"),
        ([NAN], [], "finite"),
        ([SCALED], [], "rotation"),
        ([turn(Z, 2)], [], "too small a turn"),
        ([turn(Z, 50.3), turn(X, 77)], [], "at most 64"),
        ([turn(Z, 180), turn(Z, 180, CENTER + 0.05 * X)], [], "have to meet"),
        ([], [(Z, CENTER), (Z, CENTER + 0.05 * X)], "parallel axes apart"),
        ([], [(Z, CENTER), (X, CENTER + 0.05 * Y)], "do not meet"),
        ([turn(X, 90)], [(Z, CENTER)], "moves the axis"),
        ([turn(X, 180, CENTER + 0.05 * Y)], [(Z, CENTER)], "aside"),
        ([turn(X, 180, CENTER + 0.05 * Y)], [(Z, CENTER), (X, CENTER)], "centre of the sphere"),
    ],
)
def test_what_no_body_can_be_is_refused(discrete: list, lines: list, reason: str) -> None:
    with pytest.raises(CopeError, match=reason):
        close_group(np.array(discrete).reshape(-1, 4, 4), lines, 0.17)


KINDS = catalogue(
    entry([turn(X, 180)], [Z]), entry([turn(X, 90), turn(Y, 90)]), entry(axes=[X, Z]),
    entry([turn(Z, 30), turn(Y, 180)]), entry(axes=[(X + Y) / np.sqrt(2)]),
)  # fmt: skip


def equal_poses(index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two poses in which an object looks the same."""
    T = np.eye(4)
    T[:3, :3] = Rotation.random(rng=rng).as_matrix()
    T[:3, 3] = rng.uniform([-0.3, -0.2, 0.5], [0.3, 0.2, 1.5])
    group = KINDS[index].symmetry
    other = T @ group.members[rng.integers(len(group.members))]
    if group.sphere:
        free = np.eye(4)
        free[:3, :3] = Rotation.random(rng=rng).as_matrix()
        free[:3, 3] = CENTER - free[:3, :3] @ CENTER
        other = other @ free
    elif group.continuous:
        other = other @ turn(group.axis, rng.uniform(0, 360))
    return T, other


def as_tensors(T: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(T[None, :3, :3]), torch.from_numpy(T[None, :3, 3])


@pytest.mark.parametrize("index", range(len(KINDS)))
def test_equal_appearances_have_equal_labels(index: int) -> None:
    symmetric, rng = SymmetricPoses(KINDS), np.random.default_rng(index)
    for _ in range(200):
        a, b = (symmetric(*as_tensors(T), torch.tensor([index])) for T in equal_poses(index, rng))
        for one, two in ((a, b), (b, a)):
            gap = (one[0][0][:, None] - two[0][0][None]).abs().amax((-1, -2))
            gap += (one[1][0][:, None] - two[1][0][None]).abs().amax(-1)
            assert gap.min(1).values.max() < 1e-6


@pytest.mark.parametrize("index", range(len(KINDS)))
def test_core_and_tracking_bring_equal_appearances_together(index: int) -> None:
    aligner, symmetries = SymmetryAligner(KINDS), Symmetries(KINDS)
    rng, classes = np.random.default_rng(index), np.array([index])
    for _ in range(50):
        T, other = equal_poses(index, rng)
        R, t = symmetries.align(other[None, :3, :3], other[None, :3, 3], classes, T[None, :3, :3])
        assert R[0] == pytest.approx(T[:3, :3], abs=1e-6)
        assert t[0] == pytest.approx(T[:3, 3], abs=1e-6)
        assert symmetries.distances(other[None, :3, :3], classes, T[None, :3, :3]) < 1e-3
        a, b = as_tensors(other)
        R_t, t_t = aligner(a.float(), b.float(), as_tensors(T)[0].float(), torch.tensor([index]))
        assert R_t[0].numpy() == pytest.approx(T[:3, :3], abs=2e-3)
        assert t_t[0].numpy() == pytest.approx(T[:3, 3], abs=1e-3)


def test_groups_survive_their_own_writing() -> None:
    again = Catalogue.from_dict(json.loads(json.dumps(KINDS.to_dict())))
    for a, b in zip(KINDS, again, strict=True):
        assert np.allclose(a.symmetry.members, b.symmetry.members, atol=1e-9)
        assert np.allclose(a.symmetry.axis, b.symmetry.axis)
        assert np.allclose(a.symmetry.offset, b.symmetry.offset)
        assert a.symmetry.sphere == b.symmetry.sphere


@pytest.mark.parametrize("name", ["demo", "lmo"])
def test_the_shipped_models_keep_their_symmetries(name: str) -> None:
    info = json.loads((MODELS / name / "models_info.json").read_text())
    for key, item in zip(info, Catalogue.from_dict(info), strict=True):
        discrete = info[key].get("symmetries_discrete", [])
        assert len(item.symmetry.members) == 1 + len(discrete)
        for T, row in zip(item.symmetry.members[1:], discrete, strict=True):
            assert T[:3, :3].reshape(9) == pytest.approx(
                np.reshape(row, (4, 4))[:3, :3].ravel(), abs=1e-6
            )
        assert item.symmetry.continuous == bool(info[key].get("symmetries_continuous"))


@pytest.mark.parametrize("name", ["demo", "lmo", "icbin"])
def test_objects_read_back_from_a_model_are_the_same_objects(name: str) -> None:
    """LM-O's eggbox and glue have symmetries that no file holds to the last digit."""
    info = json.loads((MODELS / name / "models_info.json").read_text())
    known = Catalogue.from_dict(info)
    again = Catalogue.from_dict(json.loads(json.dumps(known.to_dict())))
    assert known.has_objects_of(again)
    assert again.has_objects_of(known)
    first = min(info, key=int)
    about_x = [*np.diag([1.0, -1.0, -1.0, 1.0]).ravel()]
    for change in ({"size_x": info[first]["size_x"] - 0.5}, {"name": "x"},
                   {"symmetries_discrete": [about_x], "symmetries_continuous": []}):  # fmt: skip
        other = Catalogue.from_dict(info | {first: info[first] | change})
        assert not other.has_objects_of(known)
    assert not Catalogue.from_dict({first: info[first]}).has_objects_of(known)


def test_one_group_within_another() -> None:
    can, cube, ball, bar, log = (item.symmetry for item in KINDS)
    none = close_group(np.zeros((0, 4, 4)), [], 0.17)
    revolution = close_group(np.zeros((0, 4, 4)), [(Z, CENTER)], 0.17)
    half = close_group(turn(Z, 180)[None], [], 0.17)
    flip = close_group(turn(X, 180)[None], [], 0.17)
    for small, large in ((none, can), (revolution, can), (half, revolution), (flip, can),
                         (half, cube), (cube, ball), (can, ball), (bar, can)):  # fmt: skip
        assert small.within(large)
        assert not large.within(small)
    for a, b in ((flip, revolution), (revolution, flip), (log, can), (flip, half)):
        assert not a.within(b)
