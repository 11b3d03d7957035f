"""A policy that acts on a GPU, loaded as its node does, acts as on the CPU; and what watches it there sees the same."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

from alike import on_both

sys.path.append(str(Path(__file__).parents[1] / "policy"))
import moving_dot
from small_policy import SIZE, small_policy

from world4rl_policy.background_load import BackgroundLoad
from world4rl_policy.policy_loading import load_runner
from world4rl_policy.policy_runner import PolicyRunner, RunnerConfig
from world4rl_policy.surprise import parts_of
from world4rl_policy.trust_limit import TrustLimit
from world4rl_policy.trust_watch import TrustWatch
from world4rl_wm.checkpoint_identity import weights_digest
from world4rl_wm.devices import resolve_device
from world4rl_wm.model.denoiser import DenoiserConfig
from world4rl_wm.model.world_model import WorldModel, WorldModelConfig

CONTRACT = moving_dot.CONTRACT
WAIT_S = 60.0


def test_it_acts_the_same(tmp_path: Path) -> None:
    """Loaded in the background, while another acts."""
    path = small_policy(CONTRACT).save(tmp_path / "policy")
    shots = moving_dot.observations(moving_dot.episode(0, 3))

    def act(_: Path) -> Any:
        loaded: list[PolicyRunner | Exception] = []
        done, loading = threading.Event(), BackgroundLoad[PolicyRunner]()

        def load() -> PolicyRunner:
            return load_runner(str(path), resolve_device("auto"), CONTRACT, RunnerConfig())

        def keep(result: PolicyRunner | Exception) -> None:
            loaded.append(result)
            done.set()

        loading.start(load, keep)
        assert done.wait(WAIT_S)
        runner = loaded[0]
        assert isinstance(runner, PolicyRunner), runner
        return [runner.uncertainty, *(runner.infer(runner.remember(shot)).tolist() for shot in shots)]

    on_both(act, tmp_path)


def test_it_is_watched_the_same(tmp_path: Path) -> None:
    """In the watch's own thread; whatever it sees surprises it, and it tells by how much."""
    network = DenoiserConfig(CONTRACT.image_channels, SIZE, CONTRACT.action_dim, CONTRACT.proprio_dim, widths=(8, 8))
    path = WorldModel(WorldModelConfig(network), CONTRACT).save(tmp_path / "world_model")
    limit = TrustLimit(dict.fromkeys(parts_of(CONTRACT), 1.0), 1e-6, 1, weights_digest(path), 1, 1, 0, (0.0, 1.0))
    limit.save(path)
    made = moving_dot.episode(0, 2)
    before, now = moving_dot.observations(made)[:2]

    def watch(_: Path) -> Any:
        reasons: list[str] = []
        alarmed = threading.Event()

        def alarm(reason: str) -> None:
            reasons.append(reason)
            alarmed.set()

        trust = TrustWatch.load(path, "auto", 0.0, 0, alarm)
        trust.monitor.saw(before.stamp_ns, before.frame, before.proprio)
        trust.monitor.executed(before.stamp_ns, made.actions[0])
        trust.acted(now)
        assert alarmed.wait(WAIT_S)
        trust.close()
        assert "surprises the world model" in reasons[0], reasons
        return [trust.monitor.report.score, trust.monitor.report.part, trust.monitor.report.checked]

    on_both(watch, tmp_path)
