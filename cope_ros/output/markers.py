"""Markers for RViz: the mesh or the cuboid of every instance, and its label."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from geometry_msgs.msg import Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from cope_ros.core.catalogue import Catalogue, ObjectModel
from cope_ros.output.debug_image import colour_of
from cope_ros.output.messages import quaternions_from_matrices

PACKAGE = "cope_ros"
MESH_SCALE = 1e-3  # BOP's meshes are in millimetres
ALPHA = 0.6  # of boxes and plain meshes: the image or the cloud shows through
LABEL_HEIGHT = 0.02  # m
LABEL_DISTANCE = 0.6  # diameters from the box's centre to the label, upwards in the image
PLY_HEADER = 4096  # bytes that hold the header of a PLY file
WHITE = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)

# What each marker has for itself and does not share with the template of its class.
OWN_FIELDS = ("id", "pose", "header", "text")

Key = tuple[str, int]  # namespace, id


def mesh_of(model: Path, item: ObjectModel) -> Path | None:
    """The mesh of an object in a model's directory, None where there is none."""
    folder = model if model.is_dir() else model.parent
    path = folder / "meshes" / f"obj_{item.obj_id:06d}.ply"
    return path if path.is_file() else None


def uri_of(path: Path) -> str:
    """``package://`` for what is installed with this package, so that other machines find it."""
    try:
        share = Path(get_package_share_directory(PACKAGE))
    except (PackageNotFoundError, OSError):  # OSError: no ament index at all
        return path.resolve().as_uri()
    if path.is_relative_to(share):
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
    """Fills the markers of a frame; remembers what RViz shows, to delete what is gone.

    Per instance a body in the namespace ``<class>/mesh`` or ``<class>/box`` and a text in
    ``<class>/label``; the slot is the id. The messages are kept and filled again: what
    :meth:`write` returns is valid until its next call.
    """

    def __init__(self, catalogue: Catalogue, model: Path) -> None:
        """Looks for the meshes in the directory of ``model``."""
        self._catalogue = catalogue
        self._bodies = [_body(item, index, model) for index, item in enumerate(catalogue)]
        self._labels = [_label(item) for item in catalogue]
        self._centers_obj = np.array([item.box_center for item in catalogue])
        self._kept: dict[Key, Marker] = {}
        self._shown: set[Key] = set()

    def write(
        self,
        header: Header,
        estimate: Any,
        slots: Sequence[int],
        labels: Sequence[str],
        fresh: bool,
    ) -> MarkerArray:
        """The markers of one frame.

        Args:
            header: stamp and frame_id of the image.
            estimate: rows of ``class_index, R, t`` (see ``core.runtime``).
            slots: of the rows, unique within a class.
            labels: of the rows.
            fresh: begin with a DELETEALL, for a viewer that may show older markers.
        """
        array = MarkerArray()
        if fresh:
            array.markers.append(Marker(header=header, action=Marker.DELETEALL))
            self._shown = set()
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
            above = LABEL_DISTANCE * self._catalogue[index].diameter
            _set_pose(text, centers[row] - (0.0, above, 0.0), (0.0, 0.0, 0.0, 1.0))
            for marker in (body, text):
                marker.header = header
                array.markers.append(marker)
                now.add((marker.ns, marker.id))
        array.markers += [_deletion(header, key) for key in sorted(self._shown - now)]
        self._shown = now
        self._kept = {key: self._kept[key] for key in now}
        return array

    def _marker(self, template: Marker, slot: int) -> Marker:
        """The kept marker of that namespace and slot."""
        key = (template.ns, slot)
        if key not in self._kept:
            names = template.get_fields_and_field_types()
            copied = {name: getattr(template, name) for name in names if name not in OWN_FIELDS}
            self._kept[key] = Marker(**copied, id=slot)
        return self._kept[key]


def _body(item: ObjectModel, index: int, model: Path) -> Marker:
    """The template of an object's body: its mesh, or its cuboid where it has none."""
    red, green, blue = (value / 255 for value in colour_of(index))
    colour = ColorRGBA(r=red, g=green, b=blue, a=ALPHA)
    mesh = mesh_of(model, item)
    if mesh is None:
        x, y, z = item.box_size.tolist()
        size = Vector3(x=x, y=y, z=z)
        return Marker(ns=f"{item.class_id}/box", type=Marker.CUBE, scale=size, color=colour)
    coloured = has_vertex_colours(mesh)
    return Marker(
        ns=f"{item.class_id}/mesh",
        type=Marker.MESH_RESOURCE,
        mesh_resource=uri_of(mesh),
        mesh_use_embedded_materials=coloured,
        scale=Vector3(x=MESH_SCALE, y=MESH_SCALE, z=MESH_SCALE),
        color=ColorRGBA() if coloured else colour,  # any other would tint the mesh
    )


def _label(item: ObjectModel) -> Marker:
    scale = Vector3(z=LABEL_HEIGHT)
    kind = Marker.TEXT_VIEW_FACING
    return Marker(ns=f"{item.class_id}/label", type=kind, scale=scale, color=WHITE)


def _deletion(header: Header, key: Key) -> Marker:
    return Marker(header=header, ns=key[0], id=key[1], action=Marker.DELETE)


def _set_pose(marker: Marker, place: np.ndarray, turn: Sequence[float]) -> None:
    position, orientation = marker.pose.position, marker.pose.orientation
    position.x, position.y, position.z = (float(value) for value in place)
    orientation.x, orientation.y, orientation.z, orientation.w = turn
