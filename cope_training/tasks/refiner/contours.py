"""The contours that poses are fitted to: triangles and edges of the meshes."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import trimesh

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_ros.core.refinement.contour import ContourExtractor
from cope_training.rendering.meshes import Mesh
from cope_training.rendering.vertex_clustering import cluster_vertices
from cope_training.tasks.refiner.surface_points import ThinEnds, repaired_mesh

FEWEST = 100  # triangles that a mesh is simplified to


class MeshEdges(NamedTuple):
    """A mesh as ``ContourExtractor`` wants it, of F triangles and E edges."""

    planes: np.ndarray  # (F, 4) normal and distance, m
    ends: np.ndarray  # (E, 6) m
    sides: np.ndarray  # (E, 2) triangles


def fill_contour_meshes(
    extractor: ContourExtractor,
    folder: Path,
    catalogue: Catalogue,
    thin_ends: ThinEnds | None = None,
) -> None:
    """Gives ``contours`` the meshes of a catalogue, with as many triangles as it has room for.

    Args:
        contours: of as many classes.
        folder: models folder, see ``rendering.studio.load_objects``.
        catalogue: its objects.
        thin_ends: of scans that are too thick there, see ``rendering.repairs``.

    Raises:
        CopeError: a mesh is missing, broken or too fine.
    """
    extractor.planes.zero_()
    extractor.ends.zero_()
    extractor.sides.fill_(-1)
    for row, item in enumerate(catalogue):
        mesh, path = repaired_mesh(folder, item, thin_ends)
        most = extractor.planes.shape[1], extractor.ends.shape[1]
        found = _within(mesh, item.corners.mean(0), *most)
        if found is None:
            raise CopeError(f"{path}: more than {most[0]} triangles or {most[1]} edges")
        extractor.planes[row, : len(found.planes)] = torch.from_numpy(found.planes).float()
        extractor.ends[row, : len(found.ends)] = torch.from_numpy(found.ends).float()
        extractor.sides[row, : len(found.sides)] = torch.from_numpy(found.sides).int()


def _within(mesh: Mesh, center: np.ndarray, faces: int, edges: int) -> MeshEdges | None:
    """The mesh, simplified until it has at most so many triangles and edges."""
    most = faces
    while most >= FEWEST:
        found = mesh_edges(cluster_vertices(mesh, most), center)
        if len(found.planes) <= faces and len(found.ends) <= edges:
            return found
        most = int(0.8 * most)
    return None


def mesh_edges(mesh: Mesh, center: np.ndarray) -> MeshEdges:
    """Triangles and edges of a mesh about ``center`` (3,) m; vertices at one place are one."""
    points = mesh.vertices.astype(np.float64) - center
    solid = trimesh.Trimesh(points, mesh.faces, process=False)
    solid.merge_vertices(merge_tex=True, merge_norm=True)
    solid.update_faces(solid.nondegenerate_faces())
    normals = solid.face_normals
    distance = (normals * solid.triangles[:, 0]).sum(axis=1, keepdims=True)
    _, edge, count = np.unique(solid.edges_sorted, axis=0, return_inverse=True, return_counts=True)
    lone = count[edge.reshape(-1)] == 1
    ends = np.concatenate((solid.face_adjacency_edges, solid.edges_sorted[lone]))
    border = solid.edges_face[lone]
    sides = np.concatenate((solid.face_adjacency, np.stack((border, border), axis=1)))
    return MeshEdges(
        np.concatenate((normals, distance), axis=1), solid.vertices[ends].reshape(-1, 6), sides
    )
