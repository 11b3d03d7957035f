"""What the policy node tells about itself: status and diagnostics, filled from plain values."""

from __future__ import annotations

import array
import math
from collections.abc import Mapping
from typing import Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray

from world4rl_data.diagnostic_messages import diagnostic_array
from world4rl_interfaces.msg import Action, PolicyStatus
from world4rl_policy.action_statistics import ActionReport
from world4rl_policy.policy_loop import Decision


def action_message(decision: Decision, frame_id: str) -> Action:
    """A decision as it is published."""
    out = Action(values=array.array("f", decision.values), source=Action.POLICY, policy_id=decision.policy_id)
    out.header.stamp = Time(sec=decision.stamp_ns // 1_000_000_000, nanosec=decision.stamp_ns % 1_000_000_000)
    out.header.frame_id = frame_id
    return out


def status_message(
    checkpoint: str, enabled: bool, problem: str, report: ActionReport | None, uncertainty: float, stamp: Any
) -> PolicyStatus:
    """`report` and `uncertainty` of the loaded policy; None and NaN without one."""
    status = PolicyStatus(checkpoint=checkpoint, enabled=enabled, message=problem, uncertainty=uncertainty)
    status.header.stamp = stamp
    if report is not None:
        status.rate = report.rate_hz if enabled else 0.0
        status.latency_ms = 0.0 if math.isnan(report.arrival_to_action.mean) else report.arrival_to_action.mean
    return status


def diagnostics_message(
    status: PolicyStatus, report: ActionReport | None, more: Mapping[str, object]
) -> DiagnosticArray:
    """The status for `/diagnostics`, with the statistics of the episode under way or the last one."""
    values: dict[str, object] = {"checkpoint": status.checkpoint, "enabled": status.enabled}
    if report is not None:
        values |= {
            "rate [Hz]": f"{status.rate:.2f}",
            "jitter [ms]": f"{report.jitter_ms:.2f}",
            "actions": report.actions,
            "skipped periods": report.skipped,
        }
        delays = {"image stamp": report.image_to_action, "observation arrival": report.arrival_to_action}
        for name, spread in delays.items():
            for which in ("p50", "p99", "max"):
                values[f"{name} to action, {which} [ms]"] = f"{getattr(spread, which):.2f}"
    values |= more
    well = "acting" if status.enabled else "ready, not enabled"
    return diagnostic_array("world4rl: policy", status.header.stamp, status.message, values, well)
