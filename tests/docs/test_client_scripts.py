"""The pages' scripts with `World4RLClient`: calls that exist, in an order that the nodes do not refuse, and a gate that
is disabled at their end, also where a call fails; `real_arm` lines that say which camera is which.
"""

from __future__ import annotations

import inspect
import re
from typing import Any
from unittest.mock import MagicMock

import pytest
from pages import PAGES, Command, commands

pytestmark = pytest.mark.ros

from world4rl_bringup import client as client_module  # noqa: E402
from world4rl_bringup.client import Refused, World4RLClient  # noqa: E402
from world4rl_bringup.graph import companions  # noqa: E402
from world4rl_bringup.options import parse_options  # noqa: E402

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.S | re.M)
SCRIPTS = {
    f"{page.name} {number}": block
    for page in PAGES
    for number, block in enumerate(_BLOCK.findall(page.read_text(encoding="utf-8")))
    if "World4RLClient" in block
}
GONE_WRONG = "gone wrong"


class Graph:
    """Stands for the client: the gate's, policy's and recorder's refusals, and one call that fails, by its number."""

    def __init__(self, failing: int = -1) -> None:
        self.calls: list[str] = []
        self.arm = self.policy = self.recording = False
        self._failing = failing

    def __call__(self, *args: Any, **named: Any) -> Graph:
        inspect.signature(World4RLClient).bind(*args, **named)
        return self

    def __enter__(self) -> Graph:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        signature = inspect.signature(getattr(World4RLClient, name))  # AttributeError: no such call

        def call(*args: Any, **named: Any) -> Any:
            signature.bind(self, *args, **named)
            self.calls.append(name)
            if len(self.calls) - 1 == self._failing:
                raise Refused(GONE_WRONG)
            self._do(name)
            return MagicMock()

        return call

    def _do(self, name: str) -> None:
        if name in ("reset", "enable_policy") and not self.arm:
            raise Refused(f"{name}: the gate is disabled")
        if name in ("start_episode", "stop_episode", "discard_episode"):
            if self.recording == (name == "start_episode"):
                raise Refused(f"{name}: recording is {self.recording}")
            self.recording = name == "start_episode"
        if name in ("enable_arm", "disable_arm", "disable"):
            self.arm = name == "enable_arm"
        if name in ("enable_policy", "disable_policy", "disable"):
            self.policy = name == "enable_policy"


def run(script: str, graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "World4RLClient", graph)
    exec(compile(script, "script", "exec"), {"input": lambda _prompt: "", "print": lambda *_: None})


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_refused_nothing_and_leaves_the_gate_disabled(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Graph()
    run(SCRIPTS[name], graph, monkeypatch)
    assert graph.calls and not (graph.arm or graph.policy or graph.recording)
    for failing in (at for at, call in enumerate(graph.calls) if call != "disable"):
        stumbling = Graph(failing)
        with pytest.raises(Refused, match=GONE_WRONG):
            run(SCRIPTS[name], stumbling, monkeypatch)
        assert not stumbling.arm and not stumbling.policy, f"{graph.calls[failing]} failed and the gate is enabled"


def test_scripts_are_found() -> None:
    assert {name.split()[0] for name in SCRIPTS} >= {"client.md", "deploy_checklist.md", "first_recording.md"}


@pytest.mark.parametrize("command", commands("ros2", "launch", "world4rl_bringup", "real_arm.launch.py"), ids=str)
def test_a_real_arm_is_not_refused_for_what_the_line_leaves_out(command: Command) -> None:
    """`my_arm.yaml` is the reader's copy of `franka_real.yaml`."""
    words = dict(word.split(":=", 1) for word in command.words if ":=" in word)
    if words.get("contract") == "my_arm.yaml":
        words["contract"] = "franka_real"
    _, missing = companions("real_arm", parse_options(words))
    assert not missing
