"""Installs the ROS package cope_ros and, beside it, the training package cope_training."""

from collections.abc import Iterator
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "cope_ros"
SHARE = Path("share") / PACKAGE


def files_of(folder: str, pattern: str = "*") -> Iterator[tuple[str, list[str]]]:
    """Yield (target directory, files) for every directory under `folder`, as setuptools wants."""
    by_directory: dict[Path, list[str]] = {}
    for path in sorted(Path(folder).rglob(pattern)):
        if path.is_file():
            by_directory.setdefault(path.parent, []).append(str(path))
    for directory, files in by_directory.items():
        yield str(SHARE / directory), files


setup(
    name=PACKAGE,
    version="0.1.0",
    description="6D poses of all known objects in a camera image, as a ROS 2 node",
    license="Apache-2.0",
    maintainer="cope_ros maintainers",
    maintainer_email="maintainer@example.com",
    packages=find_packages(include=["cope_ros", "cope_ros.*", "cope_training", "cope_training.*"]),
    package_data={
        "cope_training.evaluation": ["published.yaml"],
        "cope_training.evaluation.page": ["page.*"],
    },
    python_requires=">=3.10",
    # Bounds of what the code runs on; requirements.txt has the exact tested versions.
    install_requires=[
        "setuptools",
        "numpy",
        "scipy",
        "opencv-python",
        "torch>=2.11",
        "torchvision",
        "trimesh",
        "PyYAML",
    ],
    extras_require={
        "bags": ["rosbags", "rosbags-image", "mcap", "imageio-ffmpeg", "tqdm"],
        "train": [
            *["moderngl", "pillow", "matplotlib", "faster-coco-eval", "motmetrics"],
            *["opengl_decimate>=0.2.0a5", "safetensors", "tqdm", "tensorboard", "mujoco"],
        ],
        # Without it `colcon test` takes unittest, which finds none of them.
        "test": ["pytest", "hypothesis", "psutil", "mcap-ros2-support", "pillow-heif"],
        "cad": ["pycollada", "cascadio"],  # COLLADA and STEP meshes
        "cycles": ["bpy"],  # path-traced images; GPL, few versions of Python, numpy below 2
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (str(SHARE), ["package.xml", "LICENSE"]),
        *files_of("launch", "*.launch.py"),
        *files_of("config"),
        *files_of("models"),
    ],
    zip_safe=True,
    entry_points={
        "console_scripts": [
            "cope = cope_ros.commands:main",
            "cope_node = cope_ros.main:main",
            "cope_check = cope_ros.check.command:main",
            "cope_rviz = cope_ros.rviz:main",
            "cope_bag = cope_ros.bag:main",
            "cope_pose = cope_ros.pose:main",
            "cope_train = cope_training.train:main",
            "cope_export = cope_training.export:main",
            "cope_eval = cope_training.evaluate:main",
            "cope_render = cope_training.render:main",
            "cope_object = cope_training.object:main",
            "cope_calibrate = cope_training.calibrate:main",
        ],
    },
)
