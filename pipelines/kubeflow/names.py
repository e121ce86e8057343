"""Names that Kubernetes and Kubeflow Pipelines take, checked before anything is sent."""

import re

from model_core.errors import UserError, printable, quoted

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SUBDOMAIN_CHARACTERS = 253
_TITLE_CHARACTERS = 128
"""Of what Kubeflow Pipelines shows people, such as an experiment's name; its database has no room for more."""


def refuse_bad_label(name: str, flag: str) -> None:
    """A namespace, for example.

    Raises:
        UserError: Kubernetes would not take it.
    """
    if not _LABEL.fullmatch(name):
        raise UserError(
            f"{flag} {quoted(name)} is not a Kubernetes name; use up to 63 small letters, digits and dashes, a letter "
            "or digit first and last"
        )


def refuse_bad_subdomain(name: str, flag: str) -> None:
    """A Secret or a ServiceAccount, for example.

    Raises:
        UserError: Kubernetes would not take it.
    """
    if len(name) > _SUBDOMAIN_CHARACTERS or not all(map(_LABEL.fullmatch, name.split("."))):
        raise UserError(
            f"{flag} {quoted(name)} is not a Kubernetes name; use small letters, digits, dashes and dots, a letter or "
            "digit first and last"
        )


def refuse_bad_title(name: str, flag: str) -> None:
    """An experiment, for example.

    Raises:
        UserError: it is empty, too long, or cannot be shown.
    """
    if not name.strip() or name != name.strip() or len(name) > _TITLE_CHARACTERS or printable(name) != name:
        raise UserError(
            f"{flag} {quoted(name)} cannot be a title; use 1 to {_TITLE_CHARACTERS} characters on one line, without "
            "blanks at its ends"
        )
