"""The wave table of docs/data.md is the one that ``model_core.sky.waves`` makes."""

from pathlib import Path

import pytest

from model_core.errors import UserError
from model_core.sky.waves import BEGIN, END, wave_table, with_wave_table

PAGE = Path(__file__).parents[2] / "docs" / "data.md"


def test_the_documented_wave_table_is_fresh() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_wave_table(page), "run `python -m model_core.sky.waves docs/data.md`"


def test_only_the_text_between_the_markers_is_replaced() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    fresh = with_wave_table(page)
    assert fresh == f"before\n{BEGIN}\n\n{wave_table()}\n\n{END}\nafter\n"
    assert with_wave_table(fresh) == fresh


@pytest.mark.parametrize("page", ["no markers", f"{BEGIN} only", f"{END} before {BEGIN}"])
def test_a_page_without_a_place_for_the_table_is_refused(page: str) -> None:
    with pytest.raises(UserError, match="no place for the wave table"):
        with_wave_table(page)
