"""Makes the repository's `data` folder importable: its generators are run from the root, not installed."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
