"""A second generator of composites, which no training ever used: what is found here was not learnt by rote.

It shares no code with `pictures/composite.py`: other shapes, another way to darken, other places. `train/` cannot
import it: the floors of the house see to that. What its numbers aim at is the table of real tears in
`scores/appearance.py`.
"""

from __future__ import annotations

from .make import StandIn, stand_in

__all__ = ["StandIn", "stand_in"]
