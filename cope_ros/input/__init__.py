"""Subscriptions, pairing of image and camera_info, decoding, intrinsics, causes of drops."""
