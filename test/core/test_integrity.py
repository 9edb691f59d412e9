"""Which files are loaded as models, and that loading runs none of their code."""

import os
import pickle
import shutil
import socket
import subprocess
import zipfile
from pathlib import Path

import pytest
import torch
from core_factory import make_catalogue, make_network

from cope_ros import startup
from cope_ros.core.deployment import integrity
from cope_ros.core.deployment.model_file import load_model, save_model
from cope_ros.core.deployment.runtime import Estimator
from cope_ros.core.errors import CopeError
from cope_ros.core.network.presets import PRESETS
from cope_ros.parameters import ParameterError, Parameters
from cope_training.export import export_network

MODELS = Path(__file__).resolve().parents[2] / "models"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A directory with an exported network of random weights."""
    folder = tmp_path_factory.mktemp("exported")
    config, catalogue, size = PRESETS["lite"], make_catalogue(), (96, 64)
    target = folder / "model.pt"
    export_network(make_network(), config, catalogue, target, preset="lite", input_size=size)
    return folder


@pytest.fixture
def model(exported, tmp_path):
    """A copy to spoil."""
    return Path(shutil.copytree(exported, tmp_path / "model"))


def test_an_export_carries_its_checksum_in_the_usual_format(model):
    text = (model / "model.sha256").read_text()
    done = subprocess.run(["sha256sum", "model.pt"], cwd=model, capture_output=True, text=True)
    assert text == done.stdout
    _, metadata = load_model(model, CPU)
    assert metadata["file"] == {"sha256": text.split()[0], "verified": True}


def test_a_changed_model_is_refused_before_it_is_parsed(model):
    content = bytearray((model / "model.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (model / "model.pt").write_bytes(content)
    with pytest.raises(
        CopeError, match=r"model\.pt: expected SHA-256 [0-9a-f]{64} \(model\.sha256"
    ):
        load_model(model, CPU)
    with pytest.raises(ParameterError, match=r"'model'.*SHA-256"):
        startup.load_estimator(Parameters(model=str(model), device="cpu"))


@pytest.mark.parametrize("text", ["", "abc  model.pt\n", f"{64 * '0'}  other.pt\n", "\0\xff"])
def test_an_unusable_checksum_is_an_error_not_a_pass(model, text):
    (model / "model.sha256").write_text(text)
    with pytest.raises(CopeError, match=r"model\.sha256: expected a line"):
        load_model(model, CPU)


def test_a_missing_checksum_is_warned_about_once(model):
    (model / "model.sha256").unlink()
    warnings = []
    parameters = Parameters(model=str(model), device="cpu")
    startup.load_estimator(parameters, Estimator.load, warnings.append)
    assert len(warnings) == 1
    assert "no checksum" in warnings[0]


def test_saving_again_renews_the_checksum_and_forgets_the_old_file(model):
    scripted, metadata = load_model(model, CPU)
    save_model(scripted, {**metadata, "preset": "again"}, model / "model.pt")
    _, again = load_model(model, CPU)
    assert again["file"]["verified"]
    assert again["file"]["sha256"] != metadata["file"]["sha256"]


def a_fifo(path):
    os.mkfifo(path)


def a_directory(path):
    path.mkdir()


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(path))


def a_loop(path):
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)


def a_device(path):
    path.symlink_to("/dev/zero")


def too_large(path):
    path.touch()
    os.truncate(path, integrity.LARGEST + 1)  # sparse: no disk is used


REFUSED = {
    a_fifo: "found no regular file",
    a_directory: "found no such file|found no regular file",
    a_socket: "found no regular file",
    a_loop: "cannot read it",
    a_device: "found no regular file",
    too_large: "at most 2147483648 bytes, got 2147483649",
}


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
@pytest.mark.parametrize("named", ["directory", "file"])
def test_only_regular_files_of_a_sane_size_are_read(make, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path has to be short
    make(Path("model.pt"))
    with pytest.raises(CopeError, match=REFUSED[make]):
        load_model("." if named == "directory" else "model.pt", CPU)


def test_a_checksum_that_is_no_file_is_refused_too(model):
    (model / "model.sha256").unlink()
    os.mkfifo(model / "model.sha256")
    with pytest.raises(CopeError, match=r"model\.sha256: expected a checksum, found no regular"):
        load_model(model, CPU)


def test_a_link_to_a_model_is_followed_as_installed_packages_need_it(model, tmp_path):
    link = tmp_path / "link.pt"
    link.symlink_to(model / "model.pt")
    _, metadata = load_model(link, CPU)
    assert not metadata["file"]["verified"]  # its own checksum would be link.sha256


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def plain_pickle(payload, path):
    path.write_bytes(pickle.dumps(payload))


def eager_checkpoint(payload, path):
    torch.save({"model": payload}, path)


def legacy_checkpoint(payload, path):
    torch.save({"model": payload}, path, _use_new_zipfile_serialization=False)


def pickle_inside_an_export(payload, path):
    """A real export whose constants are replaced by the payload."""
    source = path.with_name("good.pt")
    with zipfile.ZipFile(source) as good, zipfile.ZipFile(path, "w") as bad:
        for item in good.infolist():
            spoilt = item.filename.endswith(("constants.pkl", "data.pkl"))
            content = pickle.dumps(payload, 2) if spoilt else good.read(item)
            bad.writestr(item.filename, content)


MAKERS = [plain_pickle, eager_checkpoint, legacy_checkpoint, pickle_inside_an_export]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_pickles_are_refused_and_not_run(make, exported, tmp_path):
    shutil.copy(exported / "model.pt", tmp_path / "good.pt")
    mark = tmp_path / "ran"
    make(Payload(mark), tmp_path / "model.pt")
    with pytest.raises(CopeError, match=r"model\.pt: expected a TorchScript file"):
        load_model(tmp_path, CPU)
    assert not mark.exists()
    plain_pickle(Payload(mark), tmp_path / "control")
    pickle.loads((tmp_path / "control").read_bytes())
    assert mark.exists()  # the payload does work where it is let


@pytest.mark.parametrize("name", ["x" * 5000, "a/" * 3000, "~nobody_at_all/model", "no\0name"])
def test_names_that_are_no_paths_are_one_sentence(name):
    with pytest.raises(ParameterError, match="'model'"):
        startup.model_path(name)


@pytest.mark.parametrize("file", sorted(MODELS.glob("*/model.pt")), ids=lambda f: f.parent.name)
def test_bundled_models_are_those_of_their_checksums_and_cards(file):
    content = integrity.read_model(file)
    assert content.verified
    assert content.sha256 in (file.parent / "README.md").read_text()
