"""Everyday meshes that lie among the known objects."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from cope_ros.core.errors import CopeError
from cope_training.rendering.meshes import Mesh, load_mesh

MESH_SUFFIXES = (".ply", ".obj", ".glb")
THINGS, THING_SIZES = 24, (0.03, 0.4)  # how many; their longest side, m


def load_things(folder: str, rng: np.random.Generator) -> list[Mesh]:
    """Up to ``THINGS`` meshes in metres of hand size, centred, for clutter; in random order.

    Args:
        folder: may hold environment variables, as in ``$COPE_DATA/material/meshes``.
        rng: of the choice.

    Raises:
        CopeError: the folder holds none, or one is broken.
    """
    place = Path(os.path.expandvars(folder))
    paths = sorted(p for p in place.glob("*") if p.suffix.lower() in MESH_SUFFIXES)
    things: list[Mesh] = []
    for i in rng.permutation(len(paths)):
        mesh = load_mesh(paths[i], unit=1.0)
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        if THING_SIZES[0] < (high - low).max() < THING_SIZES[1]:
            things.append(replace(mesh, vertices=mesh.vertices - (low + high) / 2))
        if len(things) == THINGS:
            break
    if not things:
        raise CopeError(
            f"{place}: expected meshes in metres ({' '.join(MESH_SUFFIXES)}), found none"
        )
    return things
