"""What a network starts a training with: another's weights, a backbone's, surfaces of meshes."""

from pathlib import Path

from torch import nn

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_ros.core.network.cope_network import CopeNetwork
from cope_training.engine.checkpoint import Initial, load_weights
from cope_training.engine.configuration import JOINT, REFINER, DataConfig
from cope_training.tasks.instance_head.surface_grids import surface_grids
from cope_training.tasks.refiner.contours import fill_contour_meshes
from cope_training.tasks.refiner.surface_points import surface_points

# What a network knows of its objects alone.
OBJECT_LAYERS = (
    "class_tower.output.",
    "pose_head.",
    "instance_head.classes.",
    "instance_head.surface.",
    "crop_head.surface.",
    "crop_head.output.",
    "refiner.surface.",
    "refiner.points",
    "contour_fit.",
)
# What a network may have beyond the corners; one trained without it starts to learn it.
ADDITIONS = (
    "key_tower.surface.",
    "key_tower.refinement.",
    "key_tower.correction.",
    "instance_head.",
    "crop_head.",
    "refiner.",
    "contour_fit.",
)
CROP_HEAD_LAYERS = "crop_head."
# What crop head and refiner begin with, by the names of their layers.
SHARED = ("backbone.", "lateral3.", "lateral4.", "features.", "surface.")


def take_over(network: CopeNetwork, initial: Initial, own: tuple[str, ...] = ()) -> None:
    """Another training's weights, but for layers that are ``own`` and ADDITIONS it lacks.

    Args:
        network: receives them.
        initial: of the same objects; of others with ``own`` OBJECT_LAYERS.
        own: beginnings of the names that stay as they are.

    Raises:
        CopeError: the weights do not fit.
    """
    given, ours = initial.weights, network.state_dict()
    own = tuple(name for name in own if not name.startswith(initial.own))
    kept = {
        k: v
        for k, v in ours.items()
        if k.startswith(own) or (k.startswith(ADDITIONS) and k not in given)
    }
    shared = {
        k: v
        for k, v in given.items()
        if k not in kept and (k in ours or not k.startswith(ADDITIONS))
    }
    load_weights(network, shared | kept, initial.source)


def with_crop_head(initial: Initial, other: Initial, catalogue: Catalogue) -> Initial:
    """The weights with another model's crop head, where they have none.

    Args:
        initial: of any objects.
        other: with a crop head for the training's.
        catalogue: the training's objects.

    Raises:
        CopeError: ``other`` has other objects or no crop head.
    """
    if any(name.startswith(CROP_HEAD_LAYERS) for name in initial.weights):
        return initial
    found = {k: v for k, v in other.weights.items() if k.startswith(CROP_HEAD_LAYERS)}
    if not found or not other.catalogue.has_objects_of(catalogue):
        lacks = "a crop head" if not found else "the objects of this training"
        raise CopeError(f"crop_head.init: {other.source} does not have {lacks}")
    return initial._replace(weights=initial.weights | found, own=(CROP_HEAD_LAYERS,))


def start_crop_networks(network: CopeNetwork, initial: Initial | None) -> None:
    """Crop head and refiner, where not given, start with what the part before knows of images.

    Layers of the same name and shape are taken: of the dense part its backbone, of the crop head
    all up to the description of the surface.
    """
    given = tuple(initial.weights) if initial is not None else ()
    source: nn.Module = network
    for name, part in (("crop_head.", network.crop_head), ("refiner.", network.refiner)):
        if part is None:
            continue
        if not any(key.startswith(name) for key in given):
            known, own = source.state_dict(), part.state_dict()
            own |= {k: known[k] for k in own if k.startswith(SHARED) and k in known}
            part.load_state_dict(own)
        source = part


def fill_object_surfaces(
    network: CopeNetwork, catalogue: Catalogue, data: DataConfig, task: str
) -> None:
    """Parts without surfaces get them from the meshes: instance head, refiner, contours.

    Args:
        network: receives them.
        catalogue: its objects.
        data: where the meshes are, and what their scans have wrong.
        task: of the training; a refiner's fills what is filled, and only a joint one needs the
            instance head's.

    Raises:
        CopeError: a mesh is missing or broken.
    """
    refiner, contour_fit = network.refiner, network.contour_fit
    thin_ends, anew = data.scene.get("thin_ends"), task == REFINER
    head = network.instance_head
    surface = head.surface if head is not None and task == JOINT else None
    if surface is not None and not surface.distance.any():
        folder, voxels = Path(data.path("meshes")), surface.voxels
        grids = surface_grids(folder, catalogue, voxels, thin_ends)
        surface.distance.copy_(grids.distance)
        surface.color.copy_(grids.color)
    if refiner is not None and (anew or not refiner.points.any()):
        folder, count = Path(data.path("meshes")), refiner.points.shape[1]
        refiner.points.copy_(surface_points(folder, catalogue, count, thin_ends))
    if contour_fit is not None and (anew or not contour_fit.extractor.planes.any()):
        fill_contour_meshes(contour_fit.extractor, Path(data.path("meshes")), catalogue, thin_ends)
