"""The page of a run that did not get as far as its report: what failed, why, and what there is."""

import html
from collections.abc import Mapping, Sequence

from model_core.publishing.policy import CONTENT_POLICY

_STYLE = (
    "body{font:16px/1.6 system-ui,sans-serif;max-width:60rem;margin:3rem auto;padding:0 1rem;"
    "background:#fcfbf8;color:#1c2230}h1{color:#b23b32;font-size:1.6rem}pre{white-space:pre-wrap;"
    "overflow-wrap:anywhere;border:1px solid #8886;border-radius:.5rem;padding:1rem;font-size:.82rem}"
    "table{border-collapse:collapse}td,th{text-align:left;padding:.3rem 1.5rem .3rem 0;border-bottom:1px solid #8884}"
    "@media (prefers-color-scheme:dark){body{background:#12151c;color:#e9e6df}h1{color:#ef8577}}"
)


def failure_page(
    *,
    run_name: str,
    source: str,
    failed: str,
    reason: str,
    steps: Mapping[str, str],
    last_lines: Sequence[str],
) -> str:
    """One HTML page without scripts; whatever the names hold, it is text there.

    Args:
        failed: the step that failed.
        steps: by step what became of it.
        last_lines: what the step said last.
    """
    shown = html.escape
    rows = "".join(
        f'<tr><th scope="row">{shown(step)}</th><td>{shown(state)}</td></tr>\n'
        for step, state in steps.items()
    )
    said = shown("\n".join(last_lines))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{shown(run_name)}: failed</title>\n'
        f"<style>{_STYLE}</style></head>\n<body><main><h1>RUN FAILED in the step {shown(failed)}</h1>\n"
        f"<p>{shown(run_name)}, from {shown(source)}: {shown(reason)}</p>\n"
        "<p>So there are no scores to show. The same command goes on where the run ended.</p>\n"
        f"<table><caption>Steps in running order</caption><tbody>\n{rows}</tbody></table>\n"
        f'<h2>What it said last</h2>\n<pre tabindex="0" role="region" aria-label="Log">{said}</pre>\n'
        "</main></body></html>\n"
    )
