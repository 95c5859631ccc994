"""Whole families of shoulders: one to learn from, and three that training never sees.

A score on other seeds of the same family says little of the world: it has the same textures, shapes and scanners. So
three families lie outside what training saw, each in one way, and a fourth in all of them together. By the three,
thresholds are chosen and confidence is fitted; by the fourth nothing is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..errors import InputError

Span = tuple[float, float]
USUAL_SHAPES: dict[str, tuple[str, ...]] = {
    "full": ("gap", "gap", "cleft", "tee", "fan", "cloud"),
    "articular": ("wedge", "wedge", "articular lens", "tee", "fan", "cloud"),
    "bursal": ("bursal lens", "cloud", "tee", "cleft"),
    "intratendinous": ("delamination", "lens", "cloud", "fan"),
}
OTHER_SHAPES: dict[str, tuple[str, ...]] = dict.fromkeys(USUAL_SHAPES, ("hook", "steps", "scattered"))


@dataclass(frozen=True)
class ShoulderRecipe:
    """From which spans a seed draws its shoulder and its scanner.

    fall_db: how much weaker than tendon a tear answers. weave: how textures are made ('smooth' or 'ridged').
    fibre_mm: how long the tendon's and muscle's fibres look. frequency_mhz, dynamic_range_db, grey_curve, s_curve
    (contrast of the grey map's middle), smoothing_mm (the scanner's speckle reduction): see `Scanner`.
    """

    name: str = "usual"
    shapes: dict[str, tuple[str, ...]] = field(default_factory=lambda: USUAL_SHAPES)
    fall_db: Span = (10.0, 26.0)
    weave: str = "smooth"
    fibre_mm: Span = (1.2, 3.2)
    frequency_mhz: Span = (7.5, 12.0)
    dynamic_range_db: Span = (52.0, 66.0)
    grey_curve: Span = (0.8, 1.15)
    s_curve: Span = (0.0, 0.25)
    smoothing_mm: Span = (0.0, 0.12)


USUAL_RECIPE = ShoulderRecipe()
_SCANNERS = {
    "frequency_mhz": (13.0, 17.0),
    "dynamic_range_db": (68.0, 80.0),
    "grey_curve": (1.2, 1.45),
    "s_curve": (0.35, 0.7),
    "smoothing_mm": (0.15, 0.25),
}
_TEXTURES = {"weave": "ridged", "fibre_mm": (0.5, 0.9)}
RECIPES = {
    recipe.name: recipe
    for recipe in (
        USUAL_RECIPE,
        replace(USUAL_RECIPE, name="other-shapes", shapes=OTHER_SHAPES),
        replace(USUAL_RECIPE, name="other-textures", **_TEXTURES),
        replace(USUAL_RECIPE, name="other-scanners", **_SCANNERS),
        ShoulderRecipe("other", OTHER_SHAPES, **_TEXTURES, **_SCANNERS),  # type: ignore[arg-type]
    )
}
HELD_OUT = tuple(name for name in RECIPES if name != USUAL_RECIPE.name)  # never trained on
CALIBRATED_ON = tuple(name for name in RECIPES if name != "other")  # the last is kept from every choice, too


def recipe_of(name: str) -> ShoulderRecipe:
    """The recipe called `name`. Raises ValueError for an unknown one."""
    if name not in RECIPES:
        raise InputError(f"there is no recipe of phantoms called '{name}'; choose one of {', '.join(RECIPES)}")
    return RECIPES[name]
