"""Markers for RViz: the mesh or the cuboid of every instance, and its label.

Knows no ROS: the message classes come from outside, rclpy's or those of a bag's library.
"""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cope_ros.core.catalogue import Catalogue, ObjectModel
from cope_ros.output.debug_image import colour_of
from cope_ros.output.messages import quaternions_from_matrices

PACKAGE = "cope_ros"
MESH_SCALE = 1e-3  # BOP's meshes are in millimetres
ALPHA = 0.6  # of boxes and plain meshes: the image or the cloud shows through
LABEL_HEIGHT = 0.02  # m
LABEL_DISTANCE = 0.6  # diameters from the box's centre to the label, upwards in the image
IMAGE_UP = np.array([0.0, -1.0, 0.0])  # in the camera's optical frame
PLY_HEADER = 4096  # bytes that hold the header of a PLY file

Key = tuple[str, int]  # namespace, id


def mesh_of(model: Path, item: ObjectModel) -> Path | None:
    """The mesh of an object in a model's directory, None where there is none."""
    folder = model if model.is_dir() else model.parent
    path = folder / "meshes" / f"obj_{item.obj_id:06d}.ply"
    return path if path.is_file() else None


def uri_of(path: Path, share: Path | None) -> str:
    """``package://`` for what lies in the package's ``share``, so that other machines find it."""
    if share is not None and path.is_relative_to(share):
        return f"package://{PACKAGE}/{path.relative_to(share).as_posix()}"
    return path.resolve().as_uri()


def has_vertex_colours(path: Path) -> bool:
    """Whether a PLY file brings colours of its own, as far as this process may read it."""
    try:
        with path.open("rb") as file:
            header = file.read(PLY_HEADER).partition(b"end_header")[0]
    except OSError:
        return False
    return b"property uchar red" in header


class MarkerWriter:
    """Fills the markers of a frame.

    Each array begins with a DELETEALL and so is the whole truth: a viewer that misses one, or
    joins late, shows nothing that is gone. Per instance a body in the namespace ``<class>/mesh``
    or ``<class>/box`` and a text in ``<class>/label``; the slot is the id. The messages are kept
    and filled again: what :meth:`write` returns is valid until its next call.
    """

    def __init__(
        self, catalogue: Catalogue, model: Path, types: Any, share: Path | None = None
    ) -> None:
        """Looks for the meshes in the directory of ``model``.

        Args:
            types: has the message classes as attributes (``cope_ros.output.ros_types``).
            share: the installed package's share folder, None where it is not installed.
        """
        self._catalogue = catalogue
        self._types = types
        self._bodies = [
            _body(types, item, index, mesh_of(model, item), share)
            for index, item in enumerate(catalogue)
        ]
        self._labels = [_label(types, item) for item in catalogue]
        self._centers_obj = np.array([item.box_center for item in catalogue])
        self._kept: dict[Key, Any] = {}

    def write(
        self,
        header: Any,
        estimate: Any,
        slots: Sequence[int],
        labels: Sequence[str],
        up: np.ndarray = IMAGE_UP,
    ) -> Any:
        """The MarkerArray of one frame.

        Args:
            header: the image's stamp, and the frame_id of the estimate's poses.
            estimate: rows of ``class_index, R, t`` (see ``core.runtime``).
            slots: of the rows, unique within a class.
            labels: of the rows.
            up: (3,) unit vector in that frame, in which a label lies from its object.
        """
        Marker = self._types.Marker
        array = self._types.MarkerArray()
        array.markers.append(Marker(header=header, action=Marker.DELETEALL))
        classes = estimate.class_index
        centers = np.einsum("nij,nj->ni", estimate.R, self._centers_obj[classes]) + estimate.t
        turns = quaternions_from_matrices(estimate.R).tolist()
        now: set[Key] = set()
        for row, (index, slot) in enumerate(zip(classes.tolist(), slots, strict=True)):
            body = self._marker(self._bodies[index], slot)
            place = estimate.t[row] if body.type == Marker.MESH_RESOURCE else centers[row]
            _set_pose(body, place, turns[row])
            text = self._marker(self._labels[index], slot)
            text.text = labels[row]
            above = LABEL_DISTANCE * self._catalogue[index].diameter * up
            _set_pose(text, centers[row] + above, (0.0, 0.0, 0.0, 1.0))
            for marker in (body, text):
                marker.header = header
                array.markers.append(marker)
                now.add((marker.ns, marker.id))
        self._kept = {key: self._kept[key] for key in now}
        return array

    def _marker(self, template: Any, slot: int) -> Any:
        """The kept marker of that namespace and slot."""
        key = (template.ns, slot)
        if key not in self._kept:
            marker = copy.copy(template)  # shares all but what each marker has for itself
            marker.id, marker.pose = slot, self._types.Pose()
            self._kept[key] = marker
        return self._kept[key]


def _body(types: Any, item: ObjectModel, index: int, mesh: Path | None, share: Path | None) -> Any:
    """The template of an object's body: its mesh, or its cuboid where it has none."""
    Marker = types.Marker
    red, green, blue = (value / 255 for value in colour_of(index))
    colour = types.ColorRGBA(r=red, g=green, b=blue, a=ALPHA)
    if mesh is None:
        x, y, z = item.box_size.tolist()
        size = types.Vector3(x=x, y=y, z=z)
        return Marker(ns=f"{item.class_id}/box", type=Marker.CUBE, scale=size, color=colour)
    coloured = has_vertex_colours(mesh)
    return Marker(
        ns=f"{item.class_id}/mesh",
        type=Marker.MESH_RESOURCE,
        mesh_resource=uri_of(mesh, share),
        mesh_use_embedded_materials=coloured,
        scale=types.Vector3(x=MESH_SCALE, y=MESH_SCALE, z=MESH_SCALE),
        color=types.ColorRGBA() if coloured else colour,  # any other would tint the mesh
    )


def _label(types: Any, item: ObjectModel) -> Any:
    kind = types.Marker.TEXT_VIEW_FACING
    white = types.ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    scale = types.Vector3(z=LABEL_HEIGHT)
    return types.Marker(ns=f"{item.class_id}/label", type=kind, scale=scale, color=white)


def _set_pose(marker: Any, place: np.ndarray, turn: Sequence[float]) -> None:
    position, orientation = marker.pose.position, marker.pose.orientation
    position.x, position.y, position.z = (float(value) for value in place)
    orientation.x, orientation.y, orientation.z, orientation.w = turn
