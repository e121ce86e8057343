"""Settings files answer for every key, and the ready-made ones say what they claim."""

import math
from pathlib import Path

import pytest
import yaml

from model_core.config.data import DataSettings, RollingSplit, TailSplit
from model_core.config.load import load_settings, validated
from model_core.config.mistakes import names
from model_core.config.run import Settings
from model_core.errors import SettingsError

CONFIGS = Path(__file__).parents[2] / "configs"
STANDARD = CONFIGS / "celestial_enhanced_pgat.yaml"
SETTINGS_FILES = sorted(path for path in CONFIGS.rglob("*.yaml") if path.parent.name != "profiles")
"""Those of a run; profiles say what pods ask for."""


def _file(folder: Path, text: str, name: str = "settings.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def _leaves(tree: dict[str, object], prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            found |= _leaves(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def test_the_standard_file_holds_every_default_and_misses_none() -> None:
    written = _leaves(yaml.safe_load(STANDARD.read_text(encoding="utf-8")))
    assert load_settings(STANDARD) == Settings()
    assert written.keys() == _leaves(Settings().model_dump()).keys()


def test_every_line_of_the_standard_file_is_a_setting_stated_once() -> None:
    keys = [key for key, _ in _pairs(yaml.compose(STANDARD.read_text(encoding="utf-8")))]
    assert len(keys) == len(set(keys))


def _pairs(node: yaml.Node | None, prefix: str = "") -> list[tuple[str, yaml.Node]]:
    found = []
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            found += [(f"{prefix}{key.value}", value), *_pairs(value, f"{prefix}{key.value}.")]
    return found


@pytest.mark.parametrize("path", SETTINGS_FILES, ids=lambda p: p.stem)
def test_every_ready_made_file_is_valid(path: Path) -> None:
    assert isinstance(load_settings(path), Settings)


def test_the_production_file_holds_the_published_values() -> None:
    settings = load_settings(CONFIGS / "celestial_enhanced_pgat_production.yaml")
    model, training, window = settings.model, settings.training, settings.data.window
    assert (window.seq_len, window.label_len, window.pred_len) == (250, 125, 10)
    assert (model.d_model, model.width) == (130, 208)
    assert (model.n_heads, model.e_layers, model.d_layers, model.d_ff, model.dropout) == (8, 4, 2, 512, 0.1)
    assert (model.celestial_dim, model.celestial_fusion_layers, model.num_input_waves) == (32, 4, 118)
    assert model.target_wave_indices == (0, 1, 2, 3)
    assert model.use_celestial_graph
    assert model.aggregate_waves_to_celestial
    assert model.use_efficient_covariate_interaction
    assert not any((model.use_mixture_decoder, model.use_stochastic_learner, model.use_hierarchical_mapping))
    assert (training.train_epochs, training.batch_size, training.learning_rate) == (50, 16, 1e-3)
    assert (training.lradj, training.warmup_epochs, training.min_lr) == ("warmup_cosine", 5, 1e-6)
    assert (training.weight_decay, training.clip_grad_norm, training.gradient_accumulation_steps) == (
        1e-4,
        1.0,
        2,
    )
    assert (training.patience, training.checkpoint_interval, training.memory_log_interval) == (999, 5, 25)
    assert training.mixed_precision
    assert training.seed == 2024
    diagnostics = settings.diagnostics
    assert (diagnostics.noise_std, diagnostics.scale_factor, diagnostics.dropout_ratio) == (0.05, 0.25, 0.1)


def test_the_memory_optimized_run_trains_the_production_model_on_the_same_effective_batch() -> None:
    production = load_settings(CONFIGS / "celestial_enhanced_pgat_production.yaml")
    small = load_settings(CONFIGS / "celestial_enhanced_pgat_memory_optimized.yaml")
    assert small.model.model_copy(update={"gradient_checkpointing": False}) == production.model
    windows = [s.training.batch_size * s.training.gradient_accumulation_steps for s in (production, small)]
    assert windows[0] == windows[1]


def test_no_file_means_the_defaults() -> None:
    assert load_settings(None) == Settings()


def test_a_file_states_only_what_differs_from_the_one_it_extends(tmp_path: Path) -> None:
    _file(tmp_path, "training: {train_epochs: 7, seed: 1}", "base.yaml")
    path = _file(tmp_path, "extends: base.yaml\ntraining: {seed: 2}")
    training = load_settings(path).training
    assert (training.train_epochs, training.seed) == (7, 2)


def test_files_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    _file(tmp_path, "extends: b.yaml", "a.yaml")
    _file(tmp_path, "extends: a.yaml", "b.yaml")
    with pytest.raises(SettingsError, match=r"in a circle: a\.yaml → b\.yaml → a\.yaml"):
        load_settings(tmp_path / "a.yaml")


def test_an_override_wins_over_the_file_and_keeps_its_type() -> None:
    settings = load_settings(
        STANDARD,
        [
            "training.learning_rate=1e-4",
            "model.use_mixture_decoder=true",
            "model.encoding.kernel_sizes=[1, 9]",
        ],
    )
    assert math.isclose(settings.training.learning_rate, 1e-4)
    assert settings.model.use_mixture_decoder
    assert settings.model.encoding.kernel_sizes == (1, 9)


def test_an_override_may_hold_an_equals_sign_and_null() -> None:
    settings = load_settings(None, ["report.title=a=b", "training.clip_grad_norm=null"])
    assert settings.report.title == "a=b"
    assert settings.training.clip_grad_norm is None


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("date_format", "%d-%m-%Y", "%d-%m-%Y"),
        ("date_format", '"%d-%m-%Y"', "%d-%m-%Y"),
        ("date_format", "null", None),
        ("format.decimal", ",", ","),
        ("format.thousands", " ", " "),
        ("format.thousands", "'", "'"),
        ("format.delimiter", "|", "|"),
        ("format.delimiter", ";", ";"),
        ("format.delimiter", "\\t", "\t"),
        ("format.delimiter", "tab", "\t"),
        ("format.header", "none", "none"),
        ("format.header", "3", 3),
        ("columns.Close", "%close", "%close"),
    ],
)
def test_text_is_taken_as_it_is_typed(name: str, typed: str, value: object) -> None:
    found: object = load_settings(None, [f"data.{name}={typed}"]).data
    for part in name.split("."):
        found = found[part] if isinstance(found, dict) else getattr(found, part)
    assert found == value


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["data.format.decimal=;"], "data.format.decimal"),
        (["data.format.decimal=,", "data.format.thousands=,"], "data.format"),
        (["data.format.encoding=latin1000"], "data.format.encoding"),
        (["data.format.header=0"], "data.format.header"),
    ],
)
def test_a_format_that_cannot_be_is_refused(overrides: list[str], key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(None, overrides)
    assert caught.value.keys == (key,)


def test_ten_of_many_wrong_settings_are_told_and_all_are_listed() -> None:
    with pytest.raises(SettingsError, match=r"; and 290 more$") as caught:
        validated(DataSettings, {f"x{i}": 1 for i in range(300)}, "data")
    assert caught.value.keys == tuple(f"data.x{i}" for i in range(300))
    assert len(caught.value.details) == 300
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("reverse", [False, True])
def test_another_kind_of_split_replaces_the_section_in_any_order_of_overrides(reverse: bool) -> None:
    overrides = ["data.splits.kind=tail", "data.splits.test=40", "data.splits.validation=30"]
    settings = load_settings(STANDARD, overrides[::-1] if reverse else overrides)
    assert settings.data.splits == TailSplit(kind="tail", validation=30, test=40)


def test_another_kind_of_a_part_keeps_the_settings_that_both_share(tmp_path: Path) -> None:
    path = _file(tmp_path, "model: {combiner: {edge_dim: 8}}")
    combiner = load_settings(path, ["model.combiner.kind=gated"]).model.combiner
    assert (combiner.kind, combiner.edge_dim) == ("gated", 8)


def test_one_setting_of_a_split_changes_without_naming_its_kind_again(tmp_path: Path) -> None:
    path = _file(tmp_path, "data: {splits: {kind: rolling, folds: 3}}")
    splits = load_settings(path, ["data.splits.fold=2"]).data.splits
    assert splits == RollingSplit(kind="rolling", folds=3, fold=2)


@pytest.mark.parametrize(
    ("override", "key", "advice"),
    [
        ("model.d_modle=3", "model.d_modle", "is not a setting; did you mean model.d_model?"),
        ("model.drop_out=0.2", "model.drop_out", "is not a setting; did you mean model.dropout?"),
        ("trainig.seed=1", "trainig", "is not a setting; did you mean training?"),
        ("learning_rate=1", "learning_rate", "is not a setting; did you mean training.learning_rate?"),
        ("data.window.seq_length=9", "data.window.seq_length", "did you mean data.window.seq_len?"),
        ("data.splits={kind: tail, tset: 5}", "data.splits.tset", "did you mean data.splits.test?"),
        (
            "evaluation.seed=1",
            "evaluation.seed",
            "is not a setting; it belonged to an earlier version; delete it, since intervals have a closed form now",
        ),
        ("data.splits.kind=tial", "data.splits", "choose one of 'ratio', 'tail', 'dates', 'rolling'"),
        ("data.splits={train: 0.5}", "data.splits", "kind is missing"),
        ("training.train_epochs=many", "training.train_epochs", "input should be a valid integer"),
        ("model.dropout=1.5", "model.dropout", "is 1.5; input should be less than 1"),
        ("training.learning_rate=.nan", "training.learning_rate", "input should be a finite number"),
        ("data.window.label_len=999", "data.window", "label_len 999 is longer than seq_len 250"),
        ("data.splits={kind: rolling, fold: 9}", "data.splits", "fold 9 does not exist"),
        ("model.kind=other", "model.kind", "input should be 'celestial_enhanced_pgat' or 'enhanced_pgat'"),
    ],
)
def test_a_wrong_setting_is_named_in_one_sentence_with_what_to_do(
    override: str, key: str, advice: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(None, [override])
    assert caught.value.keys == (key,)
    text = str(caught.value)
    assert text.startswith(key)
    assert advice in text
    assert "\n" not in text


def test_two_mistakes_are_both_named() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(None, ["training.sede=1", "model.dropuot=0"])
    assert caught.value.keys == ("model.dropuot", "training.sede")
    assert all(key in str(caught.value) for key in caught.value.keys)


@pytest.mark.parametrize("override", ["seed", "=3", "training..seed=1", "training.seed=[1"])
def test_an_override_that_is_no_assignment_is_refused(override: str) -> None:
    with pytest.raises(SettingsError, match="--set"):
        load_settings(None, [override])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training:\n  seed: [1\n", "not valid YAML \\(line 3"),
        ("- 1\n- 2\n", "must hold a mapping"),
        ("extends: [a]\n", "extends is"),
        ("extends: nowhere.yaml\n", "nowhere.yaml does not exist"),
    ],
)
def test_a_broken_file_is_named_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(_file(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist; configs/ holds"):
        load_settings(tmp_path / "nothing.yaml")


def test_a_folder_is_no_settings_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path)


def test_a_steps_own_section_is_checked_under_its_full_name() -> None:
    with pytest.raises(SettingsError, match=r"data\.windwo is not a setting; did you mean data\.window"):
        validated(DataSettings, {"windwo": {}}, "data")


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    assert load_settings(_file(tmp_path, "")) == Settings()


def test_every_name_is_listed_for_the_hints() -> None:
    listed = names(Settings)
    assert "model.graph.stochastic.rank" in listed
    assert "data.splits.test_start" in listed
