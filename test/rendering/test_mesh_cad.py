"""COLLADA, STEP and 3MF files."""

import numpy as np
import pytest
from cad_files import DAE, step_box, write_3mf
from mesh_files import POINTS, png, same_shape, shades

from cope_ros.core.errors import CopeError
from cope_training.rendering.files.reader import read_mesh
from cope_training.rendering.meshes import load_mesh


def test_collada(tmp_path):
    pytest.importorskip("collada")
    path = tmp_path / "a.dae"
    path.write_text(DAE.format(image="x.png", diffuse="<color>1 .5 0 1</color>"))
    content = read_mesh(path)
    assert content.unit == pytest.approx(0.01)
    assert np.allclose(content.vertices.max(axis=0), [1, 1, 5])
    assert (content.colors == [255, 128, 0]).all()
    path.write_text(DAE.format(image="x.png", diffuse='<texture texture="t" texcoord="q"/>'))
    with pytest.raises(CopeError, match=r"a\.dae: texture 'x\.png' is missing"):
        read_mesh(path)
    (tmp_path / "X.PNG").write_bytes(png((10, 200, 30)))
    assert shades(load_mesh(path)) == pytest.approx(np.array([[10, 200, 30]]))
    path.write_text("<COLLADA/>")
    with pytest.raises(CopeError, match=r"a\.dae: expected"):
        read_mesh(path)


def test_step(tmp_path, capfd):
    pytest.importorskip("cascadio")
    path = tmp_path / "a.STEP"
    path.write_text(step_box((40, 30, 20), (1.0, 0.5, 0.0)))
    content = read_mesh(path)
    size = np.ptp(content.vertices, axis=0) * (content.unit or 0)
    assert size == pytest.approx([0.04, 0.03, 0.02])
    assert np.abs(content.colors.astype(int) - [255, 128, 0]).max() <= 1
    for text in ("nonsense", step_box()[:2000]):
        path.write_text(text)
        with pytest.raises(CopeError, match=r"a\.STEP: expected"):
            read_mesh(path)
    assert capfd.readouterr() == ("", "")


def test_3mf_with_colors_and_places(tmp_path):
    write_3mf(tmp_path / "a.3mf")
    content = read_mesh(tmp_path / "a.3mf")
    assert content.unit == pytest.approx(1e-3)
    assert same_shape(tmp_path / "a.3mf", 2 * POINTS + np.array([1, 0, 0]))
    found = content.colors[content.faces].mean(axis=1)
    assert found[0] == pytest.approx([0, 0, 255])
    assert found[1] == pytest.approx([255, 128, 0])
    (tmp_path / "a.3mf").write_bytes((tmp_path / "a.3mf").read_bytes()[:100])
    with pytest.raises(CopeError, match=r"a\.3mf: expected a 3MF"):
        read_mesh(tmp_path / "a.3mf")
