"""Stand-ins for reality: a simulated Franka arm, table-top tasks and scripted experts."""
