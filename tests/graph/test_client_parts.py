"""The client's parts that need no graph: arrays to messages and back, what is said of a missing node, policy files."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.ros  # message classes

from builtin_interfaces.msg import Duration  # noqa: E402

from world4rl_bringup import client_messages as messages  # noqa: E402
from world4rl_bringup.client_types import Given, Live, Stored, Uncertainty  # noqa: E402
from world4rl_bringup.missing_nodes import what_is_missing  # noqa: E402
from world4rl_bringup.policies import NodeUses, policy_folder, read_policy, relative, uses, write_policy  # noqa: E402
from world4rl_data.image_messages import rgb8_message  # noqa: E402
from world4rl_interfaces.srv import ImagineRollout  # noqa: E402

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from soak_parts.trend import trend  # noqa: E402


def test_a_given_start_keeps_its_pictures_and_actions() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5, 3), dtype=np.uint8)
    actions = np.array([[0.5, -1.0]])
    request = messages.fill_request(
        ImagineRollout.Request(), 1, Given(pictures, actions), [[1.0, 0.0]], samples=2, seed=7, frames=True
    )
    assert (request.context_source, len(request.context), request.use_policy) == (request.GIVEN, 6, False)
    assert bytes(request.context[4].data) == pictures[1, 1].tobytes() and request.context[4].step == 15
    assert (list(request.context_actions), list(request.actions)) == ([0.5, -1.0], [1.0, 0.0])
    assert messages.fill_request(ImagineRollout.Request(), 1, Live(), None, 1, 0, True).use_policy
    stored = messages.fill_request(ImagineRollout.Request(), 1, Stored("data", 3), None, 1, 0, True)
    told = messages.fill_request(ImagineRollout.Request(), 1, Live(), None, 1, 0, True, "push")
    assert (told.task, stored.task) == ("push", "")
    assert (stored.context_source, stored.store_uri, stored.store_index) == (stored.STORE, "data", 3)


@pytest.mark.parametrize(
    ("start", "actions"),
    [(Live(), np.zeros(3)), (Live(), np.zeros((2, 3))), (Given(np.zeros((1, 2, 4, 4, 3))), None)],
    ids=["flat actions", "too few actions", "float pictures"],
)
def test_wrong_shapes_are_named_before_anything_is_asked(start: Live | Given, actions: np.ndarray | None) -> None:
    with pytest.raises(ValueError, match="expected"):
        messages.fill_request(ImagineRollout.Request(), 3, start, actions, 1, 0, True)


def test_an_answer_becomes_arrays_of_samples_and_steps() -> None:
    frames = np.arange(2 * 3 * 2 * 4 * 3, dtype=np.uint8).reshape(2, 3, 2, 4, 3)
    answer = ImagineRollout.Response(
        success=True,
        frames=[rgb8_message(frame) for sample in frames for frame in sample],
        uncertainty=list(range(6)),
        actions=[float(v) for v in range(12)],
        compute_time=Duration(sec=1, nanosec=500_000_000),
    )
    dreamt = messages.imagination(answer, samples=2)
    assert np.array_equal(dreamt.frames, frames)
    assert dreamt.uncertainty.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert dreamt.actions[1, 0].tolist() == [6.0, 7.0]
    assert (dreamt.compute_s, dreamt.success_probability) == (1.5, None), "no reward model: not zero, none"
    assert (dreamt.progress, dreamt.uncertainty_kind, dreamt.task) == (None, Uncertainty.NONE, "")
    answer.progress, answer.task = [0.0, 0.25, 0.5, 0.0, 0.5, 1.0], "push"
    answer.uncertainty_kind = answer.UNCERTAINTY_EXPECTED_ERROR
    told = messages.imagination(answer, samples=2)
    assert told.progress is not None and told.progress.tolist() == [[0.0, 0.25, 0.5], [0.0, 0.5, 1.0]]
    assert (told.uncertainty_kind, told.task) == (Uncertainty.EXPECTED_ERROR, "push")
    answer.frames = []
    assert messages.imagination(answer, samples=2).frames.shape == (2, 0, 0, 0, 3)


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([], "no node of /world4rl is in sight on ROS_DOMAIN_ID 5; start the node recorder: ros2 launch"),
        (["/world4rl/arm_gate"], "is not there after 2 s: start the node recorder: ros2 launch"),
        (["/world4rl/recorder"], "runs, but is not active: `ros2 lifecycle set /world4rl/recorder configure`"),
        (["/lab/recorder"], "node /lab/recorder runs in another namespace"),
    ],
)
def test_what_is_said_of_a_missing_service_is_the_mend(nodes: list[str], said: str) -> None:
    assert said in what_is_missing("service /world4rl/start_episode", "start_episode", "/world4rl", nodes, 2.0, 5)


def test_policy_files_say_again_what_was_written(tmp_path: Path) -> None:
    own = [
        relative(name, "/world4rl", "arm_gate") for name in ("/world4rl/arm_gate/status", "/world4rl/action", "/clock")
    ]
    assert own == ["~/status", "action", "/clock"]
    found = uses(own[:1], own[1:], ["imagine/_action/send_goal", "~/enable"], ["/hand/move/_action/get_result"])
    assert (found.executes, found.sends_goals_to) == ({"imagine"}, {"/hand/move"})
    write_policy(tmp_path / "gate.xml", "arm_gate", found)
    assert read_policy(tmp_path / "gate.xml") == ("arm_gate", found)
    less = NodeUses(publishes=found.publishes)
    assert "subscribes /clock" in found.missing_from(less) and less.missing_from(found) == []


def test_every_node_of_ours_has_a_policy_file_of_its_own() -> None:
    files = {path.name.removesuffix(".policy.xml"): path for path in policy_folder().glob("*.xml")}
    params = {path.stem for path in (policy_folder().parent / "params").glob("*.yaml")}
    assert set(files) == params | {"world4rl_client"} | ({"explorer"} - params)
    for name, path in files.items():
        node, allowed = read_policy(path)
        assert node == name
        assert f'path="/world4rl/{name}"' in path.read_text(), "the enclave that the launch files ask for"
        if name not in ("arm_gate",):
            assert "/target_pose" not in allowed.publishes, "one publisher on the controller's target"


def test_a_trend_tells_growth_from_noise() -> None:
    """A leak of 12 MB per hour is seen through noise that wanders; the noise alone is none."""
    rng = np.random.default_rng(0)
    times = np.arange(0, 1800, 10.0)
    wander = np.zeros(len(times))
    for i in range(1, len(times)):
        wander[i] = 0.8 * wander[i - 1] + rng.normal(0, 0.1)
    flat, leak = trend(times, 200 + wander), trend(times, 200 + wander + 12 * times / 3600)
    assert not flat.grows(noise=1.0) and leak.grows(noise=1.0)
    assert leak.low < 12 < leak.high and leak.rise == pytest.approx(6, abs=1)
    with pytest.raises(ValueError, match="too few"):
        trend([0, 1], [1, 2])
