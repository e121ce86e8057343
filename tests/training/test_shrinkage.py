"""How much of a model is kept: planted truths that must be found, and shares that every later step reads."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from components.train.job import Job
from components.train.step import run as train
from model_core.artifacts import read_json, write_json, write_manifest
from model_core.checkpoints.files import export_checkpoint
from model_core.checkpoints.loading import load_model
from model_core.data.dataset import PRODUCER, MarketDataset
from model_core.data.windows import WindowSet
from model_core.errors import ArtifactError, CheckpointError
from model_core.evaluation.predict import evaluate_model
from model_core.nn.bundles import Forecast, Mixture
from model_core.nn.shrinkage import ShrunkModel, shrunk
from model_core.results.findings import Findings
from model_core.results.record import read_result
from model_core.results.scores import Scores
from model_core.results.shrinkage import Shrinkage
from model_core.results.training import TrainResults
from model_core.training.shrinkage import Validated, fit_shrinkage, in_words
from tests.checkpoints.fakes import renew_manifest
from tests.data.market import noise_dataset
from tests.evaluation.small_run import steps_after_training
from tests.training.prepared import MODEL, TRAINING

COUNT, HORIZON = 400, 5


def candles(random: np.random.Generator, size: float = 1.0) -> Tensor:
    """[n, P, 4] valid candles about random paths of Close."""
    close = size * random.standard_normal((COUNT, HORIZON))
    spans = random.uniform(0.5, 1.5, (3, COUNT, HORIZON))
    opened = close + 0.2 * (spans[0] - 1)
    high, low = np.maximum(opened, close) + spans[1], np.minimum(opened, close) - spans[2]
    return torch.from_numpy(np.stack([opened, high, low, close], axis=-1))


def planted(close: float, candle: float, noise: float = 0.3) -> Validated:
    """Truth that lies ``close`` and ``candle`` of the way from base to model, and moves about it."""
    random = np.random.default_rng(5)
    model, base = candles(random), torch.zeros(COUNT, HORIZON, 4).double()
    base[..., 1], base[..., 2] = 0.4, -0.4
    about = base - base[..., 3:], model - model[..., 3:]
    middle = base[..., 3:] + close * (model - base)[..., 3:] + about[0] + candle * (about[1] - about[0])
    truth = middle + noise * torch.from_numpy(random.standard_normal((COUNT, HORIZON, 1)))
    return Validated(Forecast(point=model), Forecast(point=base), truth)


@pytest.mark.parametrize(("close", "candle"), [(0.0, 0.0), (1.0, 1.0), (0.5, 0.0), (0.2, 0.9)])
def test_the_share_of_the_truth_that_a_model_holds_is_found(close: float, candle: float) -> None:
    found = fit_shrinkage([planted(close, candle)])
    assert found.close.share == pytest.approx(close, abs=0.101)
    assert found.candle.share == pytest.approx(candle, abs=0.101)
    assert (found.close_width, found.candle_width, found.reason) == (None, None, None)
    for part in (found.close, found.candle):
        assert part.base_loss == 1
        assert part.kept_loss is not None
        assert part.kept_loss <= 1


def test_nothing_is_kept_of_a_model_that_adds_noise_to_its_base() -> None:
    found = fit_shrinkage([planted(0.0, 0.0)])
    assert found.close.share == found.candle.share == 0
    assert found.close.model_loss is not None
    assert found.close.model_loss > 1
    assert in_words(found) == "kept: 0% of what was learned of Close and 0% of the candle"


def widths(learned: tuple[float, float], true: tuple[float, float]) -> Validated:
    """A base of deviation 1, a model with ``learned`` ones of the candle and of Close, and truth with ``true`` ones."""
    random = np.random.default_rng(2)
    shape = (COUNT, HORIZON, 2, 4)

    def of(deviations: tuple[float, float]) -> Tensor:
        return torch.tensor([deviations[0]] * 3 + [deviations[1]]).double()

    def mixture(deviations: tuple[float, float]) -> Forecast:
        mean = torch.zeros(shape).double()
        return Forecast(mean.mean(2), Mixture(mean[..., 0], mean, of(deviations).log().expand(shape)))

    truth = of(true) * torch.from_numpy(random.standard_normal((COUNT, HORIZON, 4)))
    return Validated(mixture(learned), mixture((1.0, 1.0)), truth)


@pytest.mark.parametrize(
    ("learned", "true", "close", "candle"),
    [
        ((3.0, 3.0), (1.0, 1.0), (0, 0), (0, 0)),
        ((2.0, 2.0), (2.0, 2.0), (0.7, 1), (0, 0)),  # in units of Close the others are as wide as the base's
        ((0.3, 0.3), (0.3, 0.3), (0.8, 1), (0, 0)),
        ((2.0, 1.0), (2.0, 1.0), (0, 0), (0.7, 1)),
        ((2.0, 4.0), (1.0, 4.0), (0.7, 1), (0.7, 1)),
    ],
)
def test_widths_are_kept_as_far_as_they_are_those_of_the_truth(
    learned: tuple[float, float],
    true: tuple[float, float],
    close: tuple[float, float],
    candle: tuple[float, float],
) -> None:
    found = fit_shrinkage([widths(learned, true)])
    assert found.close_width is not None
    assert found.candle_width is not None
    assert close[0] <= found.close_width.share <= close[1]
    assert candle[0] <= found.candle_width.share <= candle[1]
    assert found.close.share == 0


def test_too_short_a_span_speaks_for_nothing_and_says_so() -> None:
    whole = planted(1.0, 1.0)
    short = Validated(Forecast(whole.forecast.point[:39]), Forecast(whole.base.point[:39]), whole.target[:39])
    found = fit_shrinkage([short])
    assert found.shares.means_are_the_base
    assert found.blocks == 0
    assert found.reason is not None
    assert found.reason.startswith("the 39 validation windows do not make 8 blocks of 5 days")
    assert found.reason in in_words(found)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All five steps of a run whose mixture head is shrunk."""
    root = tmp_path_factory.mktemp("run")
    found = {name: root / name for name in ("dataset", "model", "evaluation", "findings")}
    found["dataset"].mkdir()
    noise_dataset().write(found["dataset"])
    write_manifest(found["dataset"], producer=PRODUCER, settings={"data": {}})
    more = {"shrinkage": True, "train_window_stride": 2, "tensorboard": False}
    train(
        Job(
            dataset=found["dataset"],
            model=found["model"],
            model_settings=MODEL.model_copy(update={"use_mixture_decoder": True}),
            training_settings=TRAINING.model_copy(update=more),
        )
    )
    return steps_after_training(found, root, "shrunk")


