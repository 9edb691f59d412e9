"""Pictures of frames with their true cuboids and what a network in training finds."""

import copy
from functools import partial

import numpy as np
import torch

from cope_ros.core.estimator import CopeEstimator
from cope_ros.core.network.build import build_estimator
from cope_ros.core.network.presets import get_preset
from cope_ros.core.refinement.crop_head import CropHead
from cope_ros.core.refinement.crop_network import CropNetwork
from cope_ros.core.refinement.refiner import Refiner
from cope_ros.core.types import Instances
from cope_training.data.frames import Frame
from cope_training.engine import checkpoint as checkpoints
from cope_training.engine.configuration import CROP_HEAD, REFINER
from cope_training.engine.pictures import ESTIMATE, TRUTH, draw_cuboids, side_by_side
from cope_training.engine.trainer import Trainer
from cope_training.tasks.refiner.task import RefinerTask


def overlay(trainer: Trainer, frames: list[Frame]) -> np.ndarray:
    """(H, W, 3) uint8: frames with true cuboids and, in red, what the averaged weights find."""
    network = copy.deepcopy(trainer.network).eval()
    checkpoints.load_weights(network, trainer.ema, "moving average")
    if trainer.config.task == CROP_HEAD:
        assert network.crop_head is not None
        find = partial(_look_closely, network.crop_head)
    elif trainer.config.task == REFINER:
        assert network.refiner is not None
        assert isinstance(trainer.task, RefinerTask)
        find = partial(_correct, network.refiner, trainer.task)
    else:
        layers = get_preset(trainer.config.preset)
        find = partial(_estimate, build_estimator(network, layers, trainer.catalogue))
    pictures = []
    for frame in frames:
        with torch.inference_mode():
            poses, classes = find(frame, trainer.device)
        seen = np.flatnonzero(frame.visibility >= trainer.config.visibility.foreground)
        truth = (frame.T_cam_obj[seen], frame.class_index[seen].tolist())
        drawn = draw_cuboids(frame.image, frame.K, *truth, trainer.catalogue, TRUTH)
        drawn = draw_cuboids(drawn, frame.K, poses, classes, trainer.catalogue, ESTIMATE)
        pictures.append(drawn)
    return side_by_side(pictures)


def _estimate(
    estimator: CopeEstimator, frame: Frame, device: torch.device
) -> tuple[np.ndarray, list[int]]:
    """(N, 4, 4) poses and classes of the instances found in a frame."""
    image = torch.from_numpy(frame.image)[None].to(device)
    K = torch.from_numpy(frame.K)[None].float().to(device)
    found = Instances(*(v[0].cpu() for v in estimator.to(device)(image, K)))
    valid = found.valid
    return _matrices(found.R[valid], found.t[valid]), found.class_index[valid].tolist()


def _look_closely(
    crop_head: CropHead, frame: Frame, device: torch.device
) -> tuple[np.ndarray, list[int]]:
    """(1, 4, 4) pose of the instance in a crop, and its class."""
    crop = torch.from_numpy(frame.image)[None].to(device)
    K = torch.from_numpy(frame.K)[None].float().to(device)
    classes = torch.from_numpy(frame.class_index).to(device)
    R, center = crop_head.to(device).pose(crop_head(crop, classes), classes, K)
    return _matrices(*_of_object(crop_head, classes, R, center)), classes.tolist()


def _correct(
    refiner: Refiner, task: RefinerTask, frame: Frame, device: torch.device
) -> tuple[np.ndarray, list[int]]:
    """(1, 4, 4) corrected pose of the instance in a crop, and its class."""
    crop = torch.from_numpy(frame.image)[None].to(device)
    crops = task.cut_crops(crop, task.targets([frame]).to(device))
    R, center, *_ = refiner.to(device).estimate(crops.images, *crops.targets.given)
    R, center = crops.R_wide_crop @ R, (crops.R_wide_crop @ center.unsqueeze(-1)).squeeze(-1)
    c = crops.targets.class_index
    return _matrices(*_of_object(refiner, c, R, center)), c.tolist()


def _of_object(
    part: CropNetwork, class_index: torch.Tensor, R: torch.Tensor, center: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """R and t on the CPU from the position of the boxes' centres."""
    t = center - (R @ part.centers[class_index].unsqueeze(-1)).squeeze(-1)
    return R.cpu(), t.cpu()


def _matrices(R: torch.Tensor, t: torch.Tensor) -> np.ndarray:
    poses = np.tile(np.eye(4), (len(t), 1, 1))
    poses[:, :3, :3], poses[:, :3, 3] = R, t
    return poses
