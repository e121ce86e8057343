"""What tests of the page share."""

import pytest

from model_core.report.evidence import Evidence, read_evidence
from tests.evaluation.small_run import small_run


@pytest.fixture(scope="session")
def evidence() -> Evidence:
    return read_evidence(**small_run())
