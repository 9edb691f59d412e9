"""Puts the page together: one file, no other is needed to look at it."""

import html
import json
from collections import Counter
from pathlib import Path

import numpy as np

from cope_training.evaluation.failures import KINDS
from cope_training.evaluation.page.charts import error_charts, recall_charts, time_charts
from cope_training.evaluation.page.content import Results, Truth
from cope_training.evaluation.page.failure_cards import failure_cards
from cope_training.evaluation.page.frames import frames_of

ASSETS = Path(__file__).resolve().parent
RULE = "Right: ADD(-S) within a tenth of the diameter."


def write_page(path: Path, results: Results) -> None:
    """Writes the page, at most 15 MB."""
    template = (ASSETS / "page.html").read_text(encoding="utf-8")
    data = {"frames": frames_of(results), "truth": results.truth is not None}
    # "<" is written so that no name can end the script element early.
    payload = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    parts = {
        "title": html.escape(results.title),
        "style": page_style(),
        "script": (ASSETS / "page.js").read_text(encoding="utf-8"),
        "facts": _facts(results),
        "answers": "".join(_answers(results)),
        "sections": "\n".join(_sections(results)),
        "data": payload,
    }
    for name, text in parts.items():
        template = template.replace(f"{{{{{name}}}}}", text)
    path.write_text(template, encoding="utf-8")


def page_style() -> str:
    """The CSS of all pages."""
    return (ASSETS / "page.css").read_text(encoding="utf-8")


def _facts(results: Results) -> str:
    rows = (
        f"<div><dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd></div>"
        for k, v in results.facts.items()
    )
    return "".join(rows)


def _answers(results: Results) -> list[str]:
    """What works, what fails, how fast: one card each."""
    truth = results.truth
    if truth is None or not _counted(results, truth).any():
        count, images = len(results.estimates), len(results.frames)
        found = _answer("What was found", f"{count} poses", f"in {images} images")
        return [found, _unknown(results), _speed(results)]
    return [_works(results, truth), _fails(results, truth), _speed(results)]


def _works(results: Results, truth: Truth) -> str:
    counted = _counted(results, truth)
    right, asked = int(truth.right[counted].sum()), int(counted.sum())
    rates = _by_class(results, truth)
    best = max(rates, key=lambda name: rates[name])
    text = (
        f"{right} of {asked} instances at least {results.least_visible:.0%} visible. "
        f"Best: {best}, {rates[best]:.0%}. {RULE}"
    )
    return _answer("What works", f"{right / asked:.0%} right", text)


def _fails(results: Results, truth: Truth) -> str:
    failed = _counted(results, truth) & ~truth.right
    kinds = Counter(truth.failures.kind[failed].tolist())
    if not kinds:
        return _answer("What fails", "nothing", "every instance was found")
    rates = _by_class(results, truth)
    worst = min(rates, key=lambda name: rates[name])
    said = ", ".join(f"{KINDS[kind]} {count}" for kind, count in kinds.most_common())
    main = KINDS[kinds.most_common(1)[0][0]]
    return _answer("What fails", main, f"{said}. Worst: {worst}, {rates[worst]:.0%}")


def _unknown(results: Results) -> str:
    keys = {f.key for f in results.frames}
    keys -= set(zip(results.estimates.scene_id.tolist(), results.estimates.im_id.tolist(),
                    strict=True))  # fmt: skip
    text = "No ground truth, so nobody knows which are wrong."
    return _answer("What fails", f"{len(keys)} images without a pose", text)


def _speed(results: Results) -> str:
    if not len(results.seconds):
        return _answer("How fast", "unknown", "no times were measured")
    p50, p99 = (float(np.percentile(1e3 * results.seconds, share)) for share in (50, 99))
    device = results.facts.get("device", "")
    text = f"p50 of {len(results.seconds)} images, p99 {p99:.0f} ms{', ' if device else ''}{device}"
    return _answer("How fast", f"{p50:.0f} ms", text)


def _counted(results: Results, truth: Truth) -> np.ndarray:
    """(G,) bool: the instances of the headline."""
    return truth.asked & (truth.gts.visibility >= results.least_visible)


def _by_class(results: Results, truth: Truth) -> dict[str, float]:
    rates = {}
    for obj_id, name in results.names.items():
        rows = _counted(results, truth) & (truth.gts.obj_id == obj_id)
        if rows.any():
            rates[name] = float(truth.right[rows].mean())
    return rates


def _answer(question: str, answer: str, text: str) -> str:
    return (
        f"<div class=answer><h2>{html.escape(question)}</h2><strong>{html.escape(answer)}</strong>"
        f"<p>{html.escape(text)}</p></div>"
    )


def _sections(results: Results) -> list[str]:
    sections = []
    truth = results.truth
    if truth is not None and truth.asked.any():
        sections.append(_failures(results, truth))
        sections.append(_charts("Recall", RULE, recall_charts(results, truth)))
        note = "all estimates of an annotated instance, right or wrong; ends collect what is beyond"
        sections.append(_charts("Errors", note, error_charts(results, truth)))
    times = time_charts(results)
    if times:
        sections.append(_charts("Time", "", times))
    return [*sections, *results.tables]


def _failures(results: Results, truth: Truth) -> str:
    cards = failure_cards(results, truth)
    if not cards:
        return ""
    figures = "".join(
        f'<figure><a href="#viewer" data-frame="{html.escape(card.frame)}">'
        f'<img loading=lazy width=260 height=260 alt="{html.escape(card.title)}" '
        f'src="{card.src}"></a><figcaption><b>{html.escape(card.title)}</b> '
        f"<span class=cost>cost {card.cost:.2f}</span>"
        f"<div>{html.escape(card.text)}</div></figcaption>"
        "</figure>"
        for card in cards
    )
    total = int((truth.asked & ~truth.right).sum())
    return (
        f"<section id=failures><h2>Failures, the most costly first</h2>"
        f"<p class=note>{len(cards)} of {total}, a video's objects at their worst. "
        "Cost: visible share times error in diameters, at most one. "
        "<span class='key truth'>true</span> <span class='key wrong'>estimated</span></p>"
        f"<div class=cards>{figures}</div></section>"
    )


def _charts(title: str, note: str, charts: list[str]) -> str:
    plots = "".join(f"<div class=chart>{chart}</div>" for chart in charts)
    return (
        f"<section><h2>{html.escape(title)}</h2><p class=note>{html.escape(note)}</p>"
        f"<div class=charts>{plots}</div></section>"
    )
