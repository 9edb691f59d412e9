"""What configuration keys, values and layers of earlier versions are called now.

For error messages alone: nothing is accepted under an earlier name.
"""

from collections.abc import Collection, Iterable

from cope_ros.core.errors import CopeError

# Earlier keys of configurations, and of presets in model files.
KEYS: dict[str, tuple[str, ...]] = {
    "crops": ("samples",),
    "uses": ("repeats",),
    "stage": ("task",),
    "closeup": ("crop_head",),
    "region": ("contour_fit",),
    "epoch_crops": ("epoch_samples",),
    "group_norm": ("norm",),
    "surface_tower": ("coordinate_branch",),
    "slots": ("max_crops", "max_refined"),
    "guesses": ("candidates",),
    "views": ("tta",),
    "window": ("crop_scale",),
    "turn_spread": ("roll_sigma",),
    "vivid_spread": ("saturation_sigma",),
    "swell_spread": ("surface_offset_sigma",),
}
# Earlier tasks and presets.
VALUES = {
    "closeup": "crop_head",
    "lite_closeup": "lite_crop_head",
    "lite_region": "lite_contour",
}
# Beginnings of earlier layers' names.
LAYERS = {
    "closeup.": "crop_head.",
    "region.outlines.": "contour_fit.extractor.",
    "refiner.drawing.": "refiner.rendering_encoder.",
    "refiner.into_image.": "refiner.to_stem.",
    "refiner.across.": "refiner.to_features.",
    "refiner.flow.meet.": "refiner.flow.fusion.",
    "refiner.flow.log_spreads": "refiner.flow.log_sigmas",
}


def unknown_keys(source: str, unknown: Iterable[str], known: Collection[str]) -> CopeError:
    """The error for keys of ``source`` that do not exist, with the new name of earlier ones."""
    wrong = sorted(unknown)
    renamed = [f"{key} is called {new} now" for key in wrong for new in _new_keys(key, known)]
    return CopeError(
        f"{source}: unknown keys {wrong}, expected some of {sorted(known)}"
        + "".join(f"; {hint}" for hint in renamed)
    )


def hint(value: str) -> str:
    """What to add to the message that refuses ``value``; empty if it never was one."""
    return f"; {value} is called {VALUES[value]} now" if value in VALUES else ""


def check_layers(names: Iterable[str], source: str) -> None:
    """Refuses weights under earlier layers' names.

    Raises:
        CopeError: names an earlier layer and what it is called now.
    """
    for name in names:
        for old, new in LAYERS.items():
            if name.startswith(old):
                raise CopeError(
                    f"{source}: expected {new + name.removeprefix(old)}, got the earlier name "
                    f"{name}; the file has to be written anew"
                )


def _new_keys(key: str, known: Collection[str]) -> list[str]:
    sigma = key.removesuffix("_spread") + "_sigma" if key.endswith("_spread") else key
    return [new for new in KEYS.get(key, (sigma,)) if new in known]
