"""Which task contract each simulated task is recorded and learned under. Light: imports no simulator."""

TASK_CONTRACTS = {
    "press_button": "franka_sim_press",
    "push_cube": "franka_sim_push",
    "lift_cube": "franka_sim_lift",
}
