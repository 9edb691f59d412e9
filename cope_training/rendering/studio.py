"""What scenes are made of: the known objects, clutter shapes, textures and photographs."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cope_ros.core.catalogue import MM, Catalogue
from cope_ros.core.errors import CopeError
from cope_training.data.notes import note_once
from cope_training.rendering.backgrounds import load_photographs
from cope_training.rendering.meshes import Mesh, load_mesh
from cope_training.rendering.model_sizes import check_sizes
from cope_training.rendering.primitives import ball, cuboid, cylinder, flake, sheet
from cope_training.rendering.prints import print_picture
from cope_training.rendering.renderer import Renderer
from cope_training.rendering.repairs import opened, thinned, turned
from cope_training.rendering.scene_config import MAX_FACES, SceneConfig
from cope_training.rendering.simplify import simplify
from cope_training.rendering.surface_offset import with_sharper_corners, with_surface_offset
from cope_training.rendering.textures import procedural_picture, random_crop
from cope_training.rendering.things import load_things

log = logging.getLogger(__name__)

MESH_SUFFIXES = (".ply", ".obj", ".glb")
TEXTURE_SIDE = 256
MAX_DEVIATION = 0.002  # of the diameter: a third of a pixel where an object is 160 px large
PRINTS = 96
SHAPES = 16  # of each known object, where they vary


@dataclass(frozen=True)
class ObjectSet:
    """The known objects and their meshes, by class index."""

    catalogue: Catalogue
    meshes: tuple[Mesh, ...]


def load_objects(folder: Path | str, max_faces: int = MAX_FACES) -> ObjectSet:
    """Reads ``models_info.json`` and the meshes (mm) of a model directory or BOP models folder.

    Meshes are looked for in ``textured/``, ``meshes/`` and the folder itself, as
    ``obj_000001.ply``, ``.obj`` or ``.glb``.

    Args:
        folder: of the models.
        max_faces: simplifies meshes with more triangles for rendering, 0 never.

    Raises:
        CopeError: a file is missing or broken, or a mesh is not as large as models_info.json says.
    """
    folder = Path(folder)
    catalogue = Catalogue.from_models_info(folder / "models_info.json")
    paths = [find_mesh(folder, o.obj_id) for o in catalogue]
    meshes = [load_mesh(path) for path in paths]
    for item, mesh, path in zip(catalogue, meshes, paths, strict=True):
        check_sizes(item, mesh.vertices, path)
    if max_faces:
        rows = zip(catalogue, meshes, paths, strict=True)
        meshes = [_for_rendering(i.diameter, m, p, max_faces) for i, m, p in rows]
    return ObjectSet(catalogue, tuple(meshes))


def _for_rendering(diameter: float, mesh: Mesh, path: Path, max_faces: int) -> Mesh:
    """The mesh simplified, with a note of how far that moves its surface."""
    found, count = simplify(mesh, max_faces, MAX_DEVIATION * diameter), len(mesh.faces)
    if found.mesh is not mesh:
        away = f"at most {found.deviation / MM:.2f} mm from its surface"
        drawn = len(found.mesh.faces)
        note_once(log, "%s: drawn with %d of %d triangles, %s", path, drawn, count, away)
    return found.mesh


def find_mesh(folder: Path, obj_id: int, prefer_texture: bool = True) -> Path:
    """Where the mesh of a BOP obj_id lies; ``textured/`` is looked into first or last.

    Raises:
        CopeError: nowhere.
    """
    places = [folder / "meshes", folder]
    places.insert(0 if prefer_texture else 2, folder / "textured")
    for place in places:
        for suffix in MESH_SUFFIXES:
            path = place / f"obj_{obj_id:06d}{suffix}"
            if path.is_file():
                return path
    raise CopeError(
        f"{folder}: no mesh for object {obj_id}: expected meshes/obj_{obj_id:06d}.ply, .obj or .glb"
    )


class Studio:
    """A renderer with everything uploaded once; scenes only place it.

    ``textures`` and ``prints`` are handles of the renderer's textures, ``shapes`` those of each
    known object's meshes, ``colors`` their mean linear colours.
    """

    def __init__(
        self,
        objects: ObjectSet,
        backgrounds: Path | str | None = None,
        seed: int = 0,
        pictures: int = 96,
        photographs: int = 120,
        prints: int = 0,
        shapes: SceneConfig | None = None,
        clutter_meshes: str | None = None,
    ) -> None:
        """Uploads objects, clutter shapes and textures.

        Args:
            objects: the known objects; their meshes get the handles 0..C-1.
            backgrounds: folder of photographs, None for procedural pictures alone.
            seed: of the pools of pictures and shapes.
            pictures: how many procedural pictures to make.
            photographs: how many photographs to keep in memory at most.
            prints: how many collages of print to make, see ``prints``.
            shapes: how those of the known objects vary, None not at all.
            clutter_meshes: folder of everyday meshes, see ``load_things``.
        """
        rng = np.random.default_rng(seed)
        self.catalogue = objects.catalogue
        self.renderer = Renderer(objects.meshes)
        self.vertices = [mesh.vertices.astype(np.float64) for mesh in objects.meshes]
        self.colors = [mesh.mean_albedo for mesh in objects.meshes]
        add = self.renderer.add_mesh
        self.solids = [add(m) for m in (cuboid(), cylinder(), cylinder(1.35), ball())]
        self.things = [add(m) for m in load_things(clutter_meshes, rng)] if clutter_meshes else []
        self.flakes = [add(flake(rng)) for _ in range(12)]
        self.sheets = [add(sheet(repeats)) for repeats in (1.0, 3.0, 8.0)]
        self.printed_sheets = [add(sheet(repeats)) for repeats in (6.0, 10.0, 18.0)]
        self.pictures = [procedural_picture(rng, TEXTURE_SIDE) for _ in range(pictures)]
        self.photographs = (
            [] if backgrounds is None else load_photographs(backgrounds, photographs, rng)
        )
        size = (TEXTURE_SIDE, TEXTURE_SIDE)
        surfaces = self.pictures[:48]
        surfaces += [random_crop(rng, photo, size) for photo in self.photographs[:48]]
        first = len(self.renderer.textures)  # those before are the meshes' own
        for picture in surfaces:
            self.renderer.add_texture(picture)
        self.textures = range(first, len(self.renderer.textures))
        self.collages = [print_picture(rng, self.photographs, TEXTURE_SIDE) for _ in range(prints)]
        for picture in self.collages:
            self.renderer.add_texture(picture)
        self.prints = range(self.textures.stop, len(self.renderer.textures))
        self.shapes = [range(c, c + 1) for c in range(len(objects.meshes))]
        if shapes is not None:
            for c, item in enumerate(objects.catalogue):
                faults = (shapes.openings, shapes.thin_ends, shapes.lids)
                repaired = any(item.obj_id in rows for rows in faults)
                if shapes.varies_surfaces or repaired:
                    self.shapes[c] = self._variants(objects.meshes[c], item.obj_id, shapes, rng)

    def _variants(
        self, mesh: Mesh, obj_id: int, config: SceneConfig, rng: np.random.Generator
    ) -> range:
        """Uploads a mesh in other shapes and returns their handles."""
        handles = []
        for _ in range(SHAPES):
            shape = mesh
            if rng.random() < config.repair_share:
                if obj_id in config.thin_ends:
                    shape = thinned(shape, config.thin_ends[obj_id], rng)
                if obj_id in config.openings:
                    shape = opened(shape, config.openings[obj_id], rng)
                if obj_id in config.lids:
                    shape = turned(shape, config.lids[obj_id], rng)
            if config.varies_corners:
                shape = with_sharper_corners(
                    shape, rng.uniform(config.sharpening_min, config.sharpening_max)
                )
            if config.surface_offset_sigma > 0:
                shape = with_surface_offset(shape, rng, config.surface_offset_sigma)
            handles.append(self.renderer.add_mesh(shape))
        return range(handles[0], handles[-1] + 1)

    @classmethod
    def for_scenes(cls, objects: ObjectSet, config: SceneConfig, seed: int) -> "Studio":
        """With all that scenes of a configuration can need."""
        prints = PRINTS if config.print_share > 0 else 0
        return cls(objects, config.backgrounds, seed, prints=prints, shapes=config,
                   clutter_meshes=config.clutter_meshes)  # fmt: skip
