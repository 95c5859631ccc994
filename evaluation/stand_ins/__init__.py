"""A second generator of composites, which no training ever used: what a network finds here it cannot have learnt by rote.

It shares no code and no idea with `pictures/composite.py`: other shapes, another way to darken, other places. Nothing in
`train/` may import it, and the floors of the house see to that. `docs/appearance.md` is not needed to read it: what the
numbers aim at is the table of real tears in `scores/appearance.py`.
"""

from __future__ import annotations

from .make import StandIn, stand_in, stand_ins

__all__ = ["StandIn", "stand_in", "stand_ins"]
