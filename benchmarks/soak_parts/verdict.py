"""The bounds of a soak, and its table."""

from __future__ import annotations

from typing import Any

from world4rl_data.contract import TaskContract

RATE_SHARE = 0.95  # of the nominal rate, at least
TICKS_PER_PERIOD = 5  # the simulated arm's, free running
MAX_REJECTED_SHARE = 0.01
LATENCY = "newest picture heard to action heard"


def nominal_rates(result: dict[str, Any], contract: TaskContract) -> dict[str, float]:
    """Topics that are published by the clock, with their rate [Hz]. Status topics: at least that.

    Each episode begins with a reset, a period in which the simulated arm says everything once.
    """
    state, period = "/franka_robot_state_broadcaster", contract.control_rate_hz
    reset_share = result["bags"]["bags"] * contract.period_s / (60.0 * result["minutes"])
    ticks = TICKS_PER_PERIOD - (TICKS_PER_PERIOD - 1) * reset_share
    fast = ["/clock", "/joint_states", "/franka_gripper/joint_states"]
    fast += [f"{state}/{name}" for name in ("current_pose", "measured_joint_states")]
    slow = [stream.topic for stream in contract.images]
    slow += ["/world4rl/sim_arm/objects", "/world4rl/sim_arm/success"]
    rates = dict.fromkeys(fast, ticks * period) | dict.fromkeys(slow, period)
    return rates | {"/world4rl/policy/status": 1.0, "/diagnostics": 2.0}


def broken_bounds(result: dict[str, Any], contract: TaskContract) -> list[str]:
    """One sentence for each bound that does not hold; empty when all do."""
    said = list(result["requests"]["failed"])
    for topic, nominal in nominal_rates(result, contract).items():
        rate = result["topics"].get(topic, {}).get("rate_hz", 0.0)
        if rate < RATE_SHARE * nominal:
            said.append(f"{topic}: {rate:.2f} Hz, nominal {nominal:.1f}")
    if result["simulated_seconds_per_second"] < RATE_SHARE:
        said.append(f"simulated time ran at {result['simulated_seconds_per_second']:.2f} of real time")
    period_ms = 1e3 * contract.period_s
    paced = result["topics"].get(contract.executed_action_topic, {}).get("interval_ms", {})
    if not 0.9 * period_ms <= paced.get("p50", 0.0) <= 1.1 * period_ms:
        said.append(f"half of the executed actions are {paced.get('p50')} ms apart, not {period_ms:g}")
    latency = result["latencies_ms"].get(LATENCY, {}).get("p99", float("inf"))
    if latency > period_ms:
        said.append(f"{LATENCY}: p99 {latency:.1f} ms, more than the period of {period_ms:g}")
    for name, process in result["processes"].items():
        if process["grows"]:
            said.append(f"memory of {name} grows: {process['own_mb_per_hour']} MB per hour")
        said += [f"{name} has {n} more {what} than before" for what, n in process["growth_of_medians"].items() if n > 1]
    if result["rejected_actions"] > MAX_REJECTED_SHARE * max(1, result["executed_actions"]):
        said.append(f"{result['rejected_actions']} actions rejected, {result['executed_actions']} executed")
    bags = result["bags"]
    if not bags["bags"] or result["executed_actions"] == 0:
        said.append("nothing was recorded or executed")
    said += [f"bag {error}" for error in bags["errors"][:5]]
    said += [f"bag {name} was left open" for name in bags["left_open"]]
    if bags["lost_messages"]:
        said.append(f"{bags['lost_messages']} messages lost while recording")
    if result["episodes_begun_again"]:
        said.append(f"{result['episodes_begun_again']} episodes broke off and were begun again")
    if result["graph_failure"]:
        said.append(f"the graph failed: {result['graph_failure']}")
    return said


def table(result: dict[str, Any], contract: TaskContract) -> str:
    """For the terminal."""
    nominal = nominal_rates(result, contract)
    lines = [f"{'topic':55} {'nominal':>8} {'Hz':>8} {'p99 gap':>9}"]
    for topic, heard in sorted(result["topics"].items()):
        wish = f"{nominal[topic]:.1f}" if topic in nominal else ""
        lines.append(f"{topic:55} {wish:>8} {heard['rate_hz']:8.2f} {heard['interval_ms'].get('p99', 0):6.0f} ms")
    lines += ["", f"{'latency [ms]':60} {'count':>7} {'p50':>8} {'p99':>8} {'max':>8}"]
    for name, p in sorted(result["latencies_ms"].items()):
        if p["count"]:
            lines.append(f"{name:60} {p['count']:7} {p['p50']:8.1f} {p['p99']:8.1f} {p['max']:8.1f}")
    sizes = f"{'PSS MB':>8} {'at end':>8} {'MB/h':>8} {'interval':>18}"
    lines += ["", f"{'process':12} {sizes} {'fd':>5} {'threads':>8} {'CPU %':>6}"]
    for name, p in result["processes"].items():
        slope = p["own_mb_per_hour"]
        interval = f"[{slope['low']:.1f}, {slope['high']:.1f}]"
        sizes = f"{p['pss_mb_start']:8.1f} {p['pss_mb_end']:8.1f} {slope['per_hour']:8.2f} {interval:>18}"
        lines.append(f"{name:12} {sizes} {p['descriptors_end']:5} {p['threads_end']:8} {p['cpu_percent']:6.1f}")
    bags, asked = result["bags"], result["requests"]
    lines += [
        "",
        f"bags: {bags['bags']} {bags['outcomes']}, {bags['megabytes']} MB, lost messages {bags['lost_messages']}",
    ]
    lines.append(f"actions: {result['executed_actions']} executed, {result['rejected_actions']} rejected")
    lines.append(f"requests: {asked['answered']} answered, refused and asked again: {asked['refused'] or 'none'}")
    return "\n".join(lines)
