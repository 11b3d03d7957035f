"""The simulated arm without ROS: start states, pictures, experts through the real gate, the environment's contract."""

import numpy as np
import pytest

from world4rl_control.gate import SafetyGate
from world4rl_data.contract import ContractError, TaskContract
from world4rl_data.episode import ActionSource
from world4rl_sim.arm import SimArm
from world4rl_sim.env import SimEnv
from world4rl_sim.episode_clock import EpisodeClock
from world4rl_sim.experts import ExpertConfig, ToolState, make_expert
from world4rl_sim.task_contracts import TASK_CONTRACTS
from world4rl_sim.tasks import PressButton, make_task


def make_env(task: str) -> SimEnv:
    contract = TaskContract.load(TASK_CONTRACTS[task])
    return SimEnv(task, contract, SafetyGate(contract))


def run_expert(env: SimEnv, seed: int, config: ExpertConfig) -> tuple[bool, list[np.ndarray]]:
    """One episode; success and the executed actions."""
    expert, rng = make_expert(env.arm.task.name, config), np.random.default_rng(seed)
    env.reset(seed=seed)
    executed = []
    while True:
        tool = ToolState(env.arm.pose[0], env.arm.gripper_width)
        action = expert.act(tool, env.arm.objects, rng)
        _, _, terminated, truncated, info = env.step(action, ActionSource.SCRIPTED)
        assert info["accepted"], info["reason"]
        executed.append(info["executed"])
        if terminated or truncated:
            return info["success"], executed


@pytest.mark.parametrize("task", TASK_CONTRACTS)
def test_noiseless_expert_succeeds(task: str) -> None:
    """Scene, controller, gate and expert fit together: a task whose expert fails gives no demonstrations."""
    env = make_env(task)
    env._observe = lambda: {}  # type: ignore[method-assign]  # pictures are not needed and take most of the time
    results = [run_expert(env, seed, ExpertConfig(noise=0.0))[0] for seed in range(5000, 5020)]
    env.close()
    assert sum(results) >= 19


@pytest.mark.parametrize("task", TASK_CONTRACTS)
def test_same_seed_same_start_and_other_seed_another(task: str) -> None:
    """Evaluation compares policies on paired start states, so a seed must fix everything that can be seen."""
    with SimArm(task) as arm:
        arm.reset(3)
        first = {camera: arm.render(camera) for camera in arm.cameras}
        objects, position = arm.objects, arm.pose[0]
        for _ in range(5):
            arm.set_target(arm.pose[0] + (0.0, 0.0, -0.03), arm.pose[1])
            arm.step()
        arm.reset(3)
        assert all(np.array_equal(arm.render(camera), first[camera]) for camera in arm.cameras)
        assert np.array_equal(arm.pose[0], position)
        assert all(np.array_equal(arm.objects[name][0], objects[name][0]) for name in objects)
        assert not arm.success
        with SimArm(task, cameras=()) as fresh:  # a simulator without a past
            fresh.reset(3)
            assert np.array_equal(fresh.data.qpos, arm.data.qpos)
        arm.reset(4)
        assert not np.array_equal(arm.render("front"), first["front"])


def test_first_picture_shows_the_moved_object() -> None:
    """A stale first frame (rendered before the reset's state is propagated) once spoiled whole data sets."""
    with SimArm("lift_cube") as arm:
        for seed in range(4):
            arm.reset(seed)
            before = arm.render("front")
            arm._mujoco.mj_forward(arm.model, arm.data)
            assert np.array_equal(before, arm.render("front"))


def test_lamp_is_the_only_place_where_success_is_painted() -> None:
    """Without the lamp, a pressed button's base stays yellow; with it, it turns green and back at the next reset."""
    for lamp in (True, False):
        with SimArm(PressButton(lamp=lamp), cameras=("front",)) as arm:
            arm.reset(0)
            yellow = arm.model.geom("button_base").rgba.copy()
            button = arm.objects["button"][0]
            for depth in (0.05, 0.0, -0.04, -0.07, -0.07):
                arm.set_target(button + (0.0, 0.0, depth), arm.pose[1])
                for _ in range(3):
                    arm.step()
            assert arm.success
            assert np.array_equal(arm.model.geom("button_base").rgba, yellow) != lamp
            arm.reset(1)
            assert np.array_equal(arm.model.geom("button_base").rgba, yellow)


