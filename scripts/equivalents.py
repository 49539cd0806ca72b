"""Measure every row of the table of equivalents and write ``docs/equivalents.md``.

python scripts/equivalents.py
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from equivalents.table import main

if __name__ == "__main__":
    sys.exit(main())
