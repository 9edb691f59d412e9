"""What follows a training: threshold, validation, calibration, export and a model's card."""
