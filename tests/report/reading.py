"""A page as its reader sees the words."""

import html


def words_of(page: str) -> str:
    """The page without escapes, and with plain blanks where it keeps a number and its unit together."""
    return html.unescape(page).replace("\u00a0", " ")
