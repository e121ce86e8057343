"""What the sections of the page need that compare over time, over the distribution, and over the learned graph."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model_core.axes import TARGETS
from model_core.evaluation.significance import share_interval
from model_core.evaluation.verdict import percent
from model_core.metrics.calibration import NOMINAL
from model_core.report import bands, captions, graph_figures, regime_figures
from model_core.report import calibration_figures as figures
from model_core.report.calibration_figures import Judged
from model_core.report.drawing import Picture, picture
from model_core.report.evidence import Evidence
from model_core.report.regime_figures import LossPair
from model_core.results.record import Interval
from model_core.results.scores import MODEL
from model_core.results.tables import loss_column, price_column
from model_core.sky.bodies import BODIES

Rows = tuple[tuple[float, ...], ...]
Shown = tuple[Picture, str]
"""A figure and its caption."""
_NOT_KEPT = "This run was evaluated by earlier code, which kept no losses by window"


def held_shares(evidence: Evidence) -> NDArray[np.float64]:
    """[n] share of the days of each window with Close inside the 90 % interval of ``predictions.parquet``."""
    table = evidence.predictions.sort_values(["anchor_date", "step"])
    low, true, high = (table[price_column("Close", part)].to_numpy() for part in ("q05", "true", "q95"))
    inside = (true >= low) & (true <= high)
    return inside.reshape(evidence.scores.windows, -1).mean(axis=1)


def coverage_interval(evidence: Evidence) -> Interval:
    """Of the share of Close that the 90 % interval holds."""
    scores = evidence.scores
    return share_interval(held_shares(evidence), scores.pred_len, scores.confidence)


def judged_coverage(evidence: Evidence) -> float:
    """Share of Close that the 90 % interval of the forecasts holds."""
    return float(held_shares(evidence).mean())


def judged_distributions(evidence: Evidence) -> list[Judged]:
    """The model's if it forecasts one, and that of the best baseline."""
    calibration, losses = evidence.scores.calibration, evidence.losses
    name = calibration.best_baseline

    def kept(of: str) -> NDArray[np.float64] | None:
        column = loss_column("close_held_90", of)
        return None if losses is None or column not in losses else losses[column].to_numpy()

    found = [Judged(calibration.best.title, calibration.best.targets["Close"], kept(name))]
    if calibration.model is not None:
        found.insert(0, Judged("the model", calibration.model["Close"], held_shares(evidence)))
    return found


def calibration_section(evidence: Evidence) -> dict[str, object]:
    """Figures of the distribution of Close, each with its caption; and what could not be drawn."""
    scores = evidence.scores
    judged, horizon = judged_distributions(evidence), scores.pred_len
    first, bins = judged[0], len(judged[0].close.pit)

    def band(share: float, windows: float = scores.windows) -> bands.Band | None:
        return bands.share_band(share, windows, horizon, scores.confidence)

    pit = band(1 / bins)
    quantiles = [band(k / bins) for k in range(1, bins)]
    shown: list[Shown] = [
        (
            picture(lambda: figures.pit_figure(judged, pit)),
            captions.pit_caption(first, scores.windows, horizon, scores.confidence, pit),
        ),
        (
            picture(lambda: figures.reliability_figure(judged, quantiles)),
            captions.reliability_caption(first, quantiles),
        ),
    ]
    over_time = _coverage_over_time(evidence, judged)
    if over_time is not None:
        shown.append(over_time)
    thirds = band(NOMINAL, scores.windows / 3)
    if first.close.coverage_by_volatility:
        shown.append(
            (picture(lambda: figures.thirds_figure(judged, thirds)), captions.thirds_caption(first, thirds))
        )
    if first.close.crps_per_step:
        days = band(NOMINAL)
        shown.append(
            (picture(lambda: figures.by_day_figure(judged, days)), captions.by_day_caption(first, days))
        )
    missing = None
    if first.close.coverage_per_step is None:
        missing = f"{_NOT_KEPT}: coverage by forecast day, and the baseline's over time, are missing."
    elif over_time is None:
        missing = "The test span is too short to follow the coverage in it."
    return {"figures": shown, "missing": missing}


