"""Photographs for backgrounds: folders as people have them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cope_ros.core.errors import CopeError
from cope_training.rendering.backgrounds import load_photographs
from cope_training.rendering.fine_detail import fine_detail
from cope_training.rendering.textures import random_crop


def load(folder: Path, limit: int = 100) -> list[np.ndarray]:
    return load_photographs(folder, limit, np.random.default_rng(0))


def save(path: Path, gray: int = 100, size: tuple[int, int] = (40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (gray, gray, gray)).save(path)


def spoil(folder: Path) -> int:
    """Adds what lies in such folders and is no photograph; returns how many are counted."""
    save(folder / "good.png")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "page.jpg").write_text("<html>not found</html>")
    (folder / "cut.png").write_bytes((folder / "good.png").read_bytes()[:60])
    Image.new("1", (20000, 20000)).save(folder / "gigantic.png")
    (folder / "good.png").unlink()
    (folder / "d x.jpg").mkdir()
    for name in ("._good.png", "Thumbs.db", "notes.txt"):
        (folder / name).write_bytes(b"x")
    return 4


def test_what_is_no_photograph_is_left_out_with_a_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    count = spoil(tmp_path)
    save(tmp_path / "a.JPG")
    assert [picture.shape for picture in load(tmp_path)] == [(30, 40, 3)]
    assert f"cannot be read are left out ({count}), such as" in caplog.text


def test_an_error_only_if_none_is_left(tmp_path: Path) -> None:
    spoil(tmp_path)
    with pytest.raises(CopeError, match=r"expected photographs .*such as .*(empty|page|cut|giga)"):
        load(tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(CopeError, match=r"none: expected photographs .*found none"):
        load(tmp_path / "none")
    with pytest.raises(CopeError, match=r"gone: expected a folder of photographs"):
        load(tmp_path / "gone")


def test_sub_folders_are_read_and_the_limit_holds(tmp_path: Path) -> None:
    for i in range(3):
        save(tmp_path / "d x.jpg" / f"{i}.webp", 50 * i)
    save(tmp_path / ".thumbnails" / "0.png")
    assert sorted(int(picture.mean()) for picture in load(tmp_path)) == [0, 50, 100]
    assert len(load(tmp_path, 2)) == 2


def test_sixteen_bits_palettes_and_large_ones(tmp_path: Path) -> None:
    Image.fromarray(np.full((1500, 2000), 40000, np.uint16)).save(tmp_path / "a.png")
    Image.new("RGBA", (2000, 1500), (9, 9, 9, 0)).convert("P").save(tmp_path / "b.png")
    save(tmp_path / "c.jpg", 200, (2000, 1500))
    pictures = load(tmp_path)
    assert {picture.shape for picture in pictures} == {(750, 1000, 3)}
    assert sorted(int(picture.mean().round()) for picture in pictures)[1:] == [156, 200]


def test_backgrounds_are_never_enlarged() -> None:
    fine = np.zeros((90, 120, 3), np.uint8)
    fine[::2] = 255  # rows of one pixel: any enlargement makes grey ones
    levels = []
    for seed in range(20):
        part = random_crop(np.random.default_rng(seed), fine, (100, 80))
        assert part.shape == (80, 100, 3)
        levels.append(np.isin(part, (0, 255)).all())
    assert sum(levels) >= 6  # those that keep their pixels
    small = random_crop(np.random.default_rng(1), fine[:40, :50], (100, 80))
    assert small.shape == (80, 100, 3)
    assert np.isin(small, (0, 255)).all()
    assert fine_detail(fine) > 4 * fine_detail(fine[::2])
