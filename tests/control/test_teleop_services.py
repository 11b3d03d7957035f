"""The services behind teleop's buttons, without a graph: which presses are really sent."""

from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.ros  # message classes

from world4rl_control import teleop_services_node  # noqa: E402
from world4rl_control.teleop_buttons import TeleopEvent  # noqa: E402
from world4rl_control.teleop_services_node import TeleopServices  # noqa: E402


class SilentGate:
    """A node whose clients find their services, which take every request and answer none."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.warnings: list[dict[str, Any]] = []

    def get_logger(self) -> Any:
        return SimpleNamespace(warning=lambda _text, **how: self.warnings.append(how))

    def create_client(self, _kind: Any, name: str) -> Any:
        def call_async(request: Any) -> Any:
            self.sent.append((name, getattr(request, "data", None)))
            return SimpleNamespace(add_done_callback=lambda _done: None)

        return SimpleNamespace(
            srv_name=name,
            service_is_ready=lambda: True,
            call_async=call_async,
            remove_pending_request=lambda _future: None,
        )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr(teleop_services_node, "time", SimpleNamespace(monotonic=lambda: clock.now_s))
    return clock


def test_a_stop_after_an_enable_is_sent_although_the_stop_before_has_no_answer(clock: SimpleNamespace) -> None:
    gate = SilentGate()
    services = TeleopServices(gate)  # type: ignore[arg-type]
    for after_s, event in ((0.0, TeleopEvent.DISABLE), (0.1, TeleopEvent.ENABLE), (0.1, TeleopEvent.DISABLE)):
        clock.now_s += after_s
        services.call(event)
    assert gate.sent == [("arm_gate/enable", enable) for enable in (False, True, False)]


def test_a_held_stop_key_is_sent_again_now_and_then_and_warns_no_faster_than_a_person_reads(
    clock: SimpleNamespace,
) -> None:
    gate = SilentGate()
    services = TeleopServices(gate)  # type: ignore[arg-type]
    for _ in range(30):
        services.call(TeleopEvent.DISABLE)
        clock.now_s += 1 / 30
    assert len(gate.sent) == 2
    assert len(gate.warnings) == 28 and all(how["throttle_duration_sec"] >= 1.0 for how in gate.warnings)


def test_other_presses_wait_for_the_answer_to_the_one_before(clock: SimpleNamespace) -> None:
    gate = SilentGate()
    services = TeleopServices(gate)  # type: ignore[arg-type]
    for after_s in (0.0, 5.0, 5.0, 6.0):
        clock.now_s += after_s
        services.call(TeleopEvent.START)
    assert len(gate.sent) == 2, "the fourth came after the patience was over"
