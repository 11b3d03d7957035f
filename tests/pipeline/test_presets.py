"""Presets: complete, typed, and wrong keys are refused by name instead of being ignored."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import torch
import yaml

from world4rl.presets import (
    METAWORLD,
    PRESETS_DIR,
    PresetError,
    changed_settings,
    load_preset,
    metaworld_preset,
    preset_names,
    preset_of,
    preset_values,
)
from world4rl.runs.load_run import require_config
from world4rl.settings import CONTRACT_DECIDES, MAY_BE_ZERO, NETWORKS, RUN_DECIDES
from world4rl_data.contract import TaskContract
from world4rl_sim.metaworld.names import load_contract
from world4rl_wm.model.denoiser import Denoiser, DenoiserConfig
from world4rl_wm.training.step import learning_rate_factor


def flat(values: dict, prefix: str = "") -> set[str]:
    keys: set[str] = set()
    for key, value in values.items():
        name = f"{prefix}{key}"
        keys |= flat(value, f"{name}.") if isinstance(value, dict) else {name}
    return keys


def test_shipped_presets_load_and_fit_every_simulated_contract() -> None:
    assert preset_names() == ["tiny", "small", "base", "paper"]
    assert preset_names(METAWORLD) == [f"metaworld/{name}" for name in preset_names()]
    for name in preset_names():
        preset = load_preset(name)
        assert preset.description
        for contract in ("franka_sim_press", "franka_sim_push", "franka_sim_lift"):
            task = TaskContract.load(contract)
            with torch.device("meta"):  # shapes only: the paper's size would not fit beside a test
                denoiser = Denoiser(preset.world_model_config(task).denoiser)
            assert denoiser.config.action_dim == task.action_dim
            assert preset.policy_config(task).image_channels == task.image_channels
            assert preset.reward_config(task).image_channels == task.image_channels


@pytest.mark.parametrize(
    ("name", "contract", "hits"),
    [("tiny", "metaworld_32", 5), ("small", "metaworld_64", 8), ("base", "metaworld_64", 8)],
)
def test_a_dreamed_success_of_metaworld_lasts_for_three_tenths_of_a_second(name: str, contract: str, hits: int) -> None:
    """And real episodes show one for longer: the frame that begins it and the periods after it."""
    pytest.importorskip("metaworld")
    from world4rl_sim.metaworld.env import MetaWorldEnvConfig

    told, asked = load_contract(contract), load_preset(f"metaworld/{name}").imagination.hits
    assert asked == hits == round(0.3 * told.control_rate_hz)
    assert asked < 1 + MetaWorldEnvConfig().periods_after_success(told)
    assert load_preset("metaworld/paper").imagination.hits == 1, "the paper's definition"


def test_the_papers_exploration_is_learned_below_its_bound() -> None:
    """e^0 bounds the standard deviation in the paper; it is not what practice begins with or keeps."""
    ppo = load_preset("paper").ppo
    assert ppo.learn_std and ppo.std < ppo.max_std == 1.0


def test_six_tasks_share_the_papers_steps() -> None:
    """A preset of Meta-World gives those of each task: a world model over all takes as many times more."""
    steps = [load_preset(name).world_model.training.steps for name in ("metaworld/paper", "paper")]
    assert 6 * steps[0] == pytest.approx(steps[1], rel=0.01)


@pytest.mark.parametrize(("name", "millions"), [("tiny", 6.1), ("small", 5.0), ("base", 51.0), ("paper", 325.3)])
def test_sizes_are_those_the_presets_tell(name: str, millions: float) -> None:
    contract = TaskContract.load("franka_sim_press")
    with torch.device("meta"):
        denoiser = Denoiser(load_preset(name).world_model_config(contract).denoiser)
    assert sum(p.numel() for p in denoiser.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


def test_a_world_model_that_looks_back_on_one_frame_cannot_know_the_arms_velocity() -> None:
    preset = load_preset("tiny", ["world_model.denoiser.history=1", "bc.network.history=1"])
    with pytest.raises(ValueError, match=r"world_model\.denoiser\.history is 1: give at least 2"):
        preset.world_model_config(TaskContract.load("franka_sim_press"))
    assert DenoiserConfig(3, 16, 3, proprio_dim=0, history=1).history == 1
    with pytest.raises(ValueError, match="is 0: give at least 1"):
        DenoiserConfig(3, 16, 3, proprio_dim=0, history=0)


def test_tiny_gives_every_value_itself() -> None:
    """The demo's values stand in one place, whatever the defaults are (`test_preset_defaults`)."""
    given = flat(yaml.safe_load((PRESETS_DIR / "tiny.yaml").read_text()))
    assert flat(preset_values(load_preset("tiny"))) == given
    for section, network in NETWORKS.items():
        own = {f.name for f in fields(network)} - set(CONTRACT_DECIDES)
        assert {f"{section}.{name}" for name in own} <= given


