"""The bench of the node's overhead: its arithmetic, and a short one over real DDS."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from node_fakes import gray, make_image
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image

from cope_ros.core.errors import CopeError
from tools.bench_node.run import STAGES, Shot, join, stamp_of, stamped, summarize

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 240.0  # s; on an idle machine it takes 15
INSIDE = {"wait": 0.001, "prepare": 0.002, "estimate": 0.03, "convert": 0.003, "publish": 0.0005}


def test_each_frame_finds_its_stages_and_the_rest_is_transport():
    shots = [Shot(10.0, 10.05), Shot(20.0, 20.06), Shot(30.0, 30.05)]
    timelines = [
        {"arrived": 9.0, "stages": INSIDE},  # of the warm-up
        {"arrived": 20.004, "stages": INSIDE},
        {"arrived": 10.005, "stages": INSIDE},
    ]
    join(shots, timelines)
    assert shots[2].stages == {}
    assert tuple(shots[0].stages) == STAGES
    assert shots[0].stages["dds_in"] == pytest.approx(0.005)
    assert shots[0].stages["dds_out"] == pytest.approx(0.05 - 0.005 - 0.0365)
    assert shots[0].overhead == pytest.approx(0.02)
    found = summarize(shots[:2], lost=1)
    assert (found["frames"], found["lost"]) == (2, 1)
    assert found["overhead_ms"]["p50"] == pytest.approx(25.0)
    assert found["latency_ms"]["p50"] == pytest.approx(55.0)
    assert found["breakdown_ms"]["estimate"] == {"p50": 30.0, "p99": 30.0}
    with pytest.raises(CopeError):
        summarize([], lost=3)


def test_the_stamp_of_a_serialised_message_is_replaced_and_nothing_else():
    image = make_image(gray())
    data = stamped(serialize_message(image), 7_000_000_042)
    assert stamp_of(data) == 7_000_000_042
    changed = deserialize_message(data, Image)
    assert (changed.header.stamp.sec, changed.header.stamp.nanosec) == (7, 42)
    changed.header.stamp = image.header.stamp
    assert changed == image


def test_the_overhead_of_the_real_node_is_measured(tmp_path):
    out = tmp_path / "node.json"
    command = [sys.executable, "-m", "tools.bench_node.run", "--frames", "20"]
    done = subprocess.run(
        [*command, "--estimators", "constant", "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stderr
    content = json.loads(out.read_text())
    result = content["estimators"]["constant"]
    assert content["size"] == [640, 480]
    assert result["frames"] + result["lost"] == 20
    assert result["lost"] <= 2
    assert 0 < result["overhead_ms"]["p50"] <= result["overhead_ms"]["p99"]
    assert content["overhead_ms"] == result["overhead_ms"]
    parts = sum(result["breakdown_ms"][name]["p50"] for name in STAGES)
    assert 0 < parts < 2 * result["latency_ms"]["p50"]
