"""What stands above everything else: the run, and the numbers that are looked at first."""

from model_core.data.splits import independent_windows
from model_core.evaluation.verdict import percent, signed
from model_core.progress import duration
from model_core.report import phrases, sections
from model_core.report.evidence import Evidence
from model_core.report.figures import SplitSpan
from model_core.results.record import Interval
from model_core.results.scores import MODEL, IntervalKind
from model_core.results.skill import Comparison
from model_core.results.training import TrainResults
from model_core.store.names import published_name


def tiles_of(evidence: Evidence) -> list[dict[str, str]]:
    """The numbers that are looked at first."""
    scores, calibration = evidence.scores, evidence.scores.calibration
    close = calibration.headline
    interval = sections.coverage_interval(evidence)
    coverage = sections.judged_coverage(evidence)
    tiles = [
        _skill_tile(
            "Skill of the point forecast",
            scores.headline,
            "squared log error",
            scores.forecasts[scores.best_baseline].title,
        ),
    ]
    if close is not None:
        tiles.append(_skill_tile("Skill of the distribution", close, "CRPS of Close", calibration.best.title))
    tiles.append(_coverage_tile(coverage, interval, scores.interval_coverage.kind))
    price = scores.forecasts[MODEL].metrics.price.overall
    independent = f"{independent_windows(scores.windows, scores.pred_len):,.0f}"
    return [
        *tiles,
        {
            "title": "Mean absolute error",
            "value": phrases.number(price.mae),
            "interval": "",
            "note": f"in price; {percent(price.mape, 2)} of it",
        },
        {
            "title": "Test windows",
            "value": f"{scores.windows:,}",
            "interval": "",
            "note": f"about {independent} independent ones of {scores.pred_len} days",
        },
    ]


def facts_of(evidence: Evidence) -> dict[str, str]:
    """What was run, when, and how long: by what it is called."""
    scores, training = evidence.scores, evidence.training
    spans = {name: split_span(evidence, name) for name in ("train", "validation", "test")}
    seeds: list[int | None] = [member.seed for member in training.members] or [training.seed]
    facts = {"Market": published_name(evidence.dataset.quality.source.uri)}
    facts |= {
        name.capitalize(): f"{span.first_target_date} … {span.last_target_date}"
        for name, span in spans.items()
    }
    return facts | {
        "Bars": f"{scores.forecasts[scores.best_baseline].title}; {scores.calibration.best.title}",
        "Seed" if len(seeds) == 1 else "Seeds": ", ".join("not kept" if s is None else str(s) for s in seeds),
        "Training": f"{duration(training_seconds(training))} on {training.device}, {scores.checkpoint.in_words}",
        "Made": evidence.manifests["diagnose"].created_at[:10],
    }


def training_seconds(training: TrainResults) -> float:
    """How long training took: the whole step, or the epochs of all attempts where earlier ones did more."""
    return max(training.seconds, training.seconds_of_all_attempts or 0.0)


def trained_on(evidence: Evidence) -> str:
    """How many of the train windows were used: ``575 of 3,448 windows, every 6th``."""
    used, there = evidence.training.train_windows, split_span(evidence, "train").windows
    if used >= there:
        return f"{used:,} windows"
    every = round(there / used)
    ending = "th" if every % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(every % 10, "th")
    return f"{used:,} of {there:,} windows, every {every}{ending}"


def outside_range(evidence: Evidence) -> str:
    """How much of the sky is unlike anything that the model was trained on."""
    outside = evidence.dataset.quality.out_of_train_range
    if not outside:
        return ""
    wholly = sum(wave.share_outside == 1 for wave in outside)
    return (
        f"{len(outside)} of {len(evidence.dataset.specs)} waves leave their train range in the test span, {wholly} of "
        "them in every row: there the model extrapolates."
    )


def _skill_tile(title: str, row: Comparison, loss: str, bar: str) -> dict[str, str]:
    """A skill with its interval, as a tile."""
    value = "–" if row.skill is None else signed(row.skill)
    interval = "no interval"
    if row.low is not None and row.high is not None:
        interval = f"{signed(row.low)} … {signed(row.high)}"
    return {"title": title, "value": value, "interval": interval, "note": f"{loss}, against {bar}"}


def _coverage_tile(share: float, interval: Interval, kind: IntervalKind) -> dict[str, str]:
    """How much of Close the 90 % interval holds, as a tile."""
    ends = "no interval"
    if interval.low is not None and interval.high is not None:
        ends = f"{percent(interval.low)} … {percent(interval.high)}"
    source = "of the forecast distribution" if kind == "mixture" else "from validation errors"
    return {
        "title": "90 % interval of Close holds",
        "value": percent(share),
        "interval": ends,
        "note": f"of the days; {source}",
    }


def split_span(evidence: Evidence, name: str) -> SplitSpan:
    """The windows of a split and the days that they forecast."""
    dataset = evidence.dataset
    span = dataset.span(name)
    return SplitSpan(
        windows=span.stop - span.first,
        first_target_date=str(dataset.dates[span.first + 1]),
        last_target_date=str(dataset.dates[span.stop - 1 + dataset.window.pred_len]),
    )
