"""The demonstration's reading of images and intrinsics."""

import json
from pathlib import Path

import cv2
import demo_scene
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cope_ros.camera_file import read_camera
from cope_ros.core.errors import CopeError
from cope_ros.core.json_fields import intrinsics
from demo.images import read_folder


def write_json(path: Path, content: object) -> Path:
    """Writes and returns the path."""
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A plain folder of two images, the second one gray."""
    cv2.imwrite(str(tmp_path / "b.PNG"), np.full((6, 8), 90, dtype=np.uint8))
    colour = np.zeros((6, 8, 3), dtype=np.uint8)
    colour[..., 2] = 200  # OpenCV writes BGR
    cv2.imwrite(str(tmp_path / "a.png"), colour)
    (tmp_path / "notes.txt").write_text("no image")
    write_json(tmp_path / "camera.json", {"fx": 10, "fy": 11, "cx": 4, "cy": 3})
    return tmp_path


def test_plain_folder_is_read_in_order_as_rgb(plain: Path) -> None:
    """Images come by name, as RGB, with the intrinsics beside them and no ground-truth key."""
    first, second = read_folder(plain)
    assert [first.path.name, second.path.name] == ["a.png", "b.PNG"]
    assert first.read()[0, 0].tolist() == [200, 0, 0]
    assert second.read()[0, 0].tolist() == [90, 90, 90]
    assert np.array_equal(first.K, [[10, 0, 4], [0, 11, 3], [0, 0, 1]])
    assert first.key is None


def test_given_camera_wins(plain: Path, tmp_path: Path) -> None:
    """--camera stands for every image."""
    other = write_json(tmp_path / "other.json", {"cam_K": [7, 0, 1, 0, 8, 2, 0, 0, 1]})
    assert read_folder(plain, other)[1].K[1, 1] == 8


def test_bop_scene_and_folder_of_scenes(tmp_path: Path) -> None:
    """A scene is taken as it is; images that are missing are no error."""
    demo_scene.write_scene(tmp_path / "000004", 3)
    demo_scene.write_scene(tmp_path / "000007", 2)
    (tmp_path / "000004" / "rgb" / "000001.png").unlink()
    assert [image.key for image in read_folder(tmp_path / "000004")] == [(4, 0), (4, 2)]
    every = read_folder(tmp_path)
    assert [image.key for image in every] == [(4, 0), (4, 2), (7, 0), (7, 1)]
    assert np.array_equal(every[0].K, demo_scene.K)


def test_missing_and_empty_folders_are_named(tmp_path: Path) -> None:
    """One sentence each, with the path."""
    with pytest.raises(CopeError, match="nowhere: expected a folder of images"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(CopeError, match="expected images, found none"):
        read_folder(tmp_path)


def test_plain_folder_without_camera_is_refused(plain: Path) -> None:
    """The message says what to give."""
    (plain / "camera.json").unlink()
    with pytest.raises(CopeError, match="--camera"):
        read_folder(plain)


def test_images_that_scene_camera_lacks_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a note; as in training and evaluation."""
    demo_scene.write_scene(tmp_path, 2)
    cameras = json.loads((tmp_path / "scene_camera.json").read_text())
    del cameras["1"]
    write_json(tmp_path / "scene_camera.json", cameras)
    assert [image.key for image in read_folder(tmp_path)] == [(0, 0)]
    assert "scene_camera.json: images that it has no entry of" in caplog.text
    assert "(1), such as 000001" in caplog.text


def test_images_must_have_the_size_of_their_camera(plain: Path) -> None:
    """Intrinsics of another resolution would give wrong poses silently."""
    camera = {"fx": 10, "fy": 11, "cx": 4, "cy": 3, "width": 16, "height": 12}
    write_json(plain / "camera.json", camera)
    with pytest.raises(
        CopeError, match=r"a\.png: expected 16 x 12 px as in .*camera\.json, got 8 x 6"
    ):
        read_folder(plain)


def test_a_file_that_is_no_image_is_refused(plain: Path) -> None:
    """A text file named .png."""
    (plain / "a.png").write_text("hello")
    with pytest.raises(CopeError, match=r"a\.png: cannot be read as an image"):
        read_folder(plain)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([1, 2], "expected a mapping"),
        ({"fx": 1, "fy": 1, "cx": 1}, "cy is missing"),
        ({"fx": "wide", "fy": 1, "cx": 1, "cy": 1}, "fx: expected a finite number"),
        ({"fx": 0, "fy": 1, "cx": 1, "cy": 1}, "focal lengths over 0"),
        ({"fx": float("nan"), "fy": 1, "cx": 1, "cy": 1}, "finite"),
        ({"cam_K": [1, 2, 3]}, "cam_K: expected 9 finite numbers"),
        ({"cam_K": [1, 0, 0, 0, 1, 0, 0, 0, 2]}, "0 0 1"),
        ({"fx": 1, "fy": 1, "cx": 1, "cy": 1, "width": 64}, "height is missing"),
    ],
)
def test_bad_camera_files_are_refused(tmp_path: Path, content: object, reason: str) -> None:
    """Each with the file's name and the reason."""
    path = write_json(tmp_path / "camera.json", content)
    with pytest.raises(CopeError, match=reason) as caught:
        read_camera(path)
    assert str(path) in str(caught.value)


def test_unreadable_camera_files_are_refused(tmp_path: Path) -> None:
    """Missing, and not JSON."""
    with pytest.raises(CopeError, match="cannot be read"):
        read_camera(tmp_path / "camera.json")
    (tmp_path / "camera.json").write_text("fx: 5")
    with pytest.raises(CopeError, match="expected JSON"):
        read_camera(tmp_path / "camera.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=9),
    max_leaves=9,
)


# Time says nothing here: the machine may be busy with other things.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["fx", "fy", "cx", "cy", "cam_K"]), JSON))
def test_intrinsics_are_valid_or_refused(data: dict[str, object]) -> None:
    """Whatever the file holds: a usable K or a CopeError, nothing else."""
    try:
        K = intrinsics(data, "camera.json")
    except CopeError:
        return
    assert K.shape == (3, 3)
    assert np.isfinite(K).all()
    assert (np.diag(K) > 0).all()
