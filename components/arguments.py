"""What a command line says: help with examples, and words that it does not know."""

from argparse import ArgumentParser, HelpFormatter, Namespace
from collections.abc import Sequence
from typing import Any, NoReturn

from components.output import check_said
from model_core.errors import UserError

EXAMPLES = "examples:\n"


def examples(*lines: str, about: str = "") -> str:
    """The end of a command's help: what is to be known of all its arguments, and lines to copy.

    Args:
        lines: ``%(prog)s`` stands for the command.
    """
    shown = EXAMPLES + "\n".join(f"  {line}" for line in lines)
    return f"{about}\n\n{shown}" if about else shown


class Parser(ArgumentParser):
    """An ``ArgumentParser`` whose errors are told as all others: short, printable, and without secrets."""

    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **{"formatter_class": _WithExamples} | options)

    def error(self, message: str) -> NoReturn:
        """End the process with code 2; what was not understood may be a URI with a password, which may hold blanks."""
        start, end = message.find("://"), message.rfind("@")
        if 0 <= start < end:
            message = f"{message[: start + 3]}…{message[end:]}"
        super().error(str(UserError(message)))

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """As of ``ArgumentParser``; help that was asked for has to be where it was sent.

        Raises:
            DiskError: it could not be written.
        """
        if not status:
            check_said()
        super().exit(status, message)


class _WithExamples(HelpFormatter):
    """Text is wrapped; examples are not, so that they can be copied."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        about, heading, lines = text.partition(EXAMPLES)
        filled = super()._fill_text(about, width, indent) if about.strip() else ""
        return "\n\n".join(filter(None, [filled, f"{heading}{lines}".rstrip()]))


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
