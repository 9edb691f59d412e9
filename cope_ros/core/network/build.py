"""From a configuration to modules: the one place where the parts are put together."""

from torch import Tensor

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.estimator import CopeEstimator
from cope_ros.core.network.cope_network import CopeNetwork
from cope_ros.core.network.presets import NetworkConfig

# The geometric head fits its pose to the corners, so that consistency alone says little; the
# class probability tells better which locations see enough of the object.
GEOMETRIC_SCORE_POWER = 2.0


def build_network(config: NetworkConfig, catalogue: Catalogue) -> CopeNetwork:
    """A randomly initialised network for the objects of ``catalogue``."""
    return CopeNetwork(config, catalogue)


def score_power(pose_head: str) -> float:
    """Exponent of scores in the votes of hypotheses that a head gave, one of ``POSE_HEADS``."""
    return GEOMETRIC_SCORE_POWER if pose_head == "geometric" else 0.0


def build_estimator(
    network: CopeNetwork,
    config: NetworkConfig,
    catalogue: Catalogue,
    max_instances: int = 100,
    surfaces: Tensor | None = None,
) -> CopeEstimator:
    """The inference pipeline around a network, in evaluation mode; see ``CopeEstimator``."""
    by_diameter = config.standardization == "diameter"
    power = score_power(config.pose_head)
    return CopeEstimator(network, catalogue, by_diameter, power, max_instances, surfaces).eval()
