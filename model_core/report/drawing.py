"""From matplotlib to inline SVG that takes its colors and its type from the page.

Figures are drawn in stand-in colors, each of which becomes a CSS variable: one figure serves light and
dark. Text stays text, so that it scales, can be selected, and is read aloud. The same figure gives the same
bytes: no dates, no random ids.
"""

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

WIDTH = 720
"""Pixels; what a figure is drawn at. The page scales it to its column."""

INK, MUTED, RULE = "#010001", "#010002", "#010003"
MODEL, BASE, TRUE = "#010004", "#010005", "#010006"
GOOD, BAD, PAPER = "#010007", "#010008", "#010009"
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    MODEL: "--model",
    BASE: "--base",
    TRUE: "--true",
    GOOD: "--good",
    BAD: "--bad",
    PAPER: "--paper",
}

_STYLE: dict[RcKeyType, object] = {
    "svg.fonttype": "none",
    # A dollar sign in a title is a dollar sign.
    "text.parse_math": False,
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 11,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "axes.titlecolor": INK,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "ytick.major.size": 0,
    "xtick.major.size": 3,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "hatch.color": INK,
    "patch.edgecolor": INK,
    "axes.formatter.useoffset": False,
}


@contextmanager
def canvas(height: int, width: int = WIDTH) -> Iterator[Figure]:
    """A figure of this size in pixels, in the house style; draw and call ``svg_of`` inside the block."""
    with mpl.rc_context(_STYLE):
        yield Figure(figsize=(width / 72, height / 72), layout="constrained")


def svg_of(figure: Figure, name: str, description: str) -> str:
    """The figure as an ``<svg>`` element.

    Args:
        name: unique on the page; keeps the ids of figures apart.
        description: what a reader who cannot see the figure should know.
    """
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(
            buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Type": None}
        )
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    # Only clip paths and markers are referred to; all other ids would repeat from figure to figure.
    text = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", text)
    text = re.sub(r'(\bid="|#)([mpCD][0-9a-f_]{6,})', rf"\g<1>{name}-\g<2>", text)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--sans)", text)
    for color, variable in _VARIABLES.items():
        text = text.replace(color, f"var({variable})")
    box = re.search(r'viewBox="[^"]*"', text)
    assert box is not None  # matplotlib always writes one
    head = f'<svg {box.group()} role="img" aria-labelledby="{name}-title" xmlns:xlink="http://www.w3.org/1999/xlink">'
    title = f'<title id="{name}-title">{html.escape(description)}</title>'
    return re.sub(r"<svg[^>]*>", lambda _: head + title, text, count=1).strip()


def bare(axes: Axes, *, grid: str | None = "y") -> None:
    """Grid lines along one axis only."""
    axes.grid(visible=False)
    if grid == "y":
        axes.yaxis.grid(visible=True)
    elif grid == "x":
        axes.xaxis.grid(visible=True)
