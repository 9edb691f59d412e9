"""The ROS-free core: network, geometry, clustering, and the estimator that joins them."""
