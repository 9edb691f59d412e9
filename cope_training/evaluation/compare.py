"""Our scores and times beside the published ones (paper, Tables 1 to 3, Figures 3 and 4).

``python -m cope_training.evaluation.compare`` reads what others published (``published.yaml``, with
sources) and our result files (of ``cope_eval``, ``cope_training.evaluation.ablation``,
``cope_training.supervision`` and ``cope_training.bench.latency``; by default
``docs/results/*.json``) and writes ``compare.md`` and ``compare.png``.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from cope_ros.core.errors import CopeError
from cope_training.command import command_parser, run_command

PUBLISHED = Path(__file__).with_name("published.yaml")
RESULTS = Path("docs/results")
DATA = ("lmo", "icbin")  # the paper's data sets; results on others are not beside its figures
OFFICIAL_IMAGES = {"lmo": 200, "icbin": 150}
Row = Mapping[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = command_parser(
        "compare", __doc__ or "", "python -m cope_training.evaluation.compare out/eval/*.json"
    )
    parser.add_argument("results", type=Path, nargs="*", help="default: docs/results/*.json")
    parser.add_argument("--out", type=Path, default=Path("out/compare"))
    return run_command(parser, _run, arguments)


def _run(options: argparse.Namespace) -> None:
    files = options.results or sorted(RESULTS.glob("*.json"))
    results = [read_result(path) for path in files]
    published = yaml.safe_load(PUBLISHED.read_text())
    options.out.mkdir(parents=True, exist_ok=True)
    text = tables(published, results)
    (options.out / "compare.md").write_text(text)
    from cope_training.evaluation.compare_plot import plot_runtime

    timings = [(r["name"], r["timing"]) for r in results if "timing" in r]
    plot_runtime(published["runtime"], timings, options.out / "compare.png")
    print(text)
    print(f"written: {options.out}/compare.md and compare.png")


def read_result(path: Path) -> dict[str, Any]:
    """One result file by its kind: ``eval``, ``votings``, ``supervision`` or ``timing``.

    Raises:
        CopeError: the file is missing, no JSON, or of no kind known here.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CopeError(f"{path}: {error}") from error
    if isinstance(content, list) and content and all("votings" in part for part in content):
        return {"votings": content}
    if isinstance(content, dict) and {"rows", "samples", "start_samples"} <= content.keys():
        return {"supervision": content}
    if isinstance(content, dict) and "add_s_recall" in content and "data" in content:
        return {"eval": content}
    if isinstance(content, dict) and "images_estimated" in content:
        raise CopeError(f"{path}: has no scores: the data set had no ground truth")
    if isinstance(content, dict) and "models" in content and "device" in content:
        models = content["models"]
        p50 = {name: part["p50_ms"] / 1e3 for name, part in models.items()}
        return {"name": content["device"], "timing": _latencies(models), "p50": p50}
    raise CopeError(
        f"{path}: expected a result of cope_eval, ablation, supervision or the latency benchmark"
    )


def _latencies(models: Mapping[str, Any]) -> dict[str, dict[int, float]]:
    """Median ms over the number of instances, of each model."""
    return {
        name: {int(n): float(ms) for n, ms in part["by_instances"].items()}
        for name, part in models.items()
    }


def tables(published: Mapping[str, Any], results: Sequence[Row]) -> str:
    """Markdown of the three tables, ours below the published rows."""
    p50 = {name: (s, r["name"]) for r in results for name, s in r.get("p50", {}).items()}
    ours = [with_time(r["eval"], p50) for r in results if "eval" in r]
    votings = [part for r in results for part in r.get("votings", [])]
    supervised = [r["supervision"] for r in results if "supervision" in r]
    parts = [
        "**Pose estimation** (Table 1)", _pose_table(published, ours),
        "**Detection**, COCO mAP of the boxes (Table 2)", _detection_table(published, ours),
        "**Supervision and voting**, mean ADD(-S) recall over objects (Table 3)",
        _supervision_table(published, supervised, votings),
    ]  # fmt: skip
    sources = [f"[{key}]: {text}." for key, text in published["sources"].items()]
    return "\n\n".join([*parts, "Sources. " + " ".join(sources)]) + "\n"


def with_time(row: Row, p50: Mapping[str, tuple[float, str]]) -> dict[str, Any]:
    """A result of ``cope_eval`` with the quiet machine's time, where the benchmark measured it.

    Args:
        p50: by model, seconds per image and the device that took them.
    """
    if row.get("device") and row["model"] in p50:
        seconds, device = p50[row["model"]]
        return dict(row) | {"time_s_per_image": seconds, "device": f"{device} (p50)"}
    return dict(row)


