"""Files that strangers send, read without running a byte of them.

`read_arrays` takes what porters exchange - reprod_log dumps, numpy and safetensors files, traces -
and gives named arrays or an `InputError`; what it may not trust is refused, never tried.
"""

from __future__ import annotations

from portalign.foreign.files import read_arrays

__all__ = ["read_arrays"]
