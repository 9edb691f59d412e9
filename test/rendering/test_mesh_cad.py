"""COLLADA, STEP and 3MF files."""

import numpy as np
import pytest
from cad_files import step_box, write_3mf, write_dae
from mesh_files import POINTS, png, same_shape, shades

from cope_ros.core.errors import CopeError
from cope_training.rendering.files.reader import read_mesh
from cope_training.rendering.meshes import load_mesh


def test_collada(tmp_path):
    pytest.importorskip("collada")
    path = tmp_path / "a.dae"
    write_dae(path)
    content = read_mesh(path)
    assert content.unit == pytest.approx(0.01)
    assert np.allclose(content.vertices.max(axis=0), [1, 1, 5])
    assert (content.colors == [255, 128, 0]).all()
    write_dae(path, diffuse='<texture texture="t" texcoord="q"/>')
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


@pytest.mark.parametrize(("name", "metres"), [("mm", 1e-3), ("m", 1.0), ("inch", 0.0254)])
def test_step_files_keep_the_unit_that_they_state(tmp_path, name, metres):
    pytest.importorskip("cascadio")
    (tmp_path / "a.step").write_text(step_box((4, 3, 2), unit_name=name))
    content = read_mesh(tmp_path / "a.step")
    assert content.unit == pytest.approx(metres)
    assert content.unit_source == f"the file states {name}"
    assert np.ptp(content.vertices, axis=0) == pytest.approx([4, 3, 2])


@pytest.mark.parametrize(
    ("unit", "metres", "source"),
    [("inch", 0.0254, 'the file states unit="inch"'), ("micron", 1e-6, 'unit="micron"'),
     (None, 1e-3, "name no unit are in millimetres")],
)  # fmt: skip
def test_3mf_files_state_their_unit(tmp_path, unit, metres, source):
    write_3mf(tmp_path / "a.3mf", unit=unit)
    content = read_mesh(tmp_path / "a.3mf")
    assert content.unit == metres
    assert source in content.unit_source


def test_units_that_are_none_are_named(tmp_path):
    write_3mf(tmp_path / "a.3mf", unit="furlong")
    with pytest.raises(CopeError, match=r'a\.3mf: unit="furlong": expected one of micron'):
        read_mesh(tmp_path / "a.3mf")
    pytest.importorskip("collada")
    for text in ("0", "nan", "-1", "cm"):
        write_dae(tmp_path / "a.dae", unit=f'<unit meter="{text}"/>')
        with pytest.raises(CopeError, match=rf'a\.dae: <unit meter="{text}">: expected a unit'):
            read_mesh(tmp_path / "a.dae")
    write_dae(tmp_path / "a.dae", unit="")
    assert read_mesh(tmp_path / "a.dae").unit == 1.0
