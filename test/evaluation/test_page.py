"""The page of a run: outlines, ellipses, failures and their order, budgets."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from evaluation_scene import IMAGES, KnowingEstimator, Scene
from page_reading import check_alone, frames_in
from scipy.spatial.transform import Rotation

from cope_training import evaluate
from cope_training.evaluation.failures import KINDS, explain
from cope_training.evaluation.inference import run_model
from cope_training.evaluation.metrics import find_scenes, read_ground_truth
from cope_training.evaluation.page import Results, Truth, write_page
from cope_training.evaluation.page.failure_cards import (
    costs_of,
    failure_cards,
    offsets,
    worst_of_each,
)
from cope_training.evaluation.page.frames import coarse_to_fine, encode, spread
from cope_training.evaluation.page.shapes import ellipse, outline
from cope_training.evaluation.report import detection_section, results_of

K = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


def results(scene: Scene, folder: Path, disturb=None) -> Results:
    scenes = find_scenes(scene.write(folder / "toys"))
    gts = read_ground_truth(scenes)
    run = run_model(KnowingEstimator(scene, disturb), scenes, gts.K)
    measured = evaluate.evaluate(run.estimates, scenes, gts, scene.objects)
    failures = explain(measured.estimates, gts, measured.found_by, scene.objects)
    names = {i: f"thing_{i}" for i in scene.objects}
    page = results_of(scenes, run, measured.estimates, gts.K, {"model": "m"}, scene.objects, names)
    return replace(page, truth=Truth(gts, failures))


def test_medians_have_units_and_wide_tables_the_keyboard(scene: Scene, tmp_path: Path) -> None:
    page = results(scene, tmp_path)
    write_page(tmp_path / "index.html", replace(page, tables=[detection_section(page)]))
    text = (tmp_path / "index.html").read_text()
    medians = re.findall(r"(depth|across the ray|rotation): median \S+ (\w+)<", text)
    assert medians == [("depth", "mm"), ("across the ray", "mm"), ("rotation", "degrees")]
    tables = re.findall(r"<div class=wide([^>]*)>", text)
    assert len(tables) == text.count("<table") == 2
    assert all("tabindex=0" in table and "aria-label=" in table for table in tables)


def test_an_outline_is_the_silhouettes(scene: Scene) -> None:
    obj = scene.objects[1]
    R, t = Rotation.from_rotvec([0.4, 0.3, 0.2]).as_matrix(), np.array([0.01, 0.0, 0.5])
    drawn = np.zeros((480, 640), np.uint8)
    polygons = [np.reshape(p, (-1, 2)).astype(np.int32) for p in outline(obj, R, t, K, (640, 480))]
    cv2.fillPoly(drawn, polygons, 1)
    pixels = (obj.vertices @ R.T + t) @ K.T
    pixels = (pixels[:, :2] / pixels[:, 2:] * 16).round().astype(np.int32)
    expected = np.zeros_like(drawn)
    for face in obj.faces:
        cv2.fillConvexPoly(expected, pixels[face], 1, cv2.LINE_8, 4)
    assert (drawn != expected).sum() < 0.05 * expected.sum()
    assert outline(obj, R, np.array([0, 0, -0.5]), K, (640, 480)) == []
    assert outline(obj, R, np.array([5.0, 0, 0.5]), K, (640, 480)) == []


def test_an_ellipse_has_two_standard_deviations() -> None:
    covariance = np.diag([0.01**2, 0.02**2, 0.03**2, 0, 0, 0])
    x, y, major, minor, angle = ellipse(np.array([0, 0, 1.0]), covariance, K)
    assert (x, y) == (320, 240)
    assert (major, minor) == (pytest.approx(20), pytest.approx(10))  # 2 sigma f / z
    assert abs(angle) % 180 == pytest.approx(90)
    assert ellipse(np.array([0, 0, -1.0]), covariance, K) is None


def test_failures_come_by_their_cost(scene: Scene, tmp_path: Path) -> None:
    def disturb(row: int, found: dict) -> bool | None:
        if row == 0:
            return False
        if row == 9:
            found["t"][...] = found["t"] * 1.05
        if row == 6:
            found["t"][...] = found["t"] + [0.02, 0, 0]
        return None

    page = results(scene, tmp_path, disturb)
    assert page.truth is not None
    costs = costs_of(page, page.truth)
    assert (costs > 0).sum() == 3
    assert sorted(worst_of_each(page.truth, costs)) == np.flatnonzero(costs).tolist()
    cards = failure_cards(page, page.truth)
    assert [card.cost for card in cards] == sorted(costs[costs > 0], reverse=True)
    titles = [card.title.partition(": ")[2] for card in cards]
    assert sorted(titles) == ["missed", "wrong depth", "wrong place"]
    assert set(titles) <= set(KINDS)
    write_page(tmp_path / "index.html", page)
    text = (tmp_path / "index.html").read_text()
    check_alone(text)
    frames = frames_in(text)
    assert sum(not g["ok"] for f in frames for g in f["gt"]) == 3
    assert sum(e["kind"] == 1 for f in frames for e in f["est"]) >= 2
    assert all(e["ell"] for f in frames for e in f["est"])
    assert text.count("<figure>") == 3


def test_a_failure_of_one_thing_is_shown_once_per_stretch_of_a_video() -> None:
    im_id = np.array([0, 0, 1, 1, 40, 40])
    gts = SimpleNamespace(scene_id=np.zeros(6, int), im_id=im_id, obj_id=np.ones(6, int))
    truth: Any = SimpleNamespace(gts=gts, asked=np.ones(6, bool), right=np.arange(6) == 3)
    costs = np.array([0.1, 0.2, 0.3, 0.0, 0.5, 0.4])
    assert worst_of_each(truth, costs) == {4: 0, 5: 0, 2: 1, 1: 0}


def test_a_name_cannot_break_out_of_the_page(scene: Scene, tmp_path: Path) -> None:
    page = results(scene, tmp_path)
    evil = "</script><script>alert(1)</script>"
    page = replace(page, title=evil, labels=[evil] * len(page.labels), facts={evil: evil})
    write_page(tmp_path / "index.html", page)
    text = (tmp_path / "index.html").read_text()
    assert "<script>alert" not in text
    assert frames_in(text)[0]["est"][0]["id"] == evil


def test_without_truth_the_page_says_so(scene: Scene, tmp_path: Path) -> None:
    write_page(tmp_path / "index.html", replace(results(scene, tmp_path), truth=None))
    text = (tmp_path / "index.html").read_text()
    assert "nobody knows which are wrong" in text
    assert "id=failures" not in text
    assert len(frames_in(text)) == IMAGES
    assert {e["kind"] for f in frames_in(text) for e in f["est"]} == {2}


def test_offsets_are_along_and_across_the_ray() -> None:
    along, across = offsets(np.array([[0.1, 0, 1.2]]), np.array([[0.0, 0, 1.0]]))
    assert along[0] == pytest.approx(0.2)
    assert across[0] == pytest.approx(0.1)


def test_pictures_keep_to_their_budget() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    best, coarse = encode([noise] * 4, 10**9), encode([noise] * 4, 100_000)
    assert len(best) == len(coarse) == 4
    assert len(coarse[0]) < len(best[0])


def test_frames_are_spread_and_refined() -> None:
    assert spread(3, 10) == [0, 1, 2]
    assert spread(100, 4) == [0, 33, 66, 99]
    order = coarse_to_fine(40)
    assert order[:3] == [0, 16, 32]
    assert sorted(order) == list(range(40))
