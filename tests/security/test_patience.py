"""No text, however it is made, keeps a message or a reader busy: each is looked through once."""

import subprocess
import sys

import pytest

SECONDS = 60
"""Far more than any of these takes, far less than it once took: hours, since the time grew with the square or worse."""
PLACES = {
    "letters": "'a' * 65_000",
    "schemes": "'a://' * 16_000",
    "schemes and colons": "'a://:' * 13_000",
    "colons": "'a://' + ':' * 65_000",
    "queries": "'''a://?\\\"''' * 13_000",
    "slashes": "'a:///' * 13_000 + '@'",
    "one long URI": "'s3://u:' + 'p' * 65_000",
}


def ends(code: str) -> None:
    """Run the code in a process of its own, which must end in time and without an error."""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=SECONDS)


@pytest.mark.slow
def test_secrets_are_looked_for_in_one_pass() -> None:
    texts = ", ".join(PLACES.values())
    ends(f"from model_core.errors import redacted\nfor text in ({texts}): redacted(text)")


@pytest.mark.slow
def test_a_header_of_endless_digits_is_looked_through_in_one_pass() -> None:
    """Whether a line is the header is told by how many of its cells are numbers."""
    cells = "['9' * 120_000 + 'x', '1,' * 60_000, ' ' * 120_000 + 'x', '-' + '.' * 120_000]"
    ends(
        f"from model_core.data.reading.files.text_tables import _is_data\nfor cell in {cells}: _is_data(['', cell])"
    )
