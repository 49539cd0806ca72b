"""Traces on disk: one side of one step, written while it runs and read back as memory maps.

A trace is a folder of safetensors shards, one JSON line per record, and a manifest that is renamed
into place last: a trace without it is incomplete. What was captured is `portalign.records`; files
that others made are `portalign.foreign`.
"""

from __future__ import annotations

from portalign.store.hashing import state_sha256
from portalign.store.reader import read_trace
from portalign.store.shards import can_hold
from portalign.store.writer import TraceWriter

__all__ = ["TraceWriter", "can_hold", "read_trace", "state_sha256"]
