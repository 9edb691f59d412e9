"""Looks at a rendered validation set while a network learns."""

import json
import time
from pathlib import Path
from typing import Any

from cope_training.data.sources import training_scenes
from cope_training.engine.trainer import Trainer
from cope_training.evaluation.network_estimator import estimator_of
from cope_training.evaluation.validation import Validated, ValidationMaker, ValidationSet

FOLDER = "validation"  # of the set, in the training's folder
HISTORY = "validation.jsonl"  # one line for each look, beside it
LEAST_LOOKS = 4  # in a training that is set to a time


class Validator:
    """Measures the averaged weights every ``validation.minutes``; one process does.

    The set is made by a process of its own; until it is there, nothing is looked at.

    Args:
        trainer: what is trained, on rendered objects.
        out: the training's folder.
    """

    def __init__(self, trainer: Trainer, out: Path) -> None:
        self.trainer, self.out = trainer, out
        config = trainer.config
        scenes = training_scenes(config.data)
        out.mkdir(parents=True, exist_ok=True)
        self._maker = ValidationMaker(out / FOLDER, config.validation, scenes)
        self._set: ValidationSet | None = None
        self.seconds = 60.0 * config.validation.minutes
        if config.hours:
            self.seconds = min(self.seconds, 3600.0 * config.hours / (LEAST_LOOKS + 1))
        self._next = time.monotonic() + self.seconds

    def due(self) -> bool:
        """Whether it is time for a look."""
        return time.monotonic() >= self._next and self._maker.ready()

    def look(self) -> Validated:
        """Measures the averaged weights and notes what was found in HISTORY.

        Raises:
            CopeError: the set could not be made.
        """
        trainer = self.trainer
        if self._set is None:
            self._set = self._maker.open(trainer.config.validation.images)
        runner = estimator_of(trainer.ema, trainer.config, trainer.catalogue, trainer.device)
        found = self._set.measure(runner)
        with (self.out / HISTORY).open("a") as file:
            file.write(json.dumps(history_entry(trainer, found)) + "\n")
        self._next = time.monotonic() + self.seconds
        return found

    def close(self) -> None:
        """Ends the making of the set, if it still goes on."""
        self._maker.close()


def history_entry(trainer: Trainer, found: Validated) -> dict[str, Any]:
    """A line of HISTORY as plain data."""
    rows = {name: row.to_dict() for name, row in found.rows.items()}
    crops = trainer.step * trainer.config.batch
    return {"crops": crops, "images": found.images, "rows": rows}


def read_history(out: Path) -> list[dict[str, Any]]:
    """All looks of a training by the number of crops; of several after as many the last."""
    path = out / HISTORY
    if not path.is_file():
        return []
    entries = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    last = {int(entry["crops"]): entry for entry in entries}
    return [last[crops] for crops in sorted(last)]
