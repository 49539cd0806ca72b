"""Plant bugs in four small architectures and expect every one to be found: ``make faults``.

    python scripts/faults.py [--dtype float32|bfloat16] [--only NAME] [--keep FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from faults.matrix import main  # noqa: E402  (the tests' folder has to be on the path first)

if __name__ == "__main__":
    sys.exit(main())
