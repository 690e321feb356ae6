"""Only one strip of a subject at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from unbloat.errors import SubjectError
from unbloat.verify.lock import exclusive

HOLD = "import sys; from pathlib import Path; from unbloat.verify.lock import exclusive\nwith exclusive(Path(sys.argv[1])):"


def test_a_second_strip_is_refused(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD + " print('held', flush=True); sys.stdin.read()", tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(SubjectError, match="another strip"), exclusive(tmp_path):
        pass
    holder.kill()
    holder.communicate()
    with exclusive(tmp_path):
        pass
