"""The reward model: networks, data, training, calibration."""
