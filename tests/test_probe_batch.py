"""The rows of a probe: made of the given batch, padded on both sides, longer than a window."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from portalign.records import ModuleInfo, Structure
from portalign.stages.probe_batch import ProbeBatch, probe_batches
from portalign.stages.windows import windows

N_ROWS, N_PLACES = 3, 10
IDS = np.arange(30).reshape(N_ROWS, N_PLACES)
SHOWN = np.ones_like(IDS)
RIGHT = np.where(np.arange(N_PLACES) < np.array([[10], [7], [4]]), 1, 0)
LABELS = np.array([0, 1, 2])
NAMES = {"ids": "input_ids", "mask": "attention_mask"}


def _probes(batch: dict[str, np.ndarray], *windows: int, longest: int = 4096) -> list[ProbeBatch]:
    names = {name: NAMES[name] for name in batch if name in NAMES}
    return list(probe_batches(batch, names, windows=windows, longest=longest))


@pytest.mark.parametrize("mask", [SHOWN, RIGHT], ids=["nothing hidden", "padded on the right"])
def test_one_row_is_padded_on_the_left_and_one_on_the_right(mask: np.ndarray) -> None:
    probe = _probes({"ids": IDS, "mask": mask, "labels": LABELS})[0]

    padded = probe.fields["mask"].astype(bool)
    assert probe.tried == "2 x 10 places, left and right padding"
    assert (padded == probe.shown).all()
    assert (not padded[0, 0], padded[0, -1], padded[1, 0], not padded[1, -1]) == (True,) * 4
    assert {name: len(array) for name, array in probe.fields.items()} == dict.fromkeys(
        ("ids", "mask", "labels"), 2
    )


def test_shown_places_repeat_what_the_row_shows_and_hidden_ones_the_padding() -> None:
    ids = IDS * RIGHT + 100 * (1 - RIGHT)

    probe = _probes({"ids": ids, "mask": RIGHT}, 16)[0]

    assert probe.fields["ids"].shape == (2, 32)
    assert probe.fields["ids"][1, :12].tolist() == [*range(10, 17), *range(10, 15)]
    assert set(probe.fields["ids"][~probe.shown]) == {100}


def test_a_mask_keeps_its_dtype_and_what_it_says_of_a_shown_place() -> None:
    probe = _probes({"ids": IDS, "mask": 1.0 - RIGHT})[0]

    assert probe.fields["mask"].dtype == np.float64
    assert (probe.fields["mask"] == ~probe.shown).all()


def test_a_window_is_gone_beyond_with_shorter_sequences_to_fall_back_to() -> None:
    probes = _probes({"ids": IDS, "mask": SHOWN}, 12)

    assert [each.shown.shape[1] for each in probes] == [24, 10]
    assert _probes({"ids": IDS}, 12)[0].tried == "1 x 24 places"


def test_sequences_are_no_longer_than_given_where_that_may_do_harm() -> None:
    lengths = [
        [each.shown.shape[1] for each in _probes({"ids": IDS, "mask": SHOWN}, 12, longest=n)]
        for n in (0, 23, 24)
    ]

    assert lengths == [[10], [10], [24, 10]]


@pytest.mark.parametrize(
    ("batch", "windows"),
    [
        ({"ids": IDS}, ()),
        ({"ids": IDS}, (9,)),
        ({"ids": IDS}, (4096,)),
        ({"ids": IDS, "mask": RIGHT[:, ::-1]}, ()),
        ({"x": IDS.astype(np.float32)}, (12,)),
        ({"ids": IDS, "positions": np.arange(N_PLACES)}, (12,)),
        ({"ids": IDS, "mask": SHOWN, "bias": np.zeros((N_ROWS, 1, N_PLACES, N_PLACES))}, ()),
        ({"ids": IDS[:, :0], "mask": SHOWN[:, :0]}, (12,)),
    ],
    ids=[
        "no mask",
        "window seen",
        "window too long",
        "left padding given",
        "no ids",
        "no row for each",
        "time elsewhere",
        "empty",
    ],
)
def test_no_probe_where_nothing_is_undecided_or_the_batch_is_none_of_sequences(
    batch: dict[str, np.ndarray], windows: tuple[int, ...]
) -> None:
    assert _probes(batch, *windows) == []


@dataclass(slots=True)
class _Unset:
    """A field that nobody set is no reason to break a capture."""

    window: int = field(init=False)


def test_windows_are_read_from_attributes_and_configurations() -> None:
    config = type("Config", (), {})()
    vars(config).update(sliding_window=4096, max_window_layers=28, use_sliding_window=True)
    inner = SimpleNamespace(window_size=8, config=config)
    model = SimpleNamespace(attention=inner, width=64, window=None, shape=_Unset())
    structure = Structure("torch", (ModuleInfo("", "Net"), ModuleInfo("attention", "Core")), ())

    assert windows(model, structure) == (
        "attention.window_size=8, attention.config.sliding_window=4096"
    )
