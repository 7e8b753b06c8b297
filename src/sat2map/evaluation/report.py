"""The report of an evaluation: one HTML file that leads with pictures and says how every number was measured."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from sat2map import storage
from sat2map.data.pairs import PairedSet
from sat2map.evaluation import charts, page, pictures
from sat2map.evaluation.figures import FIGURES, describe, flat, show, table
from sat2map.evaluation.metrics import PairScore
from sat2map.evaluation.protocol import PROTOCOLS, load
from sat2map.evaluation.realism import FLAGGED_BELOW
from sat2map.evaluation.result import Result
from sat2map.evaluation.systems import System
from sat2map.evaluation.uncertainty import interval
from sat2map.palette import CLASS_NAMES


def write_report(
    path: Path,
    result: Result,
    system: System,
    pairs: PairedSet,
    *,
    beside: Sequence[Result] = (),
    overwrite: bool = False,
) -> None:
    """Write the report of `result`; `system` paints the pictures shown, again, from `pairs`.

    `beside` are results of other subjects on the same pictures, for the table. Raises OutputExists.
    """
    storage.write_text(path, render(result, system, pairs, beside), overwrite=overwrite)


def render(result: Result, system: System, pairs: PairedSet, beside: Sequence[Result] = ()) -> str:
    """The report as HTML; at most a dozen pairs are shown, so that it stays far below 8 MB."""
    painter = _Painter(result, system, pairs)
    direction = "satellite → map" if result.direction == "sat2map" else "map → satellite"
    body = [
        f"<h1>{escape(result.scores.subject.label)} on {escape(result.data)}</h1>",
        page.chips([direction, result.protocol, f"split {result.split}", f"n = {result.n}", result.created[:10]]),
        *(painter.strip(title, score) for title, score in chosen(result)),
        page.legend(pictures.CLASS_COLOURS) if result.direction == "sat2map" else "",
        _headline(result),
        *(f'<p class="warn">{escape(note)}</p>' for note in result.notes),
        page.section(
            "Figures",
            page.figures_table(table([result, *beside])),
            page.paragraph("↑ higher is better, ↓ lower is better; the best of each column is marked, also where a "
                           "baseline has it. RGB figures flatter: a blank picture does well by them."),
        ),
        *_classes(result),
        *_worst_by_class(result, painter),
        *_believing(result),
        _how(result),
    ]  # fmt: skip
    return page.page(
        f"{result.scores.subject.label} · {result.protocol} · n = {result.n}", filter(None, body)
    )


def rank(score: PairScore) -> float:
    """By what single images are ordered, best highest: mean IoU for maps, SSIM for satellite pictures."""
    return score.miou() if score.confusion else score.figures["ssim"]


def chosen(result: Result) -> list[tuple[str, PairScore]]:
    """Best, median and worst image; fewer when there are fewer."""
    ordered = sorted(result.scores.images, key=rank, reverse=True)
    places = {"Best": 0, "Median": len(ordered) // 2, "Worst": len(ordered) - 1}
    found: dict[int, str] = {}
    for title, place in places.items():
        found.setdefault(place, title)
    return [(title, ordered[place]) for place, title in found.items()]


class _Painter:
    """Makes the strip of a pair: input, output, truth, error."""

    def __init__(self, result: Result, system: System, pairs: PairedSet) -> None:
        self._protocol = PROTOCOLS[result.protocol]
        self._maps = result.direction == "sat2map"
        self._system = system
        self._pairs = {pair.name: pair for pair in pairs.of(result.split)}

    def strip(self, title: str, score: PairScore) -> str:
        source, target = load(self._pairs[score.name], self._protocol)
        output = self._system(score.name, source).colour
        errors = pictures.class_errors if self._maps else pictures.level_errors
        panels = [
            page.Panel("input", pictures.photo(source)),
            page.Panel("output", pictures.picture(output)),
            page.Panel("truth", pictures.picture(target)),
            page.Panel(
                "missed: colour of the true class" if self._maps else "error in levels",
                pictures.drawing(errors(target, output)),
            ),
        ]
        return page.strip(title, f"{score.name} · {_remark(score)}", panels)


def _remark(score: PairScore) -> str:
    keys = ("psnr", "ssim")
    rgb = " · ".join(f"{FIGURES[key].title} {show(key, score.figures[key])}" for key in keys)
    return f"mIoU {score.miou():.3f} · {rgb}" if score.confusion else rgb


def _headline(result: Result) -> str:
    found = flat(result.scores, result)
    distances = result.realism.figures if result.realism else {}
    wanted = ("miou6", "road_f1_3px", "cycle.miou6", "cycle.road_f1_3px", *distances, "ssim")
    cards = []
    for key in [key for key in wanted if key in found][:4]:
        remark = "n = " + str(result.n)
        if key in ("miou6", "road_f1_3px", "ssim"):
            low, high = interval(result.scores.images, key)
            remark = f"95 %: {show(key, low)} to {show(key, high)}"
        cards.append((describe(key).title, show(key, found[key]), remark))
    return page.heads(cards)


def _classes(result: Result) -> Iterator[str]:
    if not result.scores.iou:
        return
    baselines = {scores.subject.label: scores.iou for scores in result.baselines}
    per_image = [score.miou() for score in result.scores.images]
    yield page.section(
        "Classes",
        '<div class="two"><div>',
        page.paragraph("Intersection over union of each class; the tick is the best baseline."),
        charts.bars(result.scores.iou, baselines, pictures.CLASS_COLOURS),
        "</div><div>",
        page.paragraph("Percent of each true class by what was predicted."),
        page.matrix_table(CLASS_NAMES, result.scores.confusion),
        "</div></div>",
    )
    mean = sum(per_image) / len(per_image)
    yield page.section(
        "Images",
        page.paragraph(f"Mean IoU of each image over the classes it has; their mean is {mean:.3f}. This orders the "
                       "pictures above; the headline is computed from one matrix over all images."),
        charts.dots(per_image, mean, "mean IoU of each image"),
    )  # fmt: skip


def _worst_by_class(result: Result, painter: _Painter) -> Iterator[str]:
    """The image with the most wrong pixels of each class; once, if it is that of several classes."""
    if not result.scores.confusion:
        return
    titles: dict[str, list[str]] = {}
    worst: dict[str, PairScore] = {}
    for index, name in enumerate(CLASS_NAMES):
        score = max(result.scores.images, key=lambda image: image.wrong(index))
        if score.wrong(index):
            worst[score.name] = score
            iou = score.iou()[index] or 0.0
            titles.setdefault(score.name, []).append(
                f"{name} ({score.wrong(index):,} px wrong, IoU {iou:.2f})"
            )
    if not worst:
        return
    strips = [painter.strip(", ".join(titles[n]).capitalize(), score) for n, score in worst.items()]
    yield page.section(
        "Where each class goes wrong",
        page.paragraph(
            "For each class the image with the most pixels that have it in one of the two maps only."
        ),
        page.legend(pictures.CLASS_COLOURS),
        *strips,
    )


def _believing(result: Result) -> Iterator[str]:
    if result.calibration:
        error = result.calibration.expected_error
        yield page.section(
            "Confidence",
            page.paragraph(f"Expected calibration error {100 * error:.1f} percentage points over "
                           f"{result.calibration.pixels:,} pixels; right means the class of the truth. "
                           "On the dashed line a confidence is right as often as it says."),
            charts.reliability(result.calibration.bins),
        )  # fmt: skip
    if result.realism:
        realism = result.realism
        few = f" Fewer than {FLAGGED_BELOW:,}: comparable only with the same n." if realism.few else ""
        yield page.section(
            "Realism",
            page.paragraph(f"Distance of the features of outputs and truths, n = {realism.n}.{few} "
                           f"Features: {realism.features}, SHA-256 {realism.checksum}."),
            page.facts((describe(key).meaning, f"{key} = {show(key, v)}") for key, v in realism.figures.items()),
        )  # fmt: skip


def _how(result: Result) -> str:
    subject = result.scores.subject
    protocol = PROTOCOLS[result.protocol]
    size = (
        f"reduced to {protocol.reduced}×{protocol.reduced} (bicubic)" if protocol.reduced else "native size"
    )
    return page.section(
        "How this was measured",
        page.facts(
            [
                (subject.kind, f"{subject.label}, SHA-256 {subject.checksum or 'not known'}"),
                ("protocol", f"{result.protocol}: {size}"),
                ("data", f"{result.data}, split {result.split}, n = {result.n}"),
                ("versions", ", ".join(f"{name} {version}" for name, version in result.versions.items())),
                ("measured", f"{result.created}, {result.seconds:g} s"),
                ("command", result.command or "called as a library"),
                *(
                    (FIGURES[key].title, FIGURES[key].meaning)
                    for key in FIGURES
                    if key in flat(result.scores, result)
                ),
            ]
        ),
    )
