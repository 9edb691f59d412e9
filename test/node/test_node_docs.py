"""The tables of docs/node.md against the node's declarations."""

import re
from dataclasses import fields, replace
from pathlib import Path

import yaml
from test_depth_judgement import DEPTH
from test_judgement import HEALTHY
from test_security_policy import allowed

from cope_ros.diagnostics.judgement import diagnose
from cope_ros.parameters import Parameters

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "node.md").read_text()
# What every node of this kind has; the tables leave most of it out.
USUAL = {"/parameter_events", "/rosout"}


def rows(heading):
    """The first table under a heading, as lists of cells without the header."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = re.findall(r"^\|(.*)\|$", section, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines[2:]]


def names(heading):
    return {row[0].strip("`") for row in rows(heading)}


def absolute(name):
    return name.replace("~/", "/cope/") if name.startswith(("~", "/")) else f"/{name}"


def test_every_parameter_is_there_with_its_default():
    shown = {
        row[0].strip("`"): (yaml.safe_load(row[1]), row[2] == "live") for row in rows("Parameters")
    }
    declared = {}
    for item in fields(Parameters):
        spec = item.metadata["spec"]
        default = list(item.default) if isinstance(item.default, tuple) else item.default
        own = spec.name == "score_threshold"  # unset, it is the model file's
        declared[spec.name] = ("the model's" if own else default, spec.live)
    assert shown == declared


def test_every_topic_and_service_is_there():
    rules = allowed()
    topics = (rules["topics", "publish"] | rules["topics", "subscribe"]) - USUAL
    assert {absolute(name) for name in names("Topics")} == topics
    own = {absolute(name) for name in names("Services")}
    assert own < rules["services", "reply"]
    assert own == {f"/cope/{name}" for name in ("enable", "trigger", "reset_tracks")}


def test_every_part_of_the_diagnostics_is_there():
    full = replace(HEALTHY, depth=DEPTH)
    assert names("Diagnostics") == {status.part for status in diagnose(full)}
