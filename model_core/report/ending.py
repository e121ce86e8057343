"""The page that says how a run ended: for one that did not get as far as its report, what failed and why."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model_core.publishing.policy import CONTENT_POLICY

_STYLE = (
    "body{font:16px/1.6 system-ui,sans-serif;max-width:60rem;margin:3rem auto;padding:0 1rem;"
    "background:#fcfbf8;color:#1c2230}h1{font-size:1.6rem}.failed,.stopped{color:#b23b32}pre{white-space:pre-wrap;"
    "overflow-wrap:anywhere;border:1px solid #8886;border-radius:.5rem;padding:1rem;font-size:.82rem}"
    "table{border-collapse:collapse}caption{text-align:left}"
    "td,th{text-align:left;padding:.3rem 1.5rem .3rem 0;border-bottom:1px solid #8884}"
    "@media (prefers-color-scheme:dark){body{background:#12151c;color:#e9e6df}.failed,.stopped{color:#ef8577}}"
)


@dataclass(frozen=True)
class EndPage:
    """What the page of one run says."""

    run_name: str
    status: str
    """``succeeded``, ``failed`` or ``stopped``."""
    step: str | None
    """Where it ended early; None if it did not, or if nobody can say."""
    texts: Sequence[str]
    """Paragraphs: why, and how to go on."""
    steps: Mapping[str, str]
    """Step → what became of it, in running order."""
    last_lines: Sequence[str] = ()
    """The last lines of the step's log."""


def failure_texts(run_name: str, source: str, reason: str, remedy: str) -> tuple[str, ...]:
    """The paragraphs of a run that did not succeed.

    Args:
        source: the market table, as a page may name it.
        reason: why it ended, without a period at its end.
        remedy: how to go on, in sentences.
    """
    return f"{run_name}, from {source}: {reason}", f"So there are no scores to show. {remedy}"


def end_page(end: EndPage) -> str:
    """The page as HTML without scripts, every value escaped."""
    shown = html.escape
    rows = "".join(
        f'<tr><th scope="row">{shown(step)}</th><td>{shown(state)}</td></tr>\n'
        for step, state in end.steps.items()
    )
    said = shown("\n".join(end.last_lines))
    heading = f"RUN {end.status.upper()}" + (f" in the step {end.step}" if end.step else "")
    log = f'<h2>What it said last</h2>\n<pre tabindex="0" role="region" aria-label="Log">{said}</pre>\n'
    paragraphs = "".join(f"<p>{shown(text)}</p>\n" for text in end.texts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{shown(end.run_name)}: {shown(end.status)}</title>\n'
        f"<style>{_STYLE}</style></head>\n<body><main><h1 class={shown(end.status)}>{shown(heading)}</h1>\n"
        f"{paragraphs}<table><caption>Steps in running order</caption><tbody>\n{rows}</tbody></table>\n"
        f"{log if said else ''}</main></body></html>\n"
    )
