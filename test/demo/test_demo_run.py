"""The demonstration as a whole: three processes over real DDS, and what makes it fail."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import demo_scene
import pytest

from demo import run as demo_run
from demo.announce import Waiting, headline
from demo.processes import Child, stop_all

pytest.importorskip("rclpy", reason="ROS messages are not there (make setup)")
ROOT = Path(__file__).resolve().parents[2]
SCRIPTED = ROOT / "test" / "helpers" / "demo_scripted_node.py"
IMAGES = 6
SECONDS = 240  # for a whole demonstration on a machine that is busy with other things
# As `python -m demo.run`, with another command for the node.
DRIVER = "import sys, demo.run as d; d.node_command = lambda o: {node}; sys.exit(d.main())"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model directory with a sequence of six images."""
    demo_scene.write_model(tmp_path)
    demo_scene.write_scene(tmp_path / "sequence", IMAGES)
    return tmp_path


def start(model: Path, images: Path, node: list[str] | None = None) -> subprocess.Popen[str]:
    """Starts a demonstration with a scripted node on the CPU."""
    scripted = [sys.executable, str(SCRIPTED), "--images", str(images)]
    scripted += ["--models-info", str(model / "models_info.json")]
    arguments = ["--images", str(images), "--model", str(model), "--device", "cpu"]
    return subprocess.Popen(
        [
            *(sys.executable, "-c", DRIVER.format(node=node or scripted)),
            *(*arguments, "--out", str(model / "out")),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )


def children_of(pid: int) -> list[int]:
    """Process ids of the living children."""
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(condition, seconds: float) -> None:
    """Polls until it is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def test_true_poses_arrive_over_dds(model: Path) -> None:
    """Images and intrinsics arrive unaltered, and the summary is that of the truth."""
    process = start(model, model / "sequence")
    output, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output + errors
    summary = json.loads((model / "out" / "summary.json").read_text())
    latency = summary.pop("latency_ms")
    assert 0 < latency["p50"] <= latency["p99"] < 5000
    assert summary.pop("mean_translation_error_mm") == pytest.approx(0, abs=1e-3)
    assert summary.pop("mean_rotation_error_deg") == pytest.approx(0, abs=1e-2)
    # On a starved machine DDS may drop an image; without such all six are there.
    processed = summary["frames_processed"]
    assert processed > IMAGES // 2
    assert summary == {
        "frames_published": IMAGES,
        "frames_processed": processed,
        "frames_dropped": IMAGES - processed,
        "detections": 2 * processed,
        "instances": 2 * processed,
        "add_s_recall": 1.0,
        "device": "cpu",
        "model": str(model),
    }
    assert "brick_0" in output
    lines = output.splitlines()
    assert f"{IMAGES} images at 10 Hz" in lines[0]
    assert re.search(r"about \d+ s$", lines[0])
    assert any(line.startswith("demo: the node answers after") for line in lines)
    right = f"demo: 100.0% of {2 * processed} poses right, p50 {latency['p50']:.0f} ms"
    assert lines[-1] == f"{right}, look at {model / 'out' / 'index.html'}"
    assert (model / "out" / "index.html").is_file()
    overlays = sorted((model / "out").glob("frame_*.jpg"))
    assert len(overlays) == processed
    assert cv2.imread(str(overlays[0])).shape == (8 * 120, 8 * 160, 3)
    assert (model / "out" / "overview.png").is_file()


def test_no_pose_is_a_failure(model: Path, tmp_path: Path) -> None:
    """A plain folder, a node that finds nothing: exit code 1, null errors, yet pictures."""
    images = tmp_path / "plain"
    (model / "sequence" / "rgb").rename(images)
    fx, fy, (cx, cy) = 150.0, 152.0, demo_scene.K[:2, 2]
    (images / "camera.json").write_text(json.dumps({"fx": fx, "fy": fy, "cx": cx, "cy": cy}))
    process = start(model, images)
    output, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 1, output + errors
    assert "no poses were received" in output
    summary = json.loads((model / "out" / "summary.json").read_text())
    assert summary["frames_processed"] > IMAGES // 2
    assert summary["detections"] == 0
    assert summary["add_s_recall"] is None
    assert summary["mean_translation_error_mm"] is None


def test_node_that_ends_is_reported_at_once(model: Path) -> None:
    """Exit code 1 and the last line of its log; an old summary does not survive."""
    (model / "out").mkdir()
    (model / "out" / "summary.json").write_text("{}")
    words = "print('loading'); print('model: no such file'); raise SystemExit(1)"
    process = start(model, model / "sequence", [sys.executable, "-c", words])
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert "the node ended early. model: no such file" in errors
    assert not (model / "out" / "summary.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_leaves_no_process(model: Path, number: signal.Signals) -> None:
    """Ctrl-C in the midst of it: exit code 130 and no child alive."""
    # A node that never connects keeps the demonstration waiting.
    idle = [sys.executable, "-c", "import time; time.sleep(600)"]
    process = start(model, model / "sequence", idle)
    wait_for(lambda: len(children_of(process.pid)) == 3, 30)
    children = children_of(process.pid)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def test_stubborn_children_are_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that ignores both polite signals."""
    monkeypatch.setattr("demo.processes.GRACE", 0.3)
    words = "import signal as s; [s.signal(n, s.SIG_IGN) for n in (2, 15)]; s.pause()"
    child = Child("stubborn", [sys.executable, "-c", words])
    pid = child._process.pid
    ignored = 1 << (signal.SIGTERM - 1)
    wait_for(lambda: _ignored_signals(pid) & ignored, 20)
    stop_all([child])
    assert child.poll() == -signal.SIGKILL


def _ignored_signals(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(
        next(line for line in status.split("\n") if line.startswith("SigIgn")).split()[1], 16
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--model", "{here}/none"], "none: no such model directory"),
        (["--model", "{here}/meshes"], "meshes/model.pt: no such file"),
        (["--model", "{here}", "--images", "{here}/none"], "none: expected a folder of images"),
        (["--model", "{here}", "--images", "{here}/meshes"], "found none"),
        (
            ["--model", "{here}", "--images", "{here}/sequence", "--camera", "{here}/model.pt"],
            "model.pt: expected JSON",
        ),
    ],
)
def test_bad_arguments_end_in_one_sentence(
    model: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    """Exit code 2 before any process is started; what was wrong, and where."""
    code = demo_run.main([word.format(here=model) for word in arguments])
    said = capsys.readouterr().err.strip()
    assert code == 2
    assert reason in said
    assert "\n" not in said


def test_domain_is_free_and_local() -> None:
    """A valid domain, this machine only; the user's own DDS profile stays."""
    environment = {"FASTRTPS_DEFAULT_PROFILES_FILE": "mine.xml", "ROS_DOMAIN_ID": "500"}
    domain = demo_run.isolate(environment)
    assert int(domain) in demo_run.DOMAINS
    assert environment["ROS_DOMAIN_ID"] == domain
    assert environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert environment["FASTRTPS_DEFAULT_PROFILES_FILE"] == "mine.xml"


class Terminal(io.StringIO):
    """A stream that is drawn on in place."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (io.StringIO(), "demo: the node loads its model\ndemo: the node answers"),
        (Terminal(), "\r\x1b[Kdemo: the node loads its model 7 s\r\x1b[Kdemo: the node answers"),
    ],
)
def test_waiting_is_drawn_on_a_terminal_and_said_once_in_a_log(
    stream: io.StringIO, expected: str
) -> None:
    """Seconds count up in place; the end is said once."""
    now = [0.0]
    waiting = Waiting(stream, clock=lambda: now[0])
    for second in (0, 0, 7):
        now[0] = float(second)
        waiting.show(ready=False)
    for _ in range(2):
        waiting.show(ready=True)
    assert stream.getvalue().endswith(f"{expected} after 7 s; now the images\n")


def test_without_ground_truth_the_last_line_counts_poses() -> None:
    """A user's own photographs."""
    summary = {
        "add_s_recall": None,
        "latency_ms": {"p50": 91.4},
        "frames_processed": 3,
        "detections": 12,
    }
    line = headline(summary, Path("/somewhere/index.html"))
    assert line == (
        "demo: 12 poses in 3 images (no ground truth), p50 91 ms, look at /somewhere/index.html"
    )