def _pose_table(published: Mapping[str, Any], ours: Sequence[Row]) -> str:
    head = ["method", "networks", "input", "AR LM-O", "AR IC-BIN", "LM-O: AR MSSD", "AR MSPD",
            "ADD(-S)", "s per image", "of other measure, data or device"]  # fmt: skip
    rows = [
        [row["method"], row["networks"], row["input"]]
        + [_number(row.get(key)) for key in ("lmo_ar", "icbin_ar", "lmo_mssd", "lmo_mspd")]
        + [_number(row.get("lmo_add_s")), _number(row.get("time_s")), _origin(row)]
        for row in published["pose"]
    ]
    for row in ours:
        lmo = row if row["data"] == "lmo" else {}
        icbin = row if row["data"] == "icbin" else {}
        rows.append(
            [_name(row), "one", _input(row)]
            + [_number(lmo.get("ar")), _number(icbin.get("ar"))]
            + [_number(lmo.get(key)) for key in ("ar_mssd", "ar_mspd", "add_s_recall")]
            + [_number(row.get("time_s_per_image")), remark(row)]
        )
    return markdown(head, rows)


def _detection_table(published: Mapping[str, Any], ours: Sequence[Row]) -> str:
    rows = [
        [r["method"], _number(r.get("lmo_map")), _number(r.get("icbin_map")), f"[{r['source']}]"]
        for r in published["detection"]
    ]
    for row in ours:
        if row.get("device") is None or row["data"] not in DATA:
            continue  # a result file of poses alone has no boxes of a detector
        value = _number(row.get("coco_map"))
        cells = [value, "-"] if row["data"] == "lmo" else ["-", value]
        rows.append([_name(row), *cells, _images(row) or "all images"])
    return markdown(["method", "LM-O", "IC-BIN", "images or source"], rows)


def _supervision_table(
    published: Mapping[str, Any], supervised: Sequence[Row], votings: Sequence[Row]
) -> str:
    rows = [
        [f"COPE, {row['supervision']}", row["voting"], _number(row["lm"]), _number(row["lmo"]), "-"]
        for row in published["supervision"]
    ]
    for part in supervised:
        rows += [
            [f"this repository, {row['supervision']}", voting, "-", "-", _number(value)]
            for row in part["rows"]
            for voting, value in row["add_s_recall"].items()
        ]
    for part in votings:
        lmo = part["data"] == "lmo"
        for voting, row in part["votings"].items():
            value = _number(row["add_s_recall"])
            cells = ["-", value, "-"] if lmo else ["-", "-", value]
            name = f"this repository, `models/{part['model']}`, {part['images']} images"
            rows.append([name, voting, *cells])
    return markdown(["supervision", "voting", "LM", "LM-O", "bundled sequence"], rows)


def remark(row: Row) -> str:
    """What sets our figure apart from the published ones: data, images, measures, device."""
    parts = []
    official, images = OFFICIAL_IMAGES.get(row["data"]), row["images"]
    if official is None:
        scores = ("add_s_recall", "ADD(-S)"), ("ar_mssd", "AR MSSD"), ("ar_mspd", "AR MSPD")
        values = ", ".join(f"{name} {_number(row[key])}" for key, name in scores)
        parts.append(f"other data, `{row['data']}` ({images} images): {values}")
    elif less := _images(row):
        parts.append(less)
    if official and row.get("ar") is None:
        parts.append("no depth images, so neither AR VSD nor AR")
    if row.get("device"):
        parts.append(f"time on {row['device']}")
    else:
        parts.append("unseen objects; scored here from its result file, time as stated in it")
    return "; ".join(parts)


def _images(row: Row) -> str:
    official = OFFICIAL_IMAGES[row["data"]]
    return "" if row["images"] == official else f"{row['images']} of {official} images"


def _origin(row: Row) -> str:
    return f"[{row['source']}]" + (f", time on {row['device']}" if "device" in row else "")


def _name(row: Row) -> str:
    return f"**this repository**, `models/{row['model']}`" if row.get("device") else row["model"]


def _input(row: Row) -> str:
    return "RGB-D" if row.get("depth") else "RGB"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns after the first are to the right where all of them are numbers."""
    plain = all(len(row) == len(head) for row in rows)
    if not plain:
        raise ValueError(f"expected rows of {len(head)} cells, got {[len(row) for row in rows]}")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


if __name__ == "__main__":
    sys.exit(main())