def test_every_step_forecasts_with_the_shares_beside_the_best_checkpoint(folders: dict[str, Path]) -> None:
    loaded = load_model(folders["model"] / "best")
    assert isinstance(loaded.model, ShrunkModel)
    assert loaded.shrinkage == read_result(TrainResults, folders["model"]).shrinkage
    windows = WindowSet(MarketDataset.open(folders["dataset"]), "test")
    predictions = evaluate_model(loaded.model, windows, 64)
    scores = read_result(Scores, folders["evaluation"])
    assert predictions.unshrunk is not None
    error = np.square(predictions.forecast - predictions.true).mean()
    assert scores.forecasts["model"].metrics.log.overall.mse == pytest.approx(error, rel=1e-6)
    whole = np.square(predictions.unshrunk.forecast - predictions.true).mean()
    assert scores.unshrunk is not None
    bar = scores.forecasts[scores.best_baseline].metrics.log.overall.mse
    assert scores.unshrunk.skill.skill == pytest.approx(1 - whole / bar, rel=1e-6)
    assert scores.unshrunk.gain.skill == pytest.approx(1 - error / whole, rel=1e-4, abs=1e-7)
    assert scores.unshrunk.close_crps is not None
    assert load_model(folders["model"] / "last").shrinkage is None


def test_findings_are_of_the_shrunk_model_and_its_invariants_hold(folders: dict[str, Path]) -> None:
    findings = read_result(Findings, folders["findings"])
    assert all(invariant.passed for invariant in findings.invariants)
    shares = read_result(Shrinkage, folders["model"] / "best").shares
    assert findings.reads is not None
    assert findings.reads.past_sky == (not shares.means_are_the_base)


def test_the_page_shows_what_is_kept_and_the_score_with_and_without(folders: dict[str, Path]) -> None:
    page = folders["report"].read_text(encoding="utf-8")
    assert "What forecasts keep of what was learned" in page
    assert "point forecast against the best baseline: with shrinkage" in page


def test_shares_are_sealed_with_the_checkpoint(folders: dict[str, Path], tmp_path: Path) -> None:
    export_checkpoint(
        folders["model"] / "last", tmp_path / "c", read_result(Shrinkage, folders["model"] / "best")
    )
    assert load_model(tmp_path / "c").shrinkage is not None
    content = read_json(tmp_path / "c" / Shrinkage.file)
    assert isinstance(content, dict)
    write_json(tmp_path / "c" / Shrinkage.file, content | {"blocks": 9})
    with pytest.raises(CheckpointError, match=r"shrinkage\.json is damaged or missing"):
        load_model(tmp_path / "c")
    write_json(tmp_path / "c" / Shrinkage.file, content | {"close": {"share": 7}})
    renew_manifest(tmp_path / "c")
    with pytest.raises(ArtifactError, match="run the train step again"):
        load_model(tmp_path / "c")


def test_a_file_of_shares_that_no_manifest_names_is_not_read(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    export_checkpoint(folders["model"] / "last", tmp_path / "c")
    (tmp_path / "c" / Shrinkage.file).write_text("{}")
    assert load_model(tmp_path / "c").shrinkage is None


def test_what_is_fitted_is_what_is_applied(folders: dict[str, Path]) -> None:
    """The loss that ``shrinkage.json`` quotes is that of the loaded model's own forecasts, to the digits of fp32."""
    loaded = load_model(folders["model"] / "best")
    assert loaded.shrinkage is not None
    windows = WindowSet(MarketDataset.open(folders["dataset"]), "validation")
    batch = windows.batch(torch.arange(len(windows)))
    with torch.no_grad():
        found, base = loaded.model(batch), loaded.model.at_rest(batch)
    assert found.unshrunk is not None
    again = shrunk(found.unshrunk, base, loaded.shrinkage.shares)
    assert torch.equal(again.point, found.point)
    losses = [(f.point - batch.target)[..., 3].square().mean(1).double().numpy() for f in (found, base)]
    blocks = [np.array([part.mean() for part in np.array_split(loss, 8)]) for loss in losses]
    assert loaded.shrinkage.close.kept_loss == pytest.approx((blocks[0] / blocks[1]).mean(), rel=1e-4)
