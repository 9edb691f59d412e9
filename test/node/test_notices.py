"""What is said once, and how long it stands on /diagnostics."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from rclpy.logging import get_logger
from test_judgement import HEALTHY, judged

from cope_ros.diagnostics.judgement import Level
from cope_ros.diagnostics.notices import Notices


@pytest.fixture
def desk():
    desk = SimpleNamespace(now=0.0, warnings=[], infos=[])
    desk.notices = Notices(desk.warnings.append, desk.infos.append, lambda: desk.now)
    return desk


def test_a_fact_is_said_once_whatever_the_words(desk):
    assert desk.notices.warn("stamps", "stamps stand still at 0")
    assert not desk.notices.warn("stamps", "stamps stand still at 1")
    assert desk.notices.inform("ready", "ready")
    assert not desk.notices.inform("ready", "ready")
    assert (desk.warnings, desk.infos) == (["stamps stand still at 0"], ["ready"])


def test_it_is_said_again_after_a_while_where_asked_and_after_it_was_withdrawn(desk):
    for now in (0.0, 29.0, 30.0, 31.0):
        desk.now = now
        desk.notices.warn("silence", f"{now:.0f}", every=30.0)
    assert desk.warnings == ["0", "30"]
    assert desk.notices.withdraw("silence")
    assert not desk.notices.withdraw("silence")
    assert desk.notices.warn("silence", "again", every=30.0)


def test_what_belongs_to_a_part_stands_until_withdrawn(desk):
    desk.notices.warn("distortion", "D is not zero", "intrinsics")
    desk.notices.warn("binning", "binned already", "intrinsics")
    desk.notices.warn("loop", "time jumped back")
    assert desk.notices.standing == {"intrinsics": ("D is not zero", "binned already")}
    desk.notices.withdraw("distortion")
    assert desk.notices.standing == {"intrinsics": ("binned already",)}
    desk.notices.clear()
    assert desk.notices.standing == {}


def test_a_standing_notice_is_a_warning_of_its_part_beside_its_numbers():
    noted = replace(HEALTHY, notices={"intrinsics": ("D is not zero", "binned already")})
    status = judged(noted)["intrinsics"]
    assert status.level == Level.WARN
    assert status.message == "D is not zero"
    assert status.values["warnings"] == "D is not zero; binned already"
    assert status.values["fx"] == "600.00"
    others = {s.level for name, s in judged(noted).items() if name != "intrinsics"}
    assert others == {Level.OK}


def test_an_error_of_the_part_goes_before_a_notice():
    status = judged(replace(HEALTHY, busy=99.0, notices={"inference": ("slow",)}))["inference"]
    assert status.level == Level.ERROR
    assert "99 s" in status.message
    assert status.values["warnings"] == "slow"


def test_rclpys_logger_takes_both_severities():
    logger = get_logger("notices")
    notices = Notices(logger.warning, logger.info)
    assert notices.inform("ready", "ready")
    assert notices.warn("silence", "no image")
    assert notices.inform("first", "first result")