def test_gripper_opens_closes_and_stops_at_the_cube() -> None:
    """The reported width is that of a Franka hand: 0 closed, .08 open."""
    with SimArm("lift_cube", cameras=()) as arm:
        arm.reset(0)
        assert arm.gripper_width == pytest.approx(0.08, abs=0.002)
        arm.set_gripper("close")
        for _ in range(5):
            arm.step()
        assert arm.gripper_width < 0.004


def test_environment_observation_and_episode_end() -> None:
    """Observations have the contract's shapes; an idle episode is truncated at the horizon with reward 0."""
    env = make_env("press_button")
    observation, info = env.reset(seed=7)
    assert env.observation_space.contains(observation)
    assert info["seed"] == 7
    assert observation["proprio"][:3] == pytest.approx(env.arm.pose[0], abs=1e-6)
    for step in range(1, env.horizon + 1):
        observation, reward, terminated, truncated, info = env.step(np.zeros(3, dtype=np.float32))
        assert (reward, terminated, truncated) == (0.0, False, step == env.horizon)
    assert not info["success"]
    env.close()


@pytest.mark.parametrize(
    ("streams", "size"),
    [
        ({}, (64, 64)),
        ({"height": 32, "width": 32}, (64, 64)),
        ({"height": 128, "width": 128}, (128, 128)),
        ({"crop": [80, 0, 480, 480]}, (480, 640)),
        ({"crop": [280, 0, 720, 720]}, (720, 1280)),
        ({"crop": [0, 0, 64, 64], "camera": [160, 120]}, (120, 160)),
    ],
)
def test_pictures_are_rendered_as_large_as_the_contract_needs(streams: dict, size: tuple[int, int]) -> None:
    """A contract made for real cameras works in the simulator; what 64 pixels are enough for stays as it was."""
    values = TaskContract.load("franka_sim_press").to_dict()
    values["images"] = [{**image, **streams} for image in values["images"]]
    contract = TaskContract.from_dict(values)
    env = SimEnv("press_button", contract, SafetyGate(contract))
    observation, _ = env.reset(seed=7)
    assert env.render().shape == (*size, 3)
    assert env.observation_space.contains(observation)
    env.close()


def test_episode_ends_a_few_periods_after_success() -> None:
    """Three periods are kept after success so that the reward model sees more than one positive frame."""
    env = make_env("press_button")
    env._observe = lambda: {}  # type: ignore[method-assign]
    success, executed = run_expert(env, 0, ExpertConfig(noise=0.0))
    assert success
    assert len(executed) == env._clock.success_index + 3
    env.close()


def test_a_success_in_the_last_moment_is_seen_to_last() -> None:
    """It has to begin by the horizon; what comes after it is shown all the same."""
    clock, begins = EpisodeClock(horizon=5, periods_after_success=3), [False] * 4 + [True] * 4
    assert [clock.tick(success) for success in begins] == [(False, False)] * 7 + [(True, False)]
    assert clock.info == {"success": True, "success_index": 5}
    clock.restart()
    assert [clock.tick(False) for _ in range(5)] == [(False, False)] * 4 + [(False, True)]


def test_wrong_names_and_rates_are_refused() -> None:
    """Errors name what is wrong and what there is."""
    with pytest.raises(ValueError, match="press_button"):
        make_task("juggle")
    with pytest.raises(ValueError, match="front, side and wrist"):
        SimArm("lift_cube", cameras=("ceiling",))
    contract = TaskContract.from_dict({**TaskContract.load("franka_sim_press").to_dict(), "control_rate_hz": 20})
    with pytest.raises(ContractError, match="10 Hz"):
        SimEnv("press_button", contract, SafetyGate(contract))
