"""The network: layers, backbone, pyramid, heads, pose head, presets."""
