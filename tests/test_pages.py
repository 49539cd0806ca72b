"""Mapped arrays are read from their files where that is faster, and only from those very files."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from portalign.compare.chunks import RUN_BYTES
from portalign.compare.measure import measure
from portalign.errors import InputError
from portalign.store.pages import map_file, open_run

N = RUN_BYTES  # elements of two bytes and more: long enough to be read


def _mapped(path: Path, values: np.ndarray, *, offset: int = 0) -> np.ndarray:
    path.write_bytes(b"x" * offset + values.tobytes() + b"behind")
    with path.open("rb") as file:
        raw = np.frombuffer(map_file(file), np.uint8)
    return raw[offset : offset + values.nbytes].view(values.dtype).reshape(values.shape)


def _values(dtype: object) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((4, N // 4)).astype(dtype)


@pytest.mark.parametrize("offset", [0, 1, 8], ids=["whole", "unaligned", "aligned"])
@pytest.mark.parametrize("dtype", ["float32", "float64", ml_dtypes.bfloat16, ">f4", "complex64"])
def test_a_mapped_array_measures_like_one_in_memory(tmp_path: Path, dtype, offset) -> None:
    reference, candidate = _values(dtype), _values(dtype)
    candidate[2, 7] += 3
    mapped = _mapped(tmp_path / "a", reference, offset=offset)

    assert measure(mapped, candidate) == measure(reference, candidate)
    assert measure(candidate[1:], mapped[1:]) == measure(candidate[1:], reference[1:])
    assert measure(mapped.T, candidate.T) == measure(reference.T, candidate.T)


@pytest.mark.parametrize("change", ["deleted", "replaced"])
def test_another_file_in_its_place_is_not_read(tmp_path: Path, change: str) -> None:
    values = _values("float32")
    mapped = _mapped(tmp_path / "a", values)
    if change == "replaced":
        (tmp_path / "b").write_bytes(bytes(values.nbytes + 6))
        (tmp_path / "b").replace(tmp_path / "a")
    else:
        (tmp_path / "a").unlink()

    assert open_run(mapped) is None
    assert measure(mapped, values).is_bitwise_equal


def test_a_file_cut_short_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    mapped = _mapped(tmp_path / "a", _values("float32"))
    with (tmp_path / "a").open("r+b") as file:
        file.truncate(2**21)

    with pytest.raises(InputError, match="too early"):
        measure(mapped, mapped)


@pytest.mark.parametrize(
    "cut", [lambda a: a, lambda a: a[:, ::2], lambda a: a.T], ids=["whole", "strided", "turned"]
)
def test_only_contiguous_maps_have_a_run(tmp_path: Path, cut) -> None:
    values = _values("float32")

    run = open_run(cut(_mapped(tmp_path / "a", values)))

    assert (run is not None) is cut(values).flags.c_contiguous
    assert open_run(cut(values)) is None
    if run:
        run.close()


@pytest.mark.parametrize("offset", [0, 4, 128, 4090])
def test_bytes_are_read_to_half_a_page_off_where_they_lie(tmp_path: Path, offset: int) -> None:
    run = open_run(_mapped(tmp_path / "a", _values("float32"), offset=offset))
    assert run

    buffer = run.buffer(np.dtype("float32"), 1000)

    start = buffer.__array_interface__["data"][0]
    assert start % 64 == 0
    assert 1984 <= (start - offset) % 4096 <= 2112  # 64 and less is where copying is slow
    assert (buffer.size, buffer.dtype) == (1000, np.float32)
    run.close()