def _coverage_over_time(evidence: Evidence, judged: list[Judged]) -> Shown | None:
    scores = evidence.scores
    length = bands.stretch_of(scores.windows, scores.pred_len)
    known = [(one, one.held) for one in judged if one.held is not None]
    if length is None or not known:
        return None
    rolling = [(one.title, bands.rolling_mean(held, length)) for one, held in known]
    first, held = known[0]
    band = bands.block_band(held, length, scores.pred_len, NOMINAL, scores.confidence)
    anchors = _anchors(evidence)
    ends = anchors[length - 1 :]
    shares = rolling[0][1]
    low = int(np.argmin(shares))
    months = pd.Series(held).groupby(anchors.astype("datetime64[M]").astype(str)).mean()
    outside = float(np.mean((shares < band.low) | (shares > band.high)))
    told = (
        f"Inside the 90 % interval of {first.title}, {length} windows at a time: between {percent(shares.min(), 0)} "
        f"(up to the anchor {ends[low]}) and {percent(shares.max(), 0)}, {percent(shares[-1], 0)} in the last; in the "
        f"worst month, {months.idxmin()}, {percent(months.min(), 0)}."
    )
    caption = (
        f"{told} {percent(outside, 0)} of the line lies outside the band, in which a forecast that holds 90 % at all "
        f"times stays in {percent(scores.confidence, 0)} of cases, if its misses come in runs of up to "
        f"{2 * scores.pred_len} days as here."
    )
    return picture(lambda: figures.coverage_over_time_figure(ends, rolling, band, told)), caption


def _anchors(evidence: Evidence) -> NDArray[np.datetime64]:
    """[n] anchor dates in order."""
    dates = np.sort(evidence.predictions["anchor_date"].unique())
    return pd.to_datetime(pd.Series(dates)).to_numpy().astype("datetime64[D]")


def time_section(evidence: Evidence) -> dict[str, object]:
    """Skill over time and by volatility, or why there is none."""
    scores, losses = evidence.scores, evidence.losses
    if losses is None or scores.regimes is None:
        return {"figures": [], "missing": f"{_NOT_KEPT}, so skill by year and by volatility is not known."}
    calibration = scores.calibration
    wanted = [("squared_log_error", scores.best_baseline, f"point forecast against {_title(evidence)}")]
    if calibration.model is not None:
        title = f"distribution of Close against {calibration.best.title}"
        wanted.append(("close_crps", calibration.best_baseline, title))
    pairs = [
        LossPair(title, *(losses[loss_column(loss, of)].to_numpy() for of in (MODEL, name)))
        for loss, name, title in wanted
    ]
    drawable = [pair for pair in pairs if pair.bar.sum() > 0]
    shown: list[Shown] = []
    if drawable and scores.headline.outcome != "no verdict":
        anchors = _anchors(evidence)
        shown.append(
            (
                picture(
                    lambda: regime_figures.cumulative_figure(
                        anchors, drawable, scores.pred_len, scores.confidence
                    )
                ),
                captions.cumulative_caption(drawable),
            )
        )
    rows = captions.regime_rows(scores.regimes)
    columns = {"point forecast": {name: row.point for name, row in rows.items()}}
    judged = {name: row.distribution for name, row in rows.items() if row.distribution is not None}
    if judged:
        columns["distribution of Close"] = judged
    if not rows:
        parts = (*scores.regimes.by_year.values(), *scores.regimes.by_volatility.values())
        reasons = "; ".join(dict.fromkeys(part.point.reason for part in parts if part.point.reason))
        few = f"In no year and in no third of the windows can the skill be judged: {reasons}."
        return {"figures": shown, "missing": few}
    shown.append(
        (picture(lambda: regime_figures.regime_figure(columns)), captions.regimes_caption(scores.regimes))
    )
    return {"figures": shown, "missing": None}


def _rest(rows: Rows) -> bool:
    """Whether the rows leave out a part that matters."""
    return float(np.sum(rows, axis=1).mean()) < 1 - 1e-3


def _title(evidence: Evidence) -> str:
    scores = evidence.scores
    return scores.forecasts[scores.best_baseline].title


def graph_section(evidence: Evidence) -> dict[str, object] | None:
    """Pictures of what the model looked at, if a step said so."""
    said = evidence.explanation
    if said is None:
        return None
    bodies = [body.replace("_", " ") for body in said.bodies]
    node = "body" if said.bodies[0] in BODIES else "latent node"
    nodes = "bodie" if node == "body" else node
    seeds = len(evidence.training.members) or 1
    maps = (
        (
            said.adjacency,
            said.adjacency_spread,
            bodies,
            "adjacency",
            f"The learned graph: each row is a {node}, each square the share of what it hears that comes from another "
            "one, in % of the row. Blue is more than an even share, amber less.",
        ),
        (
            said.target_to_body,
            None,
            list(TARGETS),
            "attention",
            f"What Open, High, Low and Close read from each {node}: share of their attention in %, mean over days and "
            "heads" + ("; the rest goes to the prices themselves." if _rest(said.target_to_body) else "."),
        ),
    )

    def shown(values: Rows, spread: Rows | None, rows: list[str], name: str, what: str) -> Shown:
        drawn = picture(lambda: graph_figures.heat_figure(values, rows, bodies, name))
        return drawn, captions.graph_caption(values, nodes, what, seeds, spread)

    return {
        "figures": [shown(*one) for one in maps],
        "sources": sorted(said.source_weights.items(), key=lambda pair: -pair[1]),
        "windows": said.windows,
    }
