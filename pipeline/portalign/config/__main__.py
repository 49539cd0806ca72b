"""Print the JSON schema of the port file; `make schema` writes it to ``docs/``."""

from __future__ import annotations

import json

from portalign.config import port_schema

print(json.dumps(port_schema(), indent=2))
