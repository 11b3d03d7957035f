"""The runner's command lines against the node specs, and its own command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from world4rl_bringup import run
from world4rl_bringup.graph import MODES, graph
from world4rl_bringup.middleware import VARIABLES, middleware
from world4rl_bringup.options import GraphOptions
from world4rl_bringup.paths import executable
from world4rl_bringup.spec import NodeSpec, command_line


def test_command_line_says_all_of_the_spec(tmp_path: Path) -> None:
    spec = NodeSpec(
        "some_pkg",
        "thing",
        "that",
        namespace="/lab",
        parameters={"text": "07", "rate": 2.0, "names": ("a", "b")},
        parameter_files=(Path("/etc/defaults.yaml"),),
        remappings=(("in", "/out"),),
        arguments=("--fast",),
        log_level="warn",
    )
    words = command_line(spec, ["/bin/thing"], tmp_path)
    assert words == [
        "/bin/thing", "--fast", "--ros-args", "--log-level", "warn", "-r", "__node:=that", "-r", "__ns:=/lab",
        "--params-file", "/etc/defaults.yaml", "--params-file", str(tmp_path / "that.yaml"), "-r", "in:=/out",
    ]  # fmt: skip
    written = yaml.safe_load((tmp_path / "that.yaml").read_text())
    assert written == {"/lab/that": {"ros__parameters": {"text": "07", "rate": 2.0, "names": ["a", "b"]}}}


@pytest.mark.parametrize("mode", sorted(MODES))
def test_runner_starts_what_the_graph_says(mode: str, tmp_path: Path) -> None:
    options = GraphOptions(
        operator=True,
        policy_checkpoint=str(tmp_path),
        world_model_checkpoint=str(tmp_path),
        log_level="debug",
        teleop="joystick",
    )
    for spec in graph(mode, options):
        words = command_line(spec, executable(spec, {}), tmp_path / mode)
        assert words[1:4] == ["-u", "-m", f"{spec.package}.{spec.name}_node"]
        assert f"__node:={spec.name}" in words and f"__ns:={spec.namespace}" in words
        assert words[words.index("--log-level") + 1] == "debug"
        files = [Path(words[i + 1]) for i, word in enumerate(words) if word == "--params-file"]
        assert files[:-1] == list(spec.parameter_files)
        assert yaml.safe_load(files[-1].read_text())[spec.full_name]["ros__parameters"] == dict(spec.parameters)


def test_installed_programs_are_preferred_over_python_m(tmp_path: Path) -> None:
    program = tmp_path / "lib/world4rl_sim/sim_arm"
    program.parent.mkdir(parents=True)
    program.touch()
    assert executable(graph("sim_arm")[0], {"AMENT_PREFIX_PATH": f"/absent:{tmp_path}"}) == [str(program)]


def test_options_may_be_written_both_ways() -> None:
    dashes = run.parse(["sim_arm", "--task", "lift_cube", "--policy", "--record", "false", "--real-time-factor", "2"])
    launch = run.parse(["sim_arm", "task:=lift_cube", "policy:=true", "record:=false", "real_time_factor:=2"])
    assert (
        dashes[:2]
        == launch[:2]
        == (
            "sim_arm",
            {"task": "lift_cube", "policy": "true", "record": "false", "real_time_factor": "2"},
        )
    )


@pytest.mark.parametrize(
    "words",
    [
        ["fly"],
        ["sim_arm", "robot_ip:=1.2.3.4"],  # an option of another mode
        ["sim_arm", "--sped", "3"],
        ["real_arm", "backend:=magic", "start_driver:=false", "start_cameras:=false"],
        ["real_arm", "arm_prefix:=left", "start_driver:=false", "start_cameras:=false"],
        ["teleop"],
        ["teleop", "teleop:=keyboard"],
        ["sim_arm", "task:=juggle"],
        ["real_arm"],
    ],
)
def test_a_wrong_command_line_starts_nothing(words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "RunningGraph", lambda *a, **k: pytest.fail("nodes were started"))
    try:
        code = run.main(words)
    except SystemExit as end:
        code = end.code  # type: ignore[assignment]
    assert code == 2


def test_modes_with_cameras_get_shared_memory_for_pictures_unless_the_user_chose() -> None:
    set_to = middleware("real_arm", GraphOptions(), {})
    assert set(set_to) == set(VARIABLES) and all(Path(path).is_file() for path in set_to.values())
    assert middleware("real_arm", GraphOptions(), {"FASTRTPS_DEFAULT_PROFILES_FILE": "/mine.xml"}) == {}
    assert middleware("real_arm", GraphOptions(use_fake_hardware=True), {}) == {}
    assert middleware("sim_arm", GraphOptions(), {}) == {}


def test_every_option_has_help_in_every_mode(capsys: pytest.CaptureFixture[str]) -> None:
    for mode in MODES:
        with pytest.raises(SystemExit):
            run.main([mode, "--help"])
        shown = capsys.readouterr().out
        for option in MODES[mode].options:
            assert f"--{option.replace('_', '-')}" in shown
