"""The five classical aspects: special angles between two bodies, with values the model starts from.

The model learns a strength and an orb per aspect (``A = Σ strength · exp(−(|Δλ| − angle)² / 2 orb²)``);
what stands here is only where it starts.

*Angles* and *signs*: Ptolemy, Tetrabiblos I.13, counts opposition, trine, square and sextile, calls
trine and sextile harmonious (+) and square and opposition disharmonious (−); the conjunction, which
he treats apart, is taken as positive. *Orbs*: the customary modern limits are 8°, and 6° for the
sextile. ``orb_deg`` is a standard deviation and starts at half of that limit, so that an aspect has
faded to exp(−2) = 0.14 where custom says it ends. *Strengths* rank as tradition does: conjunction and
opposition first, then trine and square, then sextile; the magnitudes are round numbers of our choice.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Aspect:
    """One aspect: the exact angle, the width of its influence, and its signed strength."""

    name: str
    angle_deg: float
    orb_deg: float
    strength: float


ASPECTS: tuple[Aspect, ...] = (
    Aspect("conjunction", angle_deg=0.0, orb_deg=4.0, strength=1.0),
    Aspect("sextile", angle_deg=60.0, orb_deg=3.0, strength=0.5),
    Aspect("square", angle_deg=90.0, orb_deg=4.0, strength=-0.75),
    Aspect("trine", angle_deg=120.0, orb_deg=4.0, strength=0.75),
    Aspect("opposition", angle_deg=180.0, orb_deg=4.0, strength=-1.0),
)
