"""A graph of nodes as processes, without the ``launch`` package: start, one log, health, orderly end."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from world4rl_bringup.node_process import NodeProcess, describe_exit
from world4rl_bringup.orphan_guard import OrphanGuard
from world4rl_bringup.paths import executable, import_path
from world4rl_bringup.spec import SIGKILL_AFTER_S, NodeSpec, command_line

_AUTOSTART = "autostart"
_POLL_S = 0.05


class GraphError(RuntimeError):
    """The graph did not start or did not live; the message names the node, how it ended, and its last lines."""


class RunningGraph:
    """Context manager around the processes of a graph.

    Entering starts one process per node, waits until all are in the ROS graph and, with ``autostart``, configures and
    activates the lifecycle nodes; nodes with a job to finish start after that. A node that ends by itself ends the
    whole graph; unless its job was done, :meth:`check` and leaving the context then raise :class:`GraphError` with its
    name and exit code. ``log_dir`` gets ``graph.log`` (every line with the node's name in front), the inline parameters
    and the nodes' own ROS logs. ``env`` is the nodes' environment (default: this process's), ``echo`` copies the log
    to stdout.
    """

    def __init__(
        self,
        specs: Sequence[NodeSpec],
        log_dir: str | Path,
        env: Mapping[str, str] | None = None,
        *,
        autostart: bool = True,
        start_timeout_s: float = 120.0,
        echo: bool = False,
    ) -> None:
        names = [spec.full_name for spec in specs]
        if len(set(names)) != len(names):
            raise ValueError(f"two nodes of the graph have the same name: {sorted(names)}")
        self.specs = sorted(specs, key=lambda spec: spec.finishes)  # a job starts when what it works with is active
        self.log_dir = Path(log_dir).resolve()
        self.log_path = self.log_dir / "graph.log"
        self.failure: GraphError | None = None
        self._env = dict(os.environ if env is None else env)
        self._autostart, self._start_timeout_s, self._echo = autostart, start_timeout_s, echo
        self._processes: list[NodeProcess] = []
        self._stopping = threading.Event()
        self._log_lock = threading.Lock()
        self._stop_lock = threading.Lock()

    def __enter__(self) -> RunningGraph:
        self.log_dir.mkdir(parents=True, exist_ok=True)
        self._env |= {
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": import_path(self._env),
            "ROS_LOG_DIR": str(self.log_dir / "ros"),
        }
        self._log = self.log_path.open("a", encoding="utf-8")
        self._guard = OrphanGuard()
        try:
            services = [spec for spec in self.specs if not spec.finishes]
            for spec in services:
                self._start(spec)
            threading.Thread(target=self._watch, name="graph-health", daemon=True).start()
            self._await_up(services)
            for spec in self.specs[len(services) :]:
                if not self._stopping.is_set():
                    self._start(spec)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        # A dead node is the reason behind whatever went wrong in the body, but never hides Ctrl-C.
        if self.failure and error is not self.failure and (kind is None or issubclass(kind, Exception)):
            raise self.failure from error

    @property
    def running(self) -> list[str]:
        """Names of the nodes whose processes run."""
        return [p.name for p in self._processes if p.exit_code() is None]

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by node name, of the nodes that run."""
        return {p.name: p.pid for p in self._processes if p.exit_code() is None}

    def check(self) -> None:
        """Raise :class:`GraphError` where a node has ended by itself."""
        if self.failure:
            raise self.failure

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the graph is stopping (True) or the time is over (False). Raises like :meth:`check`."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._stopping.wait(_POLL_S):
            if end is not None and time.monotonic() > end:
                return False
        self.check()
        return True

    def request_stop(self) -> None:
        """Make :meth:`wait` and a start in progress return; safe in a signal handler. Leaving the context ends all."""
        self._stopping.set()

    def stop(self) -> dict[str, int]:
        """End all nodes, all at once: SIGINT, then SIGTERM, then SIGKILL to those that stay. Returns exit codes by
        node name."""
        self._stopping.set()
        with self._stop_lock:
            pairs = zip(self.specs, self._processes)
            enders = [threading.Thread(target=self._end, args=pair, daemon=True) for pair in pairs]
            for ender in enders:
                ender.start()
            for ender in enders:
                ender.join()
            for process in self._processes:
                process.drain()
        return {p.name: code for p in self._processes if (code := p.exit_code()) is not None}

    def _end(self, spec: NodeSpec, process: NodeProcess) -> None:
        patience = ((signal.SIGINT, spec.sigterm_after_s), (signal.SIGTERM, SIGKILL_AFTER_S), (signal.SIGKILL, 5.0))
        for number, seconds in patience:
            if process.exit_code() is not None:
                return
            if number is not signal.SIGINT:
                self._write("runner", f"{process.name} did not end: sending {number.name}")
            process.signal(number)
            process.wait(seconds)

    def _start(self, spec: NodeSpec) -> None:
        command = command_line(spec, executable(spec, self._env), self.log_dir / "params")
        self._write("runner", f"starting {spec.full_name}: {' '.join(command)}")
        process = NodeProcess(spec.name, command, self._env, self._write)
        self._processes.append(process)
        self._guard.watch(process.pid, spec.orphan_s)

    def _await_up(self, specs: Sequence[NodeSpec]) -> None:
        managed = [s.full_name for s in specs if s.lifecycle and self._autostart]
        plain = [s.full_name for s in specs if s.full_name not in managed]
        command = [sys.executable, "-m", "world4rl_bringup.lifecycle", "--timeout", str(self._start_timeout_s)]
        command += ["--expect", *plain, "--activate", *managed]
        helper = NodeProcess(_AUTOSTART, command, self._env, self._write)
        self._guard.watch(helper.pid)
        try:
            while helper.exit_code() is None and not self._stopping.wait(_POLL_S):
                pass
            self.check()
            if helper.exit_code() not in (0, None):
                helper.drain()
                blamed = [p for p in self._processes if f"/{p.name} " in helper.tail]
                said = "".join(f"\nlast lines of {p.name}:\n{p.tail}" for p in blamed)
                raise GraphError(f"the graph did not come up: {helper.tail}{said}\nfull log: {self.log_path}")
        finally:
            helper.signal(signal.SIGTERM)
            helper.wait(5.0)

    def _watch(self) -> None:
        """Thread: the first node that ends by itself, finished or dead, ends the graph."""
        while not self._stopping.wait(_POLL_S):
            for spec, process in zip(self.specs, self._processes):
                code = process.exit_code()
                if code is None or not spec.essential or self._stopping.is_set():
                    continue
                if spec.finishes and code == 0:
                    self._write("runner", f"node {spec.name} is done: ending the graph")
                    self.stop()
                else:
                    self._fail(process, code)
                return

    def _fail(self, process: NodeProcess, code: int) -> None:
        process.drain()
        reason = f"node {process.name} ended by itself ({describe_exit(code)})"
        self.failure = GraphError(f"{reason}; its last lines:\n{process.tail}\nfull log: {self.log_path}")
        self._write("runner", f"{reason}: ending the graph")
        self.stop()

    def _close(self) -> None:
        codes = self.stop()
        self._write("runner", "ended: " + ", ".join(f"{name} ({describe_exit(code)})" for name, code in codes.items()))
        self._guard.dismiss()
        with self._log_lock:
            self._log.close()

    def _write(self, name: str, line: str) -> None:
        text = f"[{name}] {line}"
        with self._log_lock:
            if not self._log.closed:
                self._log.write(text + "\n")
                self._log.flush()
            if self._echo:
                print(text, flush=True)
