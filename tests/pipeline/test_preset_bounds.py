"""Settings that no run could finish with are refused when they are read, not by the stage that comes upon them."""

from __future__ import annotations

from pathlib import Path

import pytest

from world4rl.cli import main
from world4rl.presets import PresetError, load_preset, preset_of, preset_values


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("collect.policy_noise=[]", "collect.policy_noise is empty, but 210 episodes"),
        ("collect.policy_noise=[0.1, -0.1]", "collect.policy_noise is .*: a standard deviation is not below 0"),
        ("collect.scout_noise=-1", "collect.scout_noise is -1.0"),
        ("reward.training.steps=2", "reward.training.steps must be at least 3, got 2"),
        ("world_model.training.state.steps=2", "world_model.training.state.steps must be at least 3, got 2"),
        ("loop.reward_steps=2", "loop.reward_steps must be at least 3, got 2"),
        ("reward.calibration.episodes=0.7", "reward.calibration.episodes is 0.7: the share set aside must be 0 to 0.5"),
        ("world_model.denoiser.backbone=foo", "world_model.denoiser.backbone must be one of unet, dit, got 'foo'"),
        ("world_model.denoiser.encoding=foo", "world_model.denoiser.encoding must be one of two_hot, one_hot, linear"),
        ("world_model.training.mixture.expert=-1", "world_model.training.mixture: mixture .* has a negative share"),
        ("replay_check.limits.confidence=1", "replay_check.limits: confidence is 1.0"),
        ("loop.check_share=1.5", "loop.check_share is 1.5"),
        ("ppo.std=0", "ppo.std is 0.0: it must be above 0"),
        ("ppo.clip=-1", "ppo.clip is -1.0: it must be above 0"),
        ("ppo.gamma=1.1", "ppo.gamma is 1.1: it must be from 0 to 1"),
        ("ppo.bc_coefficient=-0.1", "ppo.bc_coefficient is -0.1: it must not be below 0"),
        ("ppo.iterations=6", "ppo.value_warm_up is 6 of 6 iterations: the policy would never learn"),
        ("imagination.key_frames=2", "imagination.key_frames is 2.0"),
        ("ppo.min_std=2", "ppo: min_std 2.0 and max_std 1.0"),
        ("reward.calibration.threshold=calibrated", r"give reward\.calibration\.episodes above 0"),
        ("bc.network.history=9", "bc.network.history is 9"),
    ],
)
def test_a_value_out_of_bounds_is_told_with_its_key(override: str, message: str) -> None:
    with pytest.raises(PresetError, match=message):
        load_preset("tiny", [override])


def test_a_reward_for_progress_needs_a_network_that_tells_it() -> None:
    """Else the run would find out after all its training, when practice begins."""
    given = ["imagination.progress_reward=0.1", "reward.network.progress="]
    assert load_preset("tiny", [given[0], f"{given[1]}true"]).imagination.progress_reward == 0.1
    with pytest.raises(PresetError, match=r"no network tells progress: give reward\.network\.progress=true"):
        load_preset("tiny", [given[0], f"{given[1]}false"])


def test_a_run_whose_policy_never_learned_can_still_be_read() -> None:
    values = preset_values(load_preset("tiny"))
    values["ppo"]["iterations"] = values["ppo"]["value_warm_up"]
    assert preset_of(values, "tiny").ppo.iterations == 6


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("world_model.denoiser.groups=7", "a unet's widths are multiples of its 7 groups"),
        ("world_model.denoiser.stem=5", "a multiple of 10 pixels, not 32"),
        ("world_model.denoiser.bins=1", "at least 2 bins, got 1"),
        ("reward.training.pretrained=/no/such.safetensors", "reward.training.pretrained: there is no file /no/such"),
    ],
)
def test_a_demo_that_could_make_no_models_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, message: str
) -> None:
    assert main(["demo", "--run", str(tmp_path / "run"), "--set", override]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "run").exists()
