"""What a training will read is looked at before anything that takes long."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trimesh
import yaml
from mesh_files import png

from cope_training import object, train
from cope_training.engine.command_line import training_parser, with_folders
from cope_training.engine.configuration import load_config

ROOT = Path(__file__).resolve().parents[2]
Content = dict


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("box")
    trimesh.creation.box((0.1, 0.06, 0.08)).export(folder / "box.ply")
    arguments = [str(folder / "box.ply"), "--out", str(folder / "mine"), "--no-preview"]
    assert object.main(arguments) == 0
    info = (folder / "mine" / "models_info.json").read_bytes()
    return info + b"\0" + (folder / "mine" / "meshes" / "obj_000001.ply").read_bytes()


@pytest.fixture
def folder(tmp_path: Path, box: bytes) -> Path:
    """A models folder and one of photographs, where a test runs."""
    info, _, mesh = box.partition(b"\0")
    (tmp_path / "mine" / "meshes").mkdir(parents=True)
    (tmp_path / "mine" / "models_info.json").write_bytes(info)
    (tmp_path / "mine" / "meshes" / "obj_000001.ply").write_bytes(mesh)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(png((1, 2, 3)))
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.jpg").write_bytes(b"<html>")
    return tmp_path


def run(folder: Path, change: Callable[[Content, Path], object], *arguments: str) -> int:
    content = yaml.safe_load((ROOT / "config" / "training" / "object.yaml").read_text())
    content |= {"init": "none", "pretrained": ""}
    change(content, folder)
    (folder / "a.yaml").write_text(yaml.safe_dump(content))
    start = ["--config", str(folder / "a.yaml"), "--meshes", str(folder / "mine")]
    return train.main([*start, "--out", str(folder / "out"), "--device", "cpu", *arguments])


def mesh(folder: Path) -> Path:
    return folder / "mine" / "meshes" / "obj_000001.ply"


CASES = {
    "mesh missing": (lambda c, f: mesh(f).unlink(), "mine: no mesh for object 1"),
    "mesh broken": (lambda c, f: mesh(f).write_bytes(b"ply\n"), "obj_000001.ply: expected a PLY"),
    "mesh empty": (lambda c, f: mesh(f).write_bytes(b""), "obj_000001.ply: expected a mesh"),
    "mesh in metres": (
        lambda c, f: trimesh.creation.box((0.1, 0.06, 0.08)).export(mesh(f)),
        "obj_000001.ply: object 1: models_info.json tells of a mesh 100 x 60 x 80 mm",
    ),
    "no backgrounds": (lambda c, f: c["data"].update(backgrounds=str(f / "no")), "no: expected a"),
    "backgrounds empty": (
        lambda c, f: c["data"].update(backgrounds=str(f / "empty")), "for backgrounds, found none",
    ),
    "backgrounds broken": (
        lambda c, f: c["data"].update(backgrounds=str(f / "broken")), "a web page or other markup",
    ),
    "backgrounds unset": (
        lambda c, f: c["data"].update(backgrounds="$COPE_NOWHERE"), "data.backgrounds: $COPE_NOWH",
    ),
    "no negatives": (
        lambda c, f: c["finishing"].update(negatives=str(f / "no")), "no: expected a folder",
    ),
    "negatives broken": (
        lambda c, f: c["finishing"].update(negatives=str(f / "broken")), "a web page",
    ),
    "no clutter": (
        lambda c, f: c["data"]["scene"].update(clutter_meshes=str(f / "no")), "expected meshes",
    ),
    "repeats": (lambda c, f: c["data"].update(repeats=0), "data.repeats: expected at least 1"),
    "scene": (lambda c, f: c["data"]["scene"].update(shiny=1), "data.scene: unknown key"),
    "recorded": (
        lambda c, f: c["data"].update(bop={"folder": str(f / "no"), "share": 1.0}), "no/",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_named_before_any_work(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.delenv("COPE_NOWHERE", raising=False)
    monkeypatch.setattr(train, "Trainer", lambda *a: pytest.fail("began"))
    change, expected = CASES[name]
    assert run(folder, change) == 1
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("\n") == 1
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(("--export", "photos"), "photos: expected a file to write, got a folder"),
     (("--export", "photos/a.png/model.pt"), "a.png: expected a folder to write into"),
     (("--export", "/proc/model.pt"), "/proc: cannot be written"),
     (("--out", "photos/a.png"), "a.png: expected a folder to write into"),
     (("--backgrounds", "no"), "no: expected a folder of photographs"),
     (("--backgrounds", "empty"), "empty: expected photographs"),
     (("--negatives", "no"), "no: expected a folder"),
     (("--negatives", "broken"), "a web page")],
)  # fmt: skip
def test_folders_that_cannot_serve_are_named_before_any_work(
    arguments: tuple[str, str], expected: str, folder: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(train, "Trainer", lambda *a: pytest.fail("began"))
    monkeypatch.chdir(folder)
    assert run(folder, lambda c, f: None, *arguments) == 1
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("\n") == 1


def test_good_inputs_begin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class BeganError(Exception):
        pass

    def begin(*arguments: object) -> None:
        raise BeganError

    monkeypatch.setattr(train, "Trainer", begin)

    def change(content: Content, folder: Path) -> None:
        content["data"]["backgrounds"] = str(folder / "photos")
        content["finishing"]["negatives"] = str(folder / "photos")

    with pytest.raises(BeganError):
        run(folder, change)


def test_folders_of_the_command_line_replace_the_configurations() -> None:
    line = ["--config", "object", "--meshes", "mine", "--backgrounds", "desk", "--negatives", "sea"]
    options = training_parser("").parse_args(line)
    config = with_folders(load_config("object"), options)
    assert (config.data.meshes, config.data.backgrounds) == ("mine", "desk")
    assert config.finishing.negatives == "sea"
    plain = training_parser("").parse_args(["--config", "object"])
    assert with_folders(config, plain) == config
