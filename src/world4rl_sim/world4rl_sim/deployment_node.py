"""ROS node: lets the policy node act on the simulated arm, episode by episode, records, labels and counts."""

from __future__ import annotations

from std_srvs.srv import SetBool

from .episode_node import EpisodeNode, run_node


class DeploymentNode(EpisodeNode):
    """Enables the policy for each episode; the parameter `results` names the JSON file with every episode's outcome."""

    operator_id = "deployment"

    def __init__(self) -> None:
        super().__init__("deployment", exit_when_done=True)
        self._enable_policy = self.create_client(SetBool, "policy/enable")

    def begin(self, seed: int) -> None:
        self.call_patiently(self._enable_policy, SetBool.Request(data=True))

    def end(self) -> None:
        self.call(self._enable_policy, SetBool.Request(data=False))


def main(args: list[str] | None = None) -> None:
    """Entry point `deployment`."""
    run_node(DeploymentNode, args)


if __name__ == "__main__":
    main()
