"""``cope_check``: looks at a running system for some seconds, and says why poses do not come.

Data flows one way: probe (ROS) -> facts -> causes -> report.
"""
