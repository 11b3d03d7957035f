"""Commands of the pages that no test runs, and why; their options are read all the same."""

KEYBOARD = "steers by the keyboard, which a test has not"
GRAPH = "starts the graph, which the tests of the graph do"
PROCESSES = "starts processes that train together, which tests of training and refinement do"

NOT_RUN = {
    "world4rl play --run runs/demo": KEYBOARD,
    "world4rl play --run runs/demo --policy runs/demo/checkpoints/refined": KEYBOARD,
    "world4rl play --store data/first --world-model models/dream --reward models/reward": KEYBOARD,
    "world4rl play --run runs/demo --joystick /dev/input/js0": "needs a joystick",
    "world4rl play --run runs/demo --joy /joy --ros": "needs a joystick's node; the test of play over ROS has one",
    "world4rl run deploy_sim task:=press_button policy_checkpoint:=models/refined episodes:=50 seed:=900000 "
    "results:=graph.json": GRAPH,
    "world4rl run sim_arm task:=press_button operator:=true episodes:=10 bags_dir:=bags": GRAPH,
    "world4rl run sim_arm --task push_cube": GRAPH,
    "torchrun --standalone --nproc-per-node 2 -m world4rl refine ...": PROCESSES,
    "torchrun --standalone --nproc-per-node 2 -m world4rl train world-model --store data/train "
    "--out models/world_model_a --preset base": PROCESSES,
    "accelerate launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no "
    "-m world4rl train world-model --store data/train --out models/world_model_a --preset base": PROCESSES,
}
"""Text of a command, as `pages.Command` has it: reason."""
