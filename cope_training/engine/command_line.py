"""The command line of ``cope_train``."""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from cope_training.command import command_parser, number, whole_number
from cope_training.engine.configuration import TrainConfig
from cope_training.engine.local_processes import add_process_options


def training_parser(description: str) -> argparse.ArgumentParser:
    """The parser, with that description."""
    example = "cope_train --config object --meshes models/mine --hours 3 --processes 2"
    parser = command_parser("cope_train", description, example)
    parser.add_argument(
        "--config",
        type=Path,
        required=True,
        help="YAML file, or a bundled one's name such as object",
    )
    parser.add_argument("--out", type=Path, help="folder of the training (out/train/<config>)")
    parser.add_argument("--export", type=Path, help="model file to write (<out>/model.pt)")
    parser.add_argument(
        "--init",
        help="begin with the weights of a checkpoint, a model's folder or a bundled model, of "
        "other objects too (the configuration's); none: ImageNet's",
    )
    add_data_options(parser)
    parser.add_argument(
        "--negatives",
        type=Path,
        help="other photographs without the objects, which the score threshold is chosen on",
    )
    parser.add_argument(
        "--samples", type=whole_number(1), help="training images in all; may change on resume"
    )
    parser.add_argument(
        "--hours", type=number(1e-3), help="of training in all, which sets the schedule"
    )
    parser.add_argument(
        "--max-minutes", type=number(0), default=float("inf"), help="end this slice"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add_process_options(parser)
    parser.add_argument("--tensorboard", action="store_true", help="scalars and pictures in <out>")
    return parser


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Folders that a training renders from."""
    parser.add_argument("--meshes", type=Path, help="models folder instead of the configuration's")
    parser.add_argument("--backgrounds", type=Path, help="photographs to render objects over")


def with_data(config: TrainConfig, options: argparse.Namespace) -> TrainConfig:
    """The configuration with the folders of ``add_data_options`` that are named."""
    if options.meshes:
        config = config.of_objects(options.meshes)
    if options.backgrounds:
        config = replace(config, data=replace(config.data, backgrounds=str(options.backgrounds)))
    return config


def with_folders(config: TrainConfig, options: argparse.Namespace) -> TrainConfig:
    """The configuration with the folders that the command line names instead of its own."""
    config = with_data(config, options)
    if options.negatives:
        finishing = replace(config.finishing, negatives=str(options.negatives))
        config = replace(config, finishing=finishing)
    return config
