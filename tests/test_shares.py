"""Work in forked processes gives what it gives in one: results in order, and the same errors."""

from __future__ import annotations

import os
import signal

import pytest

from portalign.compare.shares import WORTH_BYTES, shared_out

HERE = os.getpid()


def test_results_come_in_order_from_several_processes() -> None:
    done = shared_out(
        lambda item: (item, os.getpid()), range(10), n_bytes=WORTH_BYTES, n_processes=3
    )

    assert [item for item, _ in done] == list(range(10))
    assert len({process for _, process in done}) == 3


@pytest.mark.parametrize(("n_items", "n_bytes"), [(10, WORTH_BYTES - 1), (1, WORTH_BYTES), (0, 0)])
def test_little_work_stays_here(n_items: int, n_bytes: int) -> None:
    assert set(
        shared_out(lambda _: os.getpid(), range(n_items), n_bytes=n_bytes, n_processes=3)
    ) <= {HERE}


def test_an_error_is_the_one_that_a_single_process_meets() -> None:
    def work(item: int) -> int:
        if item == 4:
            raise ValueError("item 4")
        return item

    with pytest.raises(ValueError, match="item 4"):
        shared_out(work, range(6), n_bytes=WORTH_BYTES, n_processes=3)


def test_what_a_killed_child_owes_is_done_here() -> None:
    def work(item: int) -> int:
        if os.getpid() != HERE and item % 3 == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    assert shared_out(work, range(9), n_bytes=WORTH_BYTES, n_processes=3) == list(range(9))
