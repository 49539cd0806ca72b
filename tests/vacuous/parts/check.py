"""A check script that says it builds the port, and calls the reference's own function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch_side

build = torch_side.build


def build_port(settings: Mapping[str, object]) -> Any:
    return torch_side.build(settings)
