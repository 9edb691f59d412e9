"""The refinement stages that a network has, in the order in which they run.

A stage is a module ``(RefinementInputs, Instances) -> Instances`` of fixed shape. It takes the
poses to refine out as a ``PoseBatch`` (``types.first_poses``) and puts better ones back
(``types.with_poses``), with the scores, boxes and covariances that follow from them. Scripted
estimators hold stages by name: ``estimator.refinement.crops``.
"""

from torch import nn

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.network.cope_network import CopeNetwork
from cope_ros.core.refinement.crop_refinement import CropRefinement
from cope_ros.core.refinement.instance_refinement import InstanceRefinement

INSTANCE_HEAD, CROPS = "instance_head", "crops"


def build_refinement(network: CopeNetwork, catalogue: Catalogue) -> nn.ModuleDict:
    """Name -> stage; empty for a network that ends with the single pass.

    Args:
        network: its configuration chose the parts; stages share their layers.
        catalogue: its objects.
    """
    stages: dict[str, nn.Module] = {}
    if network.crop_head is not None:
        stages[CROPS] = CropRefinement(
            network.crop_head, network.refiner, network.contour_fit, catalogue
        )
    if network.instance_head is not None:
        stages[INSTANCE_HEAD] = InstanceRefinement(network.instance_head, catalogue)
    return nn.ModuleDict(stages)
