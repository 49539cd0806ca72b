"""Plant bugs in four small architectures and expect every one to be found: ``make faults``.

python scripts/faults.py [--dtype float32|float64|bfloat16|float16] [--only NAME] [--keep FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from faults.matrix import main

if __name__ == "__main__":
    sys.exit(main())
