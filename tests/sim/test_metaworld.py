"""Meta-World's tasks in the simulator: pictures that show what happens, start states by seed, experts."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import numpy as np
import pytest

from world4rl_data.contract import TaskContract
from world4rl_sim.metaworld.names import (
    REQUIREMENT,
    TASKS,
    expert_class,
    load_contract,
)

needs_metaworld = pytest.mark.skipif(
    importlib.util.find_spec("metaworld") is None, reason=f"needs the optional library: pip install {REQUIREMENT}"
)
STILL = np.array([0.0, 0.0, 0.0, 1.0], np.float32)


def make_env(task: str, contract: str = "metaworld_32"):
    from world4rl_sim.metaworld.env import MetaWorldEnv

    return MetaWorldEnv(task, load_contract(contract))


@pytest.fixture(scope="module")
def reach() -> Iterator:
    """A task with nothing on the table but small things; 64 pixels, so that the fingers are several of them."""
    env = make_env("reach", "metaworld_64")
    yield env
    env.close()


def pictures(observation: dict) -> np.ndarray:
    """All streams beside each other, as signed numbers."""
    return np.concatenate(list(observation["images"].values()), axis=1).astype(int)


def finger(picture: np.ndarray) -> tuple[float, float]:
    """Row and column of the hand's cyan finger, the only thing of that colour."""
    red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
    rows, columns = np.nonzero((blue - red > 60) & (green - red > 60))
    assert len(rows) >= 5, "the finger is not in the picture"
    return float(rows.mean()), float(columns.mean())


def move(env, action: list[float], periods: int) -> dict:
    for _ in range(periods):
        observation = env.step(np.array(action, np.float32))[0]
    return observation


@needs_metaworld
def test_nearer_cameras_show_door_locks_lever_larger() -> None:
    """Counted in pixels that its turning changes."""

    def changed(contract: str) -> int:
        env = make_env("door-lock", contract)
        import mujoco  # after the environment has chosen how to render

        before = pictures(env.reset(seed=0)[0])
        env._env.data.qpos[-1] += 1.0  # the lever's hinge [rad]
        mujoco.mj_forward(env._env.model, env._env.data)
        turned = pictures(env._observe())
        env.close()
        return int((np.abs(turned - before).max(-1) > 20).sum())

    usual, near = changed("metaworld_32"), changed("metaworld_32_near")
    assert usual > 5 and near > 1.5 * usual, (usual, near)


@needs_metaworld
def test_every_task_and_its_expert_exist() -> None:
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    assert sorted(TASKS) == sorted(ALL_V3_ENVIRONMENTS) and len(TASKS) == 50
    assert len({expert_class(task) for task in TASKS}) == 50


@needs_metaworld
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"control_rate_hz": 30}, "80 / N"),
        ({"control_rate_hz": 20}, r"moves Meta-World's hand 0\.04 m, so set the scale of dx, dy, dz"),
        ({"images": [{"name": "ceiling", "topic": "/a", "height": 32, "width": 32}]}, "no camera 'ceiling'"),
    ],
)
def test_a_contract_that_is_not_metaworlds_is_refused(change: dict, message: str) -> None:
    from world4rl_sim.metaworld.env import MetaWorldEnv

    contract = TaskContract.from_dict({**load_contract().to_dict(), **change})
    with pytest.raises(ValueError, match=message):
        MetaWorldEnv("door-lock", contract)


@needs_metaworld
def test_unknown_task_and_unusable_actions(reach) -> None:
    with pytest.raises(ValueError, match=r"no task 'fold-laundry'.*door-lock-v3"):
        make_env("fold-laundry")
    reach.reset(seed=0)
    for action in (np.zeros(3), np.full(4, np.nan)):
        with pytest.raises(ValueError, match="4 finite numbers"):
            reach.step(action)


@needs_metaworld
@pytest.mark.parametrize("task", ["coffee-pull", "soccer", "door-lock", "drawer-open", "lever-pull", "handle-press"])
def test_a_seed_decides_the_start_whatever_came_before(task: str) -> None:
    env, other = make_env(task), make_env(task)
    first, _ = env.reset(seed=11)
    move(env, [0.3, 1.0, -1.0, -1.0], 8)
    moved, _ = env.reset(seed=12)
    move(env, [-1.0, 0.3, -1.0, -1.0], 8)
    again, _ = env.reset(seed=11)
    fresh, _ = other.reset(seed=11)
    for observation in (again, fresh):
        assert np.array_equal(pictures(observation), pictures(first))
        assert np.array_equal(observation["proprio"], first["proprio"])
    later = [move(e, [0.2, 0.9, -0.8, -1.0], 10) for e in (env, other)]
    assert np.array_equal(pictures(later[0]), pictures(later[1]))
    assert np.abs(pictures(moved) - pictures(first)).max() > 40  # another seed, another scene
    env.close()
    other.close()


