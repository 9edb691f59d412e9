"""Builds a translated scene in Blender: camera, meshes, materials, lights, world."""

from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Vector


def build(values: dict, arrays: dict, folder: Path, labels: bool) -> None:
    """Replaces whatever Blender holds.

    Args:
        values, arrays: see ``translation.BlenderScene``.
        folder: of the textures' PNG files.
        labels: materials shine with depth and number instead of reflecting light.
    """
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    _camera(scene, values["camera"], still=labels)
    for entry in values["objects"]:
        mesh = _mesh(entry, arrays)
        mesh.materials.append(_label_material() if labels else _material(entry, folder))
        item = bpy.data.objects.new(f"object{entry['number']}", mesh)
        item.pass_index = entry["number"]
        item.matrix_world = Matrix(entry["matrix"])
        scene.collection.objects.link(item)
    if not labels:
        for light in values["lights"]:
            _light(scene, light)
        _world(scene, values["world"])


def _camera(scene: "bpy.types.Scene", values: dict, still: bool) -> None:
    data = bpy.data.cameras.new("camera")
    data.sensor_fit, data.sensor_width, data.lens = "HORIZONTAL", values["sensor"], values["lens"]
    data.shift_x, data.shift_y = values["shift_x"], values["shift_y"]
    data.clip_start, data.clip_end = 0.01, 200.0
    if values["fstop"] > 0 and not still:
        data.dof.use_dof, data.dof.focus_distance = True, values["focus"]
        data.dof.aperture_fstop = values["fstop"]
    item = bpy.data.objects.new("camera", data)
    scene.collection.objects.link(item)
    scene.camera = item
    pose = Matrix(values["matrix"])
    item.matrix_world = pose
    if any(values["move"]) and not still:
        x, y, z = values["move"]
        for frame, sign in ((0, -1.0), (2, 1.0)):
            way = pose.to_3x3() @ Vector((sign * x, -sign * y, -sign * z))
            item.location = pose.translation + way
            item.keyframe_insert("location", frame=frame)
        scene.frame_set(1)


def _mesh(entry: dict, arrays: dict) -> "bpy.types.Mesh":
    key = entry["mesh"]
    vertices, faces = arrays[f"{key}.vertices"], arrays[f"{key}.faces"]
    mesh = bpy.data.meshes.new(f"{key}.{entry['number']}")
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", vertices.ravel())
    mesh.loops.add(faces.size)
    mesh.loops.foreach_set("vertex_index", faces.ravel())
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, 3, dtype=np.int32))
    mesh.update(calc_edges=True)
    _colors(mesh, "albedo", arrays[f"{key}.albedo"])
    pattern = arrays.get(f"pattern{entry['number']}")
    if pattern is not None:
        _colors(mesh, "pattern", pattern)
        entry["patterned"] = True
    if f"{key}.uv" in arrays:
        layer = mesh.uv_layers.new(name="uv")
        layer.data.foreach_set("uv", arrays[f"{key}.uv"][faces.ravel()].ravel())
    mesh.normals_split_custom_set_from_vertices(arrays[f"{key}.normals"].tolist())
    return mesh


def _colors(mesh: "bpy.types.Mesh", name: str, rgb: np.ndarray) -> None:
    rgba = np.concatenate([rgb, np.ones((len(rgb), 1), np.float32)], axis=1).astype(np.float32)
    mesh.color_attributes.new(name, "FLOAT_COLOR", "POINT").data.foreach_set("color", rgba.ravel())


class _Nodes:
    """Makes nodes and links with few words."""

    def __init__(self, tree: "bpy.types.NodeTree") -> None:
        self.tree = tree
        tree.nodes.clear()

    def new(self, kind: str, **values: object) -> "bpy.types.Node":
        node = self.tree.nodes.new(f"ShaderNode{kind}")
        for name, value in values.items():
            setattr(node, name, value)
        return node

    def link(self, out: object, into: object) -> None:
        self.tree.links.new(out, into)

    def mix(self, a: object, b: object, factor: object, blend: str = "MIX") -> object:
        """A colour mix whose factor may lie outside of 0 to 1; inputs are sockets or values."""
        node = self.new("Mix", data_type="RGBA", blend_type=blend, clamp_factor=False)
        for index, value in ((0, factor), (6, a), (7, b)):
            if hasattr(value, "is_linked"):
                self.link(value, node.inputs[index])
            else:
                node.inputs[index].default_value = value
        return node.outputs[2]


