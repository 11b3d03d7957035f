"""2500 wrong requests in a row: every one is answered, none leaves anything behind, the next good one is dreamt.

The same code as in the node, from message to message, without DDS between; over DDS: test_imagination_live_node.py and
benchmarks/imagination_service.py --fuzz.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import imagination_fuzz
import pytest
import small_models
from builtin_interfaces.msg import Time
from imagination_fuzz import Fuzzer, check_answer, resident_bytes

from world4rl_interfaces.srv import ImagineRollout
from world4rl_wm.imagination.loaded_models import LoadedModels
from world4rl_wm.imagination.request import ImaginationLimits
from world4rl_wm.imagination.service import ImaginationService
from world4rl_wm.ros.answer_messages import Answers

pytestmark = pytest.mark.ros

CONTRACT = small_models.small_contract()
REQUESTS, WARM_UP = 2_500, 500
GROWTH = 6 * 2**20  # [bytes] of a process of about 500 MB; 10 kB kept per request would be 20 MB


@pytest.fixture(scope="module")
def answers() -> Answers:
    models = LoadedModels(
        world_model=small_models.world_model(CONTRACT),
        reward_model=small_models.reward_model(CONTRACT),
        policy=small_models.policy(CONTRACT),
    )
    limits = ImaginationLimits(imagination_fuzz.MAX_HORIZON, imagination_fuzz.MAX_FRAMES)
    service = ImaginationService(models, limits)
    service.dreamer.calibrate()
    return Answers(service, Time, lambda text: pytest.fail(text))


def test_every_fuzzed_request_is_answered_and_memory_does_not_grow(answers: Answers, tmp_path: Path) -> None:
    fuzzer = Fuzzer(CONTRACT, imagination_fuzz.make_stores(tmp_path, CONTRACT))
    limits = ImaginationLimits(imagination_fuzz.MAX_HORIZON, imagination_fuzz.MAX_FRAMES, max_seconds=60)
    outcomes: Counter[bool] = Counter()
    warm = 0
    for number in range(REQUESTS):
        if number == WARM_UP:
            warm = resident_bytes()
        fields = fuzzer.request()
        response = ImagineRollout.Response()
        answers.imagine(ImagineRollout.Request(**fields), response, limits)
        outcomes[check_answer(fields, response, CONTRACT)] += 1
    growth = resident_bytes() - warm
    assert growth < GROWTH, f"{growth / 2**20:.1f} MiB more after {REQUESTS - WARM_UP} requests"
    assert min(outcomes.values()) > REQUESTS / 50, f"{outcomes}: both kinds must be tried"
    fields = {**fuzzer.request(), "horizon": 2, "actions": [0.5] * 6, "samples": 1, "context_source": 1, "seed": 1}
    fields |= {
        "context": [fuzzer.good_image() for _ in CONTRACT.images],
        "context_actions": [],
        "use_policy": False,
        "task": "",
    }
    response = ImagineRollout.Response()
    answers.imagine(ImagineRollout.Request(**fields), response, limits)
    assert response.success, response.message
