"""RViz and Foxglove show what there is: their topics and services stand in docs/interfaces.md, with their types."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import interface_page
import yaml

from world4rl_bringup.nodes import RVIZ_TOPICS

SHARE = Path(__file__).parents[2] / "src/world4rl_bringup"
RVIZ_TYPES = {
    "rviz_default_plugins/Image": "sensor_msgs/msg/Image",
    "rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray",
    "rviz_default_plugins/Pose": "geometry_msgs/msg/PoseStamped",
}
SERVICE_FIELDS = {"std_srvs/srv/Trigger": {}, "std_srvs/srv/SetBool": {"data": bool}}
# Fields that a plot or a text panel may name, by type.
PLOTTED = {
    "std_msgs/msg/Float32": {"data"},
    "world4rl_interfaces/msg/Action": {"values"},
    "world4rl_interfaces/msg/PolicyStatus": {"uncertainty"},
}


def test_rviz_shows_topics_that_are_there_with_a_reliability_that_hears_them() -> None:
    displays = yaml.safe_load((SHARE / "rviz/world4rl.rviz").read_text())["Visualization Manager"]["Displays"]
    shown = {d["Topic"]["Value"]: d for d in displays if "Topic" in d}
    page = interface_page.topics()
    for name, display in shown.items():
        assert page[name].type == RVIZ_TYPES[display["Class"]], name
        best_effort = "BE" in page[name].publishers.values() or page[name].type == "sensor_msgs/msg/Image"
        if best_effort and "/world4rl/" not in name:  # cameras and the driver: a reliable listener may hear nothing
            assert display["Topic"]["Reliability Policy"] == "Best Effort", name
    assert {"/world4rl/imagination/real", "/world4rl/imagination/frames"} < set(shown)
    ours = {name.removeprefix("/world4rl/") for name in shown if name.startswith("/world4rl/")}
    assert ours == set(RVIZ_TOPICS), "these are remapped under another namespace"


def foxglove() -> dict[str, Any]:
    return json.loads((SHARE / "foxglove/world4rl.json").read_text())["configById"]


def test_foxglove_shows_topics_that_are_there() -> None:
    page = interface_page.topics()
    for panel, config in foxglove().items():
        if panel.startswith("Image!"):
            assert page[config["imageMode"]["imageTopic"]].type == "sensor_msgs/msg/Image", panel
        for topic in config.get("topics", {}):
            assert topic in page, panel
        if panel.startswith("RawMessages!"):
            assert config["topicPath"] in page, panel
        for path in config.get("paths", []):
            topic, _, field = path["value"].partition(".")
            assert re.sub(r"\[\d+\]", "", field) in PLOTTED[page[topic].type], path["value"]
    assert foxglove()["DiagnosticSummary!all"]["topicToRender"] in page


def test_foxglove_buttons_call_services_that_are_there() -> None:
    page, called = interface_page.services(), set()
    for panel, config in foxglove().items():
        if not panel.startswith("CallService!"):
            continue
        kind, _ = page[config["serviceName"]]
        request = json.loads(config["requestPayload"])
        assert {name: type(value) for name, value in request.items()} == SERVICE_FIELDS[kind], panel
        called.add(config["serviceName"].removeprefix("/world4rl/"))
    assert called >= {f"recorder/{name}" for name in ("start", "stop_success", "stop_failure", "discard")}


def test_foxglove_lays_out_every_panel_once() -> None:
    layout = json.loads((SHARE / "foxglove/world4rl.json").read_text())["layout"]

    def panels(part: Any) -> list[str]:
        return [part] if isinstance(part, str) else panels(part["first"]) + panels(part["second"])

    assert sorted(panels(layout)) == sorted(foxglove())
