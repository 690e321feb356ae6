"""The sampled peak sees what processes below hold, and counts once what they share."""

from __future__ import annotations

import subprocess
import sys

import pytest
from unbloat.memory import PeakMemory

HELD = 150_000_000
CODE = f"import os, time; held = bytearray({HELD}); os.fork(); os.fork(); time.sleep(2)"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the share of each process")
def test_what_forks_share_counts_once() -> None:
    with PeakMemory() as idle:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.5)"], check=True)
    with PeakMemory() as busy:
        subprocess.run([sys.executable, "-c", CODE], check=True)
    assert idle.peak is not None and busy.peak is not None
    assert 0.9 * HELD < busy.peak - idle.peak < 1.5 * HELD
