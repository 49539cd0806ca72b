"""Print docs/causes.md: ``python -m portalign.diagnose > docs/causes.md``."""

from __future__ import annotations

import sys

from portalign.diagnose.listing import listing

if __name__ == "__main__":
    sys.stdout.write(listing())
