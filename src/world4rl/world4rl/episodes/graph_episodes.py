"""Episodes on the ROS graph, over DDS: demonstrations of the scripted operator and deployments of a policy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from world4rl_bringup.domain import own_domain
from world4rl_bringup.graph import graph
from world4rl_bringup.options import GraphOptions
from world4rl_bringup.running_graph import RunningGraph
from world4rl_data.bag_reader import find_bags

START_S = 90.0
EPISODE_S = 30.0


def run_graph(mode: str, options: GraphOptions, log_dir: Path, progress: bool = True) -> dict[str, Any]:
    """Run a graph until its episodes are done and return the results file of its operator or deployment node.

    Raises:
        GraphError: a node died, or the episodes did not finish in time; the message names the log.
    """
    results = Path(options.results)
    results.unlink(missing_ok=True)
    bar = tqdm(total=options.episodes, desc=f"{mode} over DDS", unit="episode", disable=not progress)
    with own_domain() as env, RunningGraph(graph(mode, options), log_dir, env) as running:
        waited = 0.0
        while not running.wait(1.0):
            waited += 1.0
            done = len(_read(results).get("results", []))
            bar.update(done - bar.n)
            if waited > START_S + EPISODE_S * options.episodes:
                raise TimeoutError(f"the graph did not finish its episodes: see {running.log_path}")
    found = _read(results)
    bar.update(len(found.get("results", [])) - bar.n)
    bar.close()
    if len(found.get("results", [])) < options.episodes:
        raise RuntimeError(
            f"only {len(found.get('results', []))} of {options.episodes} episodes: see {log_dir}/graph.log"
        )
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return {}


def fresh_bags(run: Path, name: str) -> Path:
    """``bags/NAME`` of the run, empty: what an interrupted attempt of the simulator's left there is recorded again from
    the same start states, and no episode may be there twice. The store that was made of it goes as well, and first of
    all the results, which say that all are there."""
    (run / f"{name}.json").unlink(missing_ok=True)
    bags, store = run / "bags" / name, run / "stores" / name
    left = len(find_bags(bags)) if bags.is_dir() else 0
    if left:
        print(f"{bags}: {left} episodes of an interrupted attempt are removed, all are recorded anew")
    for folder in (bags, store):
        if folder.is_dir():
            shutil.rmtree(folder)
    return bags


def demonstrate(
    task: str, episodes: int, first_seed: int, noise: float, run: Path, progress: bool = True
) -> dict[str, Any]:
    """Record demonstrations of the scripted operator to ``bags/demonstrations``.

    `noise` is the standard deviation that it adds to each of its actions, in action units.
    """
    log = run / "log" / "demonstrations"
    log.mkdir(parents=True, exist_ok=True)
    parameters = log / "parameters.yaml"
    values = {"/**/scripted_operator": {"ros__parameters": {"noise": float(noise)}}}
    parameters.write_text(yaml.safe_dump(values))
    options = GraphOptions(
        task=task,
        seed=first_seed,
        lockstep=True,
        operator=True,
        episodes=episodes,
        bags_dir=str(fresh_bags(run, "demonstrations")),
        results=str(run / "demonstrations.json"),
        params_file=str(parameters),
    )
    return run_graph("sim_arm", options, log, progress)


def deploy(
    task: str,
    policy: Path,
    episodes: int,
    first_seed: int,
    run: Path,
    progress: bool = True,
    name: str = "deployments",
) -> dict[str, Any]:
    """Let a policy act on the graph by its mean action and record its episodes to ``bags/NAME``."""
    options = GraphOptions(
        task=task,
        seed=first_seed,
        lockstep=True,
        policy_checkpoint=str(policy),
        episodes=episodes,
        bags_dir=str(fresh_bags(run, name)),
        results=str(run / f"{name}.json"),
    )
    return run_graph("deploy_sim", options, run / "log" / name, progress)
