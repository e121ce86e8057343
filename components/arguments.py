"""What a command line says of words that it does not know."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import NoReturn

from model_core.errors import UserError


class Parser(ArgumentParser):
    """An ``ArgumentParser`` whose errors are told as all others: short, printable, and without secrets."""

    def error(self, message: str) -> NoReturn:
        """End the process with code 2; what was not understood may be a URI with a password, which may hold blanks."""
        start, end = message.find("://"), message.rfind("@")
        if 0 <= start < end:
            message = f"{message[: start + 3]}…{message[end:]}"
        super().error(str(UserError(message)))


def parse(parser: ArgumentParser, arguments: Sequence[str] | None) -> Namespace:
    """``parser.parse_args``, with the usage of the subcommand that was meant, and a hint where quotes are missing.

    A subparser sets itself as ``parser`` in its defaults. Ends the process with code 2 as argparse does.
    """
    given, unknown = parser.parse_known_args(arguments)
    if unknown:
        words = f"unrecognized arguments: {' '.join(unknown)}"
        known = vars(given)
        known.get("parser", parser).error(words + _hint(known.get("set", []), unknown))
    return given


def _hint(settings: Sequence[str], unknown: Sequence[str]) -> str:
    """How to write a setting that the shell broke at its blanks."""
    for setting in settings:
        if any(setting.count(left) > setting.count(right) for left, right in ("{}", "[]")):
            rest = [word for word in unknown if not word.startswith("-")]
            return f" (a setting with blanks needs quotes: --set '{' '.join([setting, *rest])}')"
    return ""