def _material(entry: dict, folder: Path) -> "bpy.types.Material":
    """Texture times vertex colour, faded, less or more vivid, tinted; as shaders.py does it."""
    material = bpy.data.materials.new("surface")
    material.use_nodes = True
    nodes = _Nodes(material.node_tree)
    color = nodes.new("VertexColor", layer_name="albedo").outputs[0]
    if "texture" in entry:
        path = str(folder / f"{entry['texture']}.png")
        image = bpy.data.images.load(path, check_existing=True)
        color = nodes.mix(color, nodes.new("TexImage", image=image).outputs[0], 1.0, "MULTIPLY")
    if entry["fade"]:
        color = nodes.mix(color, (*entry["mean"], 1.0), entry["fade"])
    if entry["vivid"] != 1.0:
        grey = nodes.new("VectorMath", operation="DOT_PRODUCT")
        nodes.link(color, grey.inputs[0])
        grey.inputs[1].default_value = (1 / 3, 1 / 3, 1 / 3)
        color = nodes.mix(grey.outputs["Value"], color, entry["vivid"])
    color = nodes.mix(color, (*entry["tint"], 1.0), 1.0, "MULTIPLY")
    if entry.get("patterned"):
        factor = nodes.new("VertexColor", layer_name="pattern").outputs[0]
        color = nodes.mix(color, factor, 1.0, "MULTIPLY")
    surface = nodes.new("BsdfPrincipled")
    nodes.link(color, surface.inputs["Base Color"])
    surface.inputs["Roughness"].default_value = entry["roughness"]
    surface.inputs["Specular IOR Level"].default_value = entry["specular"]
    nodes.link(surface.outputs[0], nodes.new("OutputMaterial").inputs["Surface"])
    return material


def _label_material() -> "bpy.types.Material":
    """Shines with the depth along the optical axis in red and the object's number in green."""
    material = bpy.data.materials.new("label")
    material.use_nodes = True
    nodes = _Nodes(material.node_tree)
    color = nodes.new("CombineColor")
    nodes.link(nodes.new("CameraData").outputs["View Z Depth"], color.inputs[0])
    nodes.link(nodes.new("ObjectInfo").outputs["Object Index"], color.inputs[1])
    shine = nodes.new("Emission")
    nodes.link(color.outputs[0], shine.inputs["Color"])
    nodes.link(shine.outputs[0], nodes.new("OutputMaterial").inputs["Surface"])
    return material


def _light(scene: "bpy.types.Scene", values: dict) -> None:
    energy = max(values["energy"])
    data = bpy.data.lights.new("lamp", values["kind"])
    data.color = [value / max(energy, 1e-9) for value in values["energy"]]
    data.energy = energy
    item = bpy.data.objects.new("lamp", data)
    if values["kind"] == "SUN":
        data.angle = values["size"]
    else:
        data.size = values["size"]
        item.location = values["position"]
        item.visible_camera = False
    item.rotation_mode = "QUATERNION"  # lamps shine along their -z
    item.rotation_quaternion = Vector(values["direction"]).to_track_quat("Z", "Y")
    scene.collection.objects.link(item)


def _world(scene: "bpy.types.Scene", values: dict) -> None:
    world = bpy.data.worlds.new("world")
    scene.world = world
    world.use_nodes = True
    nodes = _Nodes(world.node_tree)
    shine = nodes.new("Background")
    if values["environment"]:
        image = bpy.data.images.load(values["environment"])
        nodes.link(nodes.new("TexEnvironment", image=image).outputs[0], shine.inputs["Color"])
        level = sum(values["sky"]) / 3 / mean_radiance(image)
        shine.inputs["Strength"].default_value = values["scale"] * level
    else:
        split = nodes.new("SeparateXYZ")
        nodes.link(nodes.new("TexCoord").outputs["Generated"], split.inputs[0])
        above = nodes.new("Math", operation="GREATER_THAN")
        nodes.link(split.outputs["Z"], above.inputs[0])
        above.inputs[1].default_value = 0.0
        color = nodes.mix((*values["ground"], 1.0), (*values["sky"], 1.0), above.outputs[0])
        nodes.link(color, shine.inputs["Color"])
    nodes.link(shine.outputs[0], nodes.new("OutputWorld").inputs["Surface"])


def mean_radiance(image: "bpy.types.Image") -> float:
    """Mean over the sphere of an equirectangular picture's grey."""
    width, height = image.size
    flat = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(flat)
    rows = flat.reshape(height, width, 4)[..., :3].mean(axis=(1, 2))
    weight = np.sin((np.arange(height) + 0.5) / height * np.pi)
    return float(max((rows * weight).sum() / weight.sum(), 1e-4))
