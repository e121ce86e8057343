"""A market table in an object store is the same table as on disk; a real S3 server, by the real client."""

import subprocess
from pathlib import Path

import pandas as pd
import pytest

from components.prepare_data import step
from model_core.artifacts import open_artifact
from model_core.data.prepare import prepare
from model_core.errors import SourceError, StoreError
from model_core.store.locate import open_store
from tests.checkpoints.test_mirror_s3 import server  # noqa: F401  a fixture
from tests.data.market import SETTINGS, saved, table

pytestmark = [pytest.mark.s3, pytest.mark.slow]


def test_tables_in_a_store_give_the_dataset_of_the_same_files_on_disk(
    server: "subprocess.Popen[bytes]",  # noqa: F811
    tmp_path: Path,
) -> None:
    """CSV and Parquet, bit for bit; what is not there or no table is one sentence."""
    csv = Path(saved(table(), tmp_path))
    parquet = tmp_path / "market.parquet"
    frame = table()
    frame.assign(Date=pd.to_datetime(frame["Date"])).to_parquet(parquet)
    broken = tmp_path / "broken.csv"
    table().drop(columns="Low").to_csv(broken, index=False)
    store = open_store("s3://mlpipeline/markets")
    for path in (csv, parquet, broken):
        store.upload(path.name, path)
    for path in (csv, parquet):
        uri = f"s3://mlpipeline/markets/{path.name}"
        step.run(source=str(path), dataset=tmp_path / "disk", settings=SETTINGS)
        step.run(source=uri, dataset=tmp_path / "store", settings=SETTINGS)
        disk, stored = (open_artifact(tmp_path / name, producer="prepare_data") for name in ("disk", "store"))
        assert stored.settings["source"] == uri
        assert stored.settings["source_sha256"] == disk.settings["source_sha256"]
        for name in ("waves.parquet", "future.parquet", "splits.json", "scaler.json"):
            assert stored.files[name] == disk.files[name]
        step.rebuild(manifest=tmp_path / "store" / "manifest.json", dataset=tmp_path / "again")
        assert open_artifact(tmp_path / "again", producer="prepare_data").files == stored.files
    with pytest.raises(StoreError) as missing:
        prepare("s3://mlpipeline/markets/nowhere.csv", SETTINGS)
    assert missing.value.key == "nowhere.csv"
    with pytest.raises(SourceError, match=r"^s3://mlpipeline/markets/broken\.csv ") as refusal:
        prepare("s3://mlpipeline/markets/broken.csv", SETTINGS)
    (problem,) = refusal.value.problems
    assert "Low" in problem.text
