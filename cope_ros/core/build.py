"""From a configuration to modules: the one place where the parts are put together."""

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.estimator import CopeEstimator
from cope_ros.core.network import CopeNetwork
from cope_ros.core.presets import NetworkConfig


def build_network(config: NetworkConfig, catalogue: Catalogue) -> CopeNetwork:
    """A randomly initialised network for the objects of ``catalogue``."""
    return CopeNetwork(config, catalogue)


def build_estimator(
    network: CopeNetwork, config: NetworkConfig, catalogue: Catalogue, max_instances: int = 100
) -> CopeEstimator:
    """The inference pipeline around a network, in evaluation mode."""
    by_diameter = config.standardization == "diameter"
    return CopeEstimator(network, catalogue, by_diameter, max_instances).eval()