@needs_metaworld
@pytest.mark.parametrize("task", ["door-lock", "coffee-pull", "handle-press"])
def test_the_first_picture_is_not_of_the_last_episode(task: str) -> None:
    """Right after Meta-World's reset the moved object is drawn where it was."""
    env = make_env(task)
    env.reset(seed=3)
    move(env, [0.0, 1.0, -1.0, -1.0], 5)
    first, _ = env.reset(seed=4)
    settled = move(env, [0.0, 0.0, 0.0, 1.0], 2)
    elsewhere, _ = env.reset(seed=3)
    still = np.abs(pictures(settled) - pictures(first)).mean()
    assert still < 0.25 * np.abs(pictures(elsewhere) - pictures(first)).mean()
    env.close()


@needs_metaworld
def test_pictures_are_upright_and_follow_the_hand(reach) -> None:
    """The table's brown is below, and up is up."""
    observation, _ = reach.reset(seed=0)
    down = move(reach, [0, 0, -1, 1], 3)
    up = move(reach, [0, 0, 1, 1], 6)
    for name, view in observation["images"].items():
        redness = view[..., 0].astype(int) - view[..., 2]
        brown = (redness > 20) & (redness < 70)  # grey walls have less of it, the arm more
        assert brown[-8:].mean() > 0.8 and brown[:8].mean() < 0.3
        assert finger(up["images"][name])[0] + 5 < finger(down["images"][name])[0]
    assert up["proprio"][2] > down["proprio"][2] + 0.05


@needs_metaworld
def test_two_views_tell_near_from_far(reach) -> None:
    """The same step sideways comes nearer (lower in the picture) in one view and goes away in the other."""
    reach.reset(seed=0)
    left = move(reach, [-1, 0, 0, 1], 4)["images"]
    right = move(reach, [1, 0, 0, 1], 8)["images"]
    rows = {name: finger(right[name])[0] - finger(left[name])[0] for name in left}
    columns = {name: finger(right[name])[1] - finger(left[name])[1] for name in left}
    assert rows["front"] > 3 and rows["side"] < -3
    assert min(columns.values()) > 3


@needs_metaworld
def test_the_object_is_seen_to_move() -> None:
    """An opened drawer, light green, covers other pixels than a closed one."""
    env = make_env("drawer-open")
    first, _ = env.reset(seed=2)
    act, done = env.expert(0.0, np.random.default_rng(0)), False
    while not done:
        last, _, terminated, truncated, info = env.step(act())
        done = terminated or truncated
    assert info["success"]
    green = [(p[..., 1] > p[..., 0] + 20) & (p[..., 1] > p[..., 2] + 20) for p in map(pictures, (first, last))]
    assert green[0].sum() > 20
    assert (green[0] ^ green[1]).sum() > 20
    env.close()


@needs_metaworld
def test_the_goals_marker_is_drawn_at_the_goal() -> None:
    """Meta-World's own step leaves it where the XML has it, far from the lock."""
    env = make_env("door-lock")
    observation, _ = env.reset(seed=1)
    inner = env._env
    assert inner.data.site("goal_lock").xpos == pytest.approx(inner._target_pos)
    assert env.observation_space.contains(observation)
    env.close()


@needs_metaworld
def test_actions_move_the_target_and_the_hand_follows(reach) -> None:
    """The target is what actions add up to; from the hand alone nobody could tell where it is going."""
    before = reach.reset(seed=0)[0]["proprio"]
    moving = move(reach, [1, 0, 0, 1], 1)["proprio"]
    scale = np.array([a.scale for a in reach.contract.actions[:3]])
    assert moving[3:6] - before[3:6] == pytest.approx(scale * [1, 0, 0], abs=1e-5)
    assert moving[0] < moving[3] - 0.01, "it lags"
    settled = move(reach, [0, 0, 0, 1], 8)["proprio"]
    assert settled[3:6] == pytest.approx(moving[3:6]) and settled[:3] == pytest.approx(settled[3:6], abs=0.01)


