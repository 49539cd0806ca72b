from __future__ import annotations

from dataclasses import replace

from causes.places import Seeded, module, random
from causes.weight_transposed import CLEAN, RIGHT, STATE, X, linear
from portalign.diagnose.evidence import Site, View

KEY = {"key.weight": random(6, 6, seed=5), "key.bias": random(6, seed=6)}
PLACE = module(
    RIGHT, linear(X, KEY["key.weight"], KEY["key.bias"]), inputs={"in.0": X}, state=STATE
)


def _with_key(view: View) -> View:
    return replace(view, state={**view.state, **KEY})


FAULTS = (
    Seeded(
        "weight-swapped",
        Site(PLACE.origin, _with_key(PLACE.reference), _with_key(PLACE.candidate)),
        Site(CLEAN.origin, _with_key(CLEAN.reference), _with_key(CLEAN.candidate)),
        says="fc of the candidate uses the weights of key",
    ),
)
