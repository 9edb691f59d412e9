"""The soak: its messages, its verdict, and a short one over real DDS."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given, settings
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from cope_ros.input.decoding import check_image
from cope_ros.input.image_header import encoded_size
from tools.soak import strategies
from tools.soak.summary import Limits, faults, growth_percent, latency_ms, plot
from tools.soak.watch import PATIENCE, Sample, Watched

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 300.0  # s; on an idle machine both take 40


@pytest.mark.parametrize(
    ("kind", "wild"),
    [
        (Image, strategies.WILD_IMAGES),
        (CameraInfo, strategies.WILD_INFOS),
        (CompressedImage, strategies.WILD_COMPRESSED),
    ],
)
def test_every_field_is_fuzzed(kind, wild):
    assert set(wild) == set(kind.get_fields_and_field_types())


@settings(max_examples=50, deadline=None)
@given(strategies.SOUND_IMAGES, strategies.SOUND_INFOS)
def test_sound_messages_get_past_the_door(image, info):
    check_image(image)
    assert math.isfinite(sum(info.p))


def test_some_encoded_images_get_past_the_door():
    sizes = [encoded_size(data) for data in strategies.ENCODED[:6]]
    assert sizes == [(64, 48), (32, 24), (64, 48)] * 2


def samples(rss):
    """One sample per second."""
    return [Sample(float(second), value, 0.01) for second, value in enumerate(rss)]


def test_growth_is_measured_from_minute_two_to_the_last():
    steady = [500.0] * 120 + [800.0] * 60 + [900.0] * (17 * 60)
    assert growth_percent(samples([*steady[:-60], *[804.0] * 60]), 20) == pytest.approx(0.5)
    assert growth_percent(samples([300.0] * 20 + [400.0] * 40), 1) == pytest.approx(0.0)
    assert growth_percent(samples([1.0] * 100), 20) is None  # it ended before minute two
    assert growth_percent([], 20) is None


def test_latency_of_the_first_and_last_minutes():
    latencies = [(float(at), 0.1 if at < 300 else 0.2 if at < 900 else 0.4) for at in range(1201)]
    found = latency_ms(latencies, 20)
    assert found["minutes_each"] == 5
    assert (found["first"], found["last"]) == (
        {"p50": 100.0, "p99": 100.0},
        {"p50": 400.0, "p99": 400.0},
    )
    assert latency_ms([], 20)["last"] == {"p50": None, "p99": None}


SOUND = {
    **{"crashes": 0, "hangs": 0, "non_finite": 0, "rss_growth_percent": 0.9},
    "latency_ms": {"last": {"p50": 30.0}},
}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"crashes": 1}, "crashes"),
        ({"hangs": 2}, "hangs"),
        ({"non_finite": 1}, "non_finite"),
        ({"rss_growth_percent": 1.1}, "rss_growth_percent"),
        ({"rss_growth_percent": math.nan}, "rss_growth_percent"),
        ({"latency_ms": {"last": {"p50": None}}}, "no true frame"),
    ],
)
def test_the_verdict_names_each_fault(change, word):
    assert faults(SOUND, Limits()) == []
    (found,) = faults({**SOUND, **change}, Limits())
    assert word in found


def watched():
    """A node under watch that answers only when the test says so."""
    futures = []

    def call_async(_request):
        futures.append(Future())
        return futures[-1]

    client = SimpleNamespace(call_async=call_async, service_is_ready=lambda: True)
    node = SimpleNamespace(
        create_client=lambda *_: client, create_subscription=lambda *_: None, get_clock=None
    )
    memory = SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=2**20))
    item = Watched(node, "left", memory)
    item.begin(0.0)
    return item, futures


def test_a_node_that_does_not_answer_hangs_once_until_it_recovers():
    item, futures = watched()
    for now in range(100):
        item.last_detections = float(now)
        item.sample(float(now))
        if now == 40:
            futures[-1].set_result(None)
    assert item.hangs == 2
    assert item.samples[30].answer == 30.0
    assert item.samples[30].rss_mib == 1.0


def test_a_node_that_answers_but_publishes_nothing_hangs():
    item, futures = watched()
    for now in range(int(PATIENCE) + 3):
        item.sample(float(now))
        futures[-1].set_result(None)
    assert item.hangs == 1
    item.check([1.0, math.nan, -math.inf, 2.0])
    assert item.non_finite == 2


@pytest.mark.parametrize("looks", [0, 1, 3])
@pytest.mark.filterwarnings("error")
def test_a_node_that_has_not_answered_yet_is_plotted(tmp_path, looks):
    item, _ = watched()
    for now in range(looks):
        item.sample(0.0)
        assert item.samples[now].answer == 0.0
    plot({"left": item}, tmp_path / "soak.png")
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")


def soak(out, *arguments):
    command = [sys.executable, "-m", "tools.soak.run", "--out", str(out), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def test_a_short_soak_is_sound(tmp_path):
    process = soak(tmp_path, "--minutes", "0.15", "--messages", "500", "--max-growth", "10")
    output, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, output
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["messages_fuzzed"] == 500
    assert set(summary["nodes"]) == {"soak_raw", "soak_compressed"}
    for node in summary["nodes"].values():
        assert node["frames_published"] > 0
        assert node["instances"] > 0
        assert node["camera_infos_received"] > 0
    dropped = summary["nodes"]["soak_raw"]["dropped"]
    assert dropped["image"] > 0
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")


def test_a_soak_whose_node_dies_says_so(tmp_path):
    process = soak(tmp_path, "--minutes", "5", "--messages", "10")
    deadline = time.monotonic() + LIMIT
    while not (tmp_path / "fuzzer.log").exists():  # from then on it watches
        assert time.monotonic() < deadline
        time.sleep(0.2)
    nodes = [
        child
        for child in psutil.Process(process.pid).children()
        if "cope_ros.node" in child.cmdline()
    ]
    nodes[0].send_signal(signal.SIGKILL)
    output, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 1
    assert "crashes" in output