@pytest.mark.parametrize("folder", ["", "metaworld/"])
def test_presets_with_many_demonstrations_stop_early(folder: str) -> None:
    for name, share in (("tiny", 0.0), ("small", 0.1), ("base", 0.1), ("paper", 0.1)):
        preset = load_preset(folder + name)
        assert preset.bc.training.held_out == preset.bc.filtered_training.held_out == share
        assert share == 0 or preset.collect.demonstrations * share >= 5


@pytest.mark.parametrize("name", [folder + name for folder in ("", METAWORLD) for name in ("small", "base", "paper")])
def test_filtered_bc_learns_for_as_long_as_bc(name: str) -> None:
    """It has many more episodes to learn from, is the rival of refinement and what that begins with."""
    preset = load_preset(name)
    bc, filtered, dreams = preset.bc.training, preset.bc.filtered_training, preset.dream_bc
    assert filtered.held_out > 0 and filtered.steps * filtered.batch_size >= bc.steps * bc.batch_size
    assert 2 * dreams.steps * dreams.batch_size >= filtered.steps * filtered.batch_size
    assert filtered.shift == dreams.shift == bc.shift and filtered.evaluate_every == bc.evaluate_every


@pytest.mark.parametrize("name", [*preset_names(), *preset_names(METAWORLD)])
def test_a_later_round_learns_something_and_ends_with_a_low_rate(name: str) -> None:
    """A round that was all warm-up would learn next to nothing, and end with its highest rate."""
    preset = load_preset(name)
    first, later = preset.world_model.training, preset.later_world_model_training()
    assert learning_rate_factor(later.steps - 1, later) < 0.11
    summed = [sum(learning_rate_factor(step, one) for step in range(one.steps)) for one in (first, later)]
    assert summed[1] >= 0.1 * summed[0]
    assert 5 * later.warm_up <= later.steps and later.learning_rate == first.learning_rate
    assert preset.loop.reward_steps >= 0.1 * preset.reward.training.steps
    assert preset.loop.iterations == preset.ppo.iterations // 2


@pytest.mark.parametrize("folder", ["", METAWORLD])
def test_fresh_episodes_end_where_both_outcomes_are_enough(folder: str) -> None:
    """In tiny, whose tables were made so, the maximum comes first."""
    for name in preset_names():
        check = load_preset(folder + name).replay_check
        assert (check.max_episodes > check.successes + check.failures) == (name != "tiny")


def test_bc_on_dreams_sets_nothing_aside() -> None:
    """It goes on with a policy that has seen all but the episodes which its own training set aside."""
    with pytest.raises(PresetError, match=r"no setting 'dream_bc\.held_out'"):
        load_preset("tiny", ["dream_bc.held_out=0.1"])


def test_values_read_back_the_same(tmp_path: Path) -> None:
    preset = load_preset("base", ["world_model.denoiser.widths=[16, 32]"])
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(preset_values(preset)))
    assert load_preset(path) == preset


def test_own_file_extends_a_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text("extends: tiny\ndescription: toy\nppo:\n  iterations: 30\n")
    toy, tiny = load_preset(path), load_preset("tiny")
    assert toy.ppo.iterations == 30 and toy.ppo.clip == tiny.ppo.clip and toy.collect == tiny.collect


def test_a_result_tells_what_differs_from_a_shipped_preset(tmp_path: Path) -> None:
    preset = load_preset("metaworld/tiny", ["collect.demonstrations=2", "world_model.denoiser.widths=[16, 32]"])
    told = {"collect.demonstrations": 2, "world_model.denoiser.widths": [16, 32]}
    assert changed_settings(preset, "metaworld/tiny") == {"preset": "metaworld/tiny", "changed": told}
    assert changed_settings(load_preset("metaworld/tiny"), "metaworld/tiny")["changed"] == {}
    path = tmp_path / "mine.yaml"  # which others do not have
    path.write_text("extends: tiny\nppo:\n  iterations: 30\n")
    assert changed_settings(load_preset(path), str(path)) == {"preset": "tiny", "changed": {"ppo.iterations": 30}}
    assert [metaworld_preset(name) for name in ("paper", str(path))] == ["metaworld/paper", str(path)]


