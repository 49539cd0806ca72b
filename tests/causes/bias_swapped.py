from __future__ import annotations

from dataclasses import replace

from causes.places import Seeded, module
from causes.weight_swapped import KEY
from causes.weight_transposed import CLEAN, RIGHT, STATE, WEIGHT, X, linear
from portalign.diagnose.evidence import Site, View

PLACE = module(RIGHT, linear(X, WEIGHT, KEY["key.bias"]), inputs={"in.0": X}, state=STATE)


def _with_key(view: View) -> View:
    return replace(view, state={**view.state, **KEY})


FAULTS = (
    Seeded(
        "bias-swapped",
        Site(PLACE.origin, _with_key(PLACE.reference), _with_key(PLACE.candidate)),
        Site(CLEAN.origin, _with_key(CLEAN.reference), _with_key(CLEAN.candidate)),
        says="fc of the candidate adds the bias of key",
    ),
)