@needs_metaworld
def test_plus_one_opens_the_hand(reach) -> None:
    """As in every contract; Meta-World's own effort has the other sign."""
    reach.reset(seed=0)
    closed = move(reach, [0, 0, 0, -1], 12)["proprio"][-1]
    opened = move(reach, [0, 0, 0, 1], 12)["proprio"][-1]
    assert closed < 0.02 and opened > 0.04


@needs_metaworld
@pytest.mark.parametrize(("contract", "periods"), [("metaworld_32", 8), ("metaworld_32_near", 8), ("metaworld_64", 13)])
def test_half_a_second_after_success_is_as_many_periods_as_the_contract_has_in_it(contract: str, periods: int) -> None:
    env = make_env("reach", contract)
    assert env._clock.periods_after_success == periods
    env.close()


@needs_metaworld
def test_idle_episodes_are_truncated_and_successful_ones_end_early() -> None:
    env = make_env("handle-press")
    env.reset(seed=5)
    for step in range(1, env.horizon + 1):
        _, reward, terminated, truncated, info = env.step(STILL)
        assert (reward, terminated, truncated) == (0.0, False, step == 30)
    assert not info["success"] and info["success_index"] is None
    env.reset(seed=5)
    act, rewards, done = env.expert(0.0, np.random.default_rng(0)), [], False
    while not done:
        _, reward, terminated, truncated, info = env.step(act())
        rewards.append(reward)
        done = terminated or truncated
    assert info["success"] and len(rewards) == info["success_index"] + 8 < env.horizon
    assert rewards[info["success_index"] - 1] == 1.0 and not any(rewards[: info["success_index"] - 1])
    env.close()


@needs_metaworld
def test_noise_makes_a_worse_expert() -> None:
    """The same seed with other noise is another episode; without noise the expert is repeatable."""
    env = make_env("door-lock")

    def actions(noise: float, seed: int) -> np.ndarray:
        env.reset(seed=1)
        act = env.expert(noise, np.random.default_rng(seed))
        done, taken = [], None
        for _ in range(6):
            taken = act()
            done.append(taken)
            env.step(taken)
        return np.stack(done)

    assert np.array_equal(actions(0.0, 0), actions(0.0, 1))
    assert np.abs(actions(0.3, 0) - actions(0.0, 0)).mean() > 0.05
    assert np.abs(actions(0.3, 0)).max() <= 1.0
    env.close()


@needs_metaworld
@pytest.mark.parametrize(("contract", "fewest"), [("metaworld_32", 4), ("metaworld_64", 5)])
@pytest.mark.parametrize("task", ["coffee-pull", "door-lock", "handle-press", "drawer-close", "drawer-open"])
def test_experts_finish_their_tasks_in_an_episode(task: str, contract: str, fewest: int) -> None:
    env = make_env(task, contract)
    env._observe = lambda: {}  # type: ignore[method-assign]
    successes = 0
    for seed in range(5):
        env.reset(seed=seed)
        act, done = env.expert(0.0, np.random.default_rng(seed)), False
        while not done:
            _, _, terminated, truncated, info = env.step(act())
            done = terminated or truncated
        successes += info["success"]
    assert successes >= fewest


@needs_metaworld
def test_coarse_meshes_draw_a_third_of_the_triangles_and_the_same_picture() -> None:
    """Physics stays what it was to the last digit."""
    from world4rl_sim.metaworld.env import MetaWorldEnv, MetaWorldEnvConfig

    seen, drawn, proprio = [], [], []
    for cell in (1e-9, 0.01):  # every vertex is a cell of its own; as shipped
        env = MetaWorldEnv("coffee-pull", load_contract("metaworld_64"), MetaWorldEnvConfig(mesh_cell_m=cell))
        env.reset(seed=3)
        observation = move(env, [0.6, 0.9, -0.8, 1.0], 8)
        seen.append(pictures(observation))
        proprio.append(observation["proprio"])
        drawn.append(int(env._env.model.mesh_facenum.sum()))
        env.close()
    assert drawn[1] < 0.3 * drawn[0]
    assert np.abs(seen[0] - seen[1]).mean() < 1.0  # of 255
    assert np.array_equal(proprio[0], proprio[1])
