"""BOP folders with one random defect: training and evaluation read the truth or name the file."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from bop_folder import FILES, Folder, evaluation, train
from defects import FUZZ, change_json, damage, outcome
from hypothesis import given, note
from hypothesis import strategies as st

READERS: tuple[Callable[[Folder], object], ...] = (train, evaluation)
NAMES = (*FILES, "rgb", "mask_visib", "depth", "models_info", "000007", ".png")


def frames_are_sound(frames: list) -> None:
    """Finite poses in front of the camera, proper rotations."""
    for frame in frames:
        R, t = frame.T_cam_obj[:, :3, :3], frame.T_cam_obj[:, :3, 3]
        assert np.isfinite(t).all()
        assert (t[:, 2] > 0).all()
        assert np.allclose(np.linalg.det(R), 1.0, atol=1e-2)


@FUZZ
@given(st.sampled_from(FILES), st.sampled_from(range(len(READERS))), st.data())
def test_one_wrong_value_is_named_or_harmless(name, reader, data) -> None:
    with TemporaryDirectory() as root:
        folder = Folder(Path(root) / "set")
        note(change_json(folder.scene / name, data))
        found = outcome(lambda: READERS[reader](folder), NAMES)
    if found is not None and READERS[reader] is train:
        frames_are_sound(found)


@FUZZ
@given(st.sampled_from(range(len(READERS))), st.data())
def test_a_damaged_or_missing_file_is_named(reader, data) -> None:
    with TemporaryDirectory() as root:
        folder = Folder(Path(root) / "set")
        files = sorted(p for p in folder.scene.rglob("*") if p.is_file())
        path = data.draw(st.sampled_from(files))
        if data.draw(st.booleans()):
            path.unlink()
        else:
            path.write_bytes(damage(path.read_bytes(), data))
        outcome(lambda: READERS[reader](folder), NAMES)


@FUZZ
@given(st.sampled_from(["._000000.png", "Thumbs.db", "000000_vis.png", "notes.txt", ".DS_Store"]),
       st.sampled_from(["rgb", "mask_visib", "depth"]), st.binary(max_size=40))  # fmt: skip
def test_stray_files_change_nothing(name, place, content) -> None:
    with TemporaryDirectory() as root:
        folder = Folder(Path(root) / "set")
        before = train(folder)
        (folder.scene / place / name).write_bytes(content)
        after = train(folder)
        assert len(before) == len(after)
        for a, b in zip(before, after, strict=True):
            assert np.array_equal(a.T_cam_obj, b.T_cam_obj)
        assert len(evaluation(folder)[0]) == len(after)
