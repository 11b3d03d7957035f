"""What a request may cost: a dream that would take too long here is refused beforehand, with the estimate."""

from __future__ import annotations

import time

import pytest
import small_models
import torch
from small_models import camera_image, picture, small_contract

from world4rl_wm.imagination.dream import Dream
from world4rl_wm.imagination.dream_pace import DreamPace
from world4rl_wm.imagination.dream_stream import DreamStep, Watch
from world4rl_wm.imagination.loaded_models import LoadedModels
from world4rl_wm.imagination.request import ContextSource, ImaginationLimits, ImagineRequest, Refusal
from world4rl_wm.imagination.service import ImaginationService

CONTRACT = small_contract()


def request(horizon: int, samples: int = 1) -> ImagineRequest:
    context = [camera_image(picture(i)) for i in range(2)]
    actions = [0.5] * 3 * horizon
    return ImagineRequest(horizon, ContextSource.GIVEN, context, actions=actions, samples=samples)


@pytest.fixture
def service() -> ImaginationService:
    model = small_models.world_model(CONTRACT)
    return ImaginationService(LoadedModels(world_model=model), ImaginationLimits(1000, 100_000, max_seconds=60))


@pytest.mark.parametrize(
    "samples, seconds", [(1, 0.01), (2, 0.0125), (3, 0.015), (5, 0.02), (9, 0.03), (4, 0.0175), (105, 0.27)]
)
def test_the_pace_of_other_batches_lies_on_lines_between_those_measured(samples: int, seconds: float) -> None:
    pace = DreamPace()
    for measured in ((3, 0.015), (1, 0.01), (5, 0.02), (9, 0.03)):
        pace.measured(*measured)
    assert pace.step_seconds(samples) == pytest.approx(seconds)


def test_the_pace_never_falls_with_more_samples_and_one_measurement_gives_the_upper_bound() -> None:
    pace = DreamPace()
    assert pace.step_seconds(1) is None
    pace.measured(4, 0.1)
    assert pace.step_seconds(8) == pytest.approx(0.2) and pace.step_seconds(1) == 0.1
    pace.measured(16, 0.05)  # noise of the measurement: more cannot be quicker
    assert pace.step_seconds(1000) == 0.1
    pace.forget()
    assert pace.step_seconds(4) is None


def test_the_pace_follows_a_machine_that_changes_and_stays_small() -> None:
    pace = DreamPace()
    pace.measured(4, 0.1)
    for _ in range(10):
        pace.measured(4, 0.4)
    assert pace.step_seconds(4) == pytest.approx(0.4, rel=0.01)
    for samples in range(1, 10_000):
        pace.measured(samples, 0.1)
    assert len(pace._measured) == 14


def test_a_request_that_would_take_too_long_is_refused_with_the_estimate(service: ImaginationService) -> None:
    service.dreamer.calibrate()
    limits = ImaginationLimits(1000, 100_000, max_seconds=0.5, prefix="action_", instead="go elsewhere")
    service.dreamer.pace.forget()
    service.dreamer.pace.measured(1, 0.1)
    message = r"about 0\.6 s \(1 x 6 frames, 10 frames/s here\), at most 0\.5 s .*action_max_seconds\): go elsewhere"
    with pytest.raises(Refusal, match=message):
        service.imagine(request(6), limits=limits)
    with pytest.raises(Refusal, match=r"about 1\.2 s \(4 x 3 frames"):
        service.imagine(request(3, samples=4), limits=ImaginationLimits(max_seconds=0.5))
    assert service.imagine(request(5), limits=limits).complete


def test_a_busy_moment_is_measured_again_before_a_request_is_refused(service: ImaginationService) -> None:
    service.dreamer.pace.measured(1, 3600.0)
    assert service.imagine(request(2)).complete, "a pace of long ago must not refuse for ever"
    assert service.dreamer.pace.step_seconds(1) < 60


def test_calibration_measures_what_the_dreams_then_take(service: ImaginationService) -> None:
    assert service.dreamer.step_seconds(1, lambda seconds: True) is None
    service.dreamer.calibrate()
    estimate = 20 * service.dreamer.step_seconds(1, lambda seconds: True)
    fastest = min(service.imagine(request(20)).compute_s for _ in range(3))
    assert 0.1 * fastest < estimate < 20 * fastest  # wide: other programs share the machine


def test_a_dream_that_takes_much_longer_than_estimated_is_stopped(service: ImaginationService) -> None:
    service.dreamer.pace.measured(1, 1e-6)

    def slow(step: DreamStep) -> bool:
        time.sleep(0.1)
        return True

    answer = service.imagine(request(50), watch=Watch(slow), limits=ImaginationLimits(max_seconds=0.2))
    steps = answer.rollout.actions.shape[1]
    assert not answer.complete and 1 <= steps <= 4
    assert answer.stopped == f"stopped after {steps} of 50 steps, for it takes longer than estimated: 0.2 s are allowed"


def test_the_watch_is_told_of_start_and_end_also_when_a_dream_fails(service: ImaginationService) -> None:
    told: list[str] = []

    def fail(step: DreamStep) -> bool:
        told.append(f"step {step.number}")
        raise RuntimeError("the screen broke")

    def start(dream: Dream) -> None:
        assert dream.context.shape == (1, 4, 6, 16, 16) and torch.isfinite(dream.proprio).all()
        told.append("start")

    with pytest.raises(RuntimeError, match="the screen broke"):
        service.imagine(request(3), watch=Watch(fail, start, lambda: told.append("end")))
    assert told == ["start", "step 1", "end"]