@pytest.mark.parametrize("name", ["tiny", "metaworld/paper"])
def test_what_follows_from_the_run_is_no_setting(tmp_path: Path, name: str) -> None:
    """It would be told as a changed one and change nothing. Records of before have it all the same."""
    for section, key in (setting.split(".") for setting in RUN_DECIDES):
        with pytest.raises(PresetError, match=f"no setting '{section}.{key}'"):
            load_preset(name, [f"{section}.{key}=60"])
        recorded = preset_values(load_preset(name))
        assert key not in recorded[section]
        recorded[section][key] = 60
        assert preset_of(recorded, name) == load_preset(name)
        assert changed_settings(preset_of(recorded, name), name)["changed"] == {}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({"seed": 0, "settings": recorded}))
        require_config(tmp_path, {"seed": 0, "settings": preset_values(load_preset(name))})  # and can be gone on with


def test_a_threshold_is_a_number_or_calibrated() -> None:
    assert load_preset("tiny", ["reward.calibration.threshold=0.8"]).reward.calibration.threshold == 0.8
    episodes = "reward.calibration.episodes=0.2"
    preset = load_preset("tiny", [episodes, "reward.calibration.threshold=calibrated"])
    assert preset.reward.calibration.threshold == "calibrated"
    with pytest.raises(ValueError, match=r"give reward\.calibration\.episodes above 0"):
        load_preset("tiny", ["reward.calibration.threshold=calibrated"])


def test_overrides_are_typed() -> None:
    preset = load_preset("tiny", ["ppo.iterations=7", "bc.training.learning_rate=1e-3", "collect.policy_noise=[0.2]"])
    assert preset.ppo.iterations == 7
    assert preset.bc.training.learning_rate == 1e-3
    assert preset.collect.policy_noise == (0.2,)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("ppo.iteration=7", r"no setting 'ppo.iteration'; here there is .*iterations"),
        ("nothing.at.all=7", "no setting 'nothing.at.all'"),
        ("ppo.iterations.more=7", "nothing below it"),
        ("ppo.iterations", "must look like"),
        ("ppo.iterations=2.5", "ppo.iterations must be an integer, got 2.5"),
        ("ppo.iterations=true", "ppo.iterations must be an integer"),
        ("ppo.clip=wide", "ppo.clip must be a number, got 'wide'"),
        ("collect.policy_noise=0.1", "collect.policy_noise must be a list"),
        ("ppo=3", "ppo must be a section"),
        ("ppo.clip=[", "not YAML"),
        ("reward.network.backbone=huge", "reward.network.backbone must be one of small, resnet18, got 'huge'"),
        ("reward.calibration.threshold=high", "must be a number, got 'high'; or calibrated"),
        ("bc.training.learning_rate=nan", "bc.training.learning_rate must be a finite number, got 'nan'"),
        ("replay_check.limits.precision_from=.nan", "precision_from must be a finite number, got nan"),
        ("imagination.max_uncertainty=-.inf", "imagination.max_uncertainty must be a finite number, got -inf"),
        ("bc.training.steps=0", "bc.training.steps must be at least 1, got 0"),
        ("world_model.training.steps=-3", "world_model.training.steps must be at least 1, got -3"),
        ("world_model.denoiser.widths=[8, 0]", r"world_model.denoiser.widths\[1\] must be at least 1, got 0"),
        ("dream_bc.steps=-1", "dream_bc.steps must be at least 0, got -1"),
    ],
)
def test_wrong_override_names_the_key(override: str, message: str) -> None:
    with pytest.raises(PresetError, match=message):
        load_preset("tiny", [override])


def test_what_may_be_zero_is_a_setting() -> None:
    changed = changed_settings(load_preset("tiny", [f"{key}=0" for key in MAY_BE_ZERO]), "tiny")["changed"]
    assert set(MAY_BE_ZERO) - {key for key, value in changed.items() if value == 0} == {"world_model.denoiser.task_dim"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: tiny\nppo: {lr: 1}\n", "ppo has no setting lr; it has bc_batch_size"),
        (
            "extends: tiny\nworld_model: {denoiser: {image_size: 64}}\n",
            "denoiser has no setting image_size",
        ),
        ("description: half\n", "the preset lacks bc"),
        ("- a\n- b\n", "must hold sections"),
        ("a: [\n", "is not valid YAML"),
        ("extends: nowhere\n", "no preset 'nowhere': .* one of tiny, .*; for Meta-World metaworld/tiny, "),
    ],
)
def test_wrong_file_names_the_fault(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(PresetError, match=message):
        load_preset(path)


def test_circle_of_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "circle.yaml"
    path.write_text(f"extends: {path}\n")
    with pytest.raises(PresetError, match="extends itself"):
        load_preset(path)
