"""Interpolation of an image: nearest, bilinear, bicubic; corners aligned or half-pixel centres."""

from __future__ import annotations

from collections.abc import Iterable

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.resizing import ALIGNED, AREA, HALF, NEAREST, POINTS, Way, resized
from portalign.diagnose.words import near

_PLACES = {
    HALF: "half-pixel centres (align_corners=False)",
    ALIGNED: "aligned corners (align_corners=True)",
    POINTS: "pixels counted as points from the first (paddle: align_mode=1)",
}
_KERNELS = {
    "linear": "linearly",
    "cubic": "cubically",
    "cubic of Pillow": "cubically as Pillow does",
}
_WAYS = {
    Way(NEAREST, POINTS): "by nearest neighbours (mode='nearest')",
    **{
        Way(kernel, places): f"{told} with {where}"
        for kernel, told in _KERNELS.items()
        for places, where in _PLACES.items()
    },
    Way(NEAREST, HALF): "by nearest neighbours of half-pixel centres (mode='nearest-exact')",
    Way(NEAREST, ALIGNED): "by nearest neighbours with aligned corners",
    Way(AREA): "by means over areas (mode='area')",
    Way("linear", HALF, is_smooth=True): "linearly with antialiasing",
    Way("cubic of Pillow", HALF, is_smooth=True): "cubically with antialiasing",
}


def _resize(x: Numbers, way: Value, reading: Reading) -> Numbers:
    return resized(x, reading.view.target.shape[2:], way)


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return _WAYS


def _tell(turned: Turned) -> Words:
    ours, theirs = (_WAYS[way] for way in (turned.reference, turned.candidate))
    what = near(turned.reading.names["x"], turned.site.origin.path)
    return Words(
        f"{what} is resized {theirs}, in the reference {ours}",
        f"resize it {ours}",
    )


RULE = Knob(
    name="resize-mode",
    line="an image is resized otherwise: nearest, linear, cubic; align_corners, half pixels",
    families=("resize",),
    acts={"resize": _resize},
    values=_values,
    tell=_tell,
    is_wide=True,
)
