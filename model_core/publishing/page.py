"""The plain page of all published runs, beside their folders: a table with links, for whoever opens the store."""

import html
from collections.abc import Sequence
from urllib.parse import quote

from model_core.errors import shortened
from model_core.evaluation.verdict import skill_words
from model_core.publishing.policy import CONTENT_POLICY
from model_core.results.run import RunRecord
from model_core.store.names import published_name

REPORT = "report.html"


def index_page(runs: Sequence[RunRecord]) -> str:
    """An HTML page with a table of ``runs``, in the given order."""
    rows = "".join(map(_row, runs))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><title>Runs</title>\n'
        "<style>body{font:16px/1.6 system-ui,sans-serif;max-width:60rem;margin:3rem auto;padding:0 1rem}"
        "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.4rem .8rem .4rem 0;"
        "border-bottom:1px solid #8884}</style></head>\n<body><h1>Runs</h1>\n<table><thead><tr><th>Run</th>"
        "<th>Started</th><th>State</th><th>Source</th><th>Point forecast</th><th>Skill against the best baseline</th>"
        "<th>Distribution of Close</th><th>Skill in CRPS</th></tr></thead>\n"
        f"<tbody>{rows}</tbody></table></body></html>\n"
    )


def _row(run: RunRecord) -> str:
    name, headline = html.escape(run.name), run.headline
    # Only a report that was published can be linked; its folder has the name of the run.
    linked = f'<a href="{quote(f"./{run.name}/{REPORT}")}">{name}</a>' if REPORT in run.files else name
    words = [run.started_at, run.status, published_name(run.source)]
    if headline is not None:
        words += [headline.outcome, skill_words(headline.skill)]
        words += [headline.crps_outcome or "–", skill_words(headline.crps_skill)]
    cells = "".join(f"<td>{html.escape(shortened(text))}</td>" for text in words)
    return f"<tr><td>{linked}</td>{cells}{'' if headline else '<td></td>' * 4}</tr>\n"
