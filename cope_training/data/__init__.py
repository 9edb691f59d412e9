"""Frames and where they come from: BOP data sets, renderings, crops, augmentation."""
