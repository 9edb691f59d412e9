"""What a training teaches: targets and losses of each part of the network."""
