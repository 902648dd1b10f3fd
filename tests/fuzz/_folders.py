"""Makes the writers of camera files, which lie with the tests of their readers, importable."""

import sys
from pathlib import Path

for name in ("io_cameras", "io_flir"):
    sys.path.append(str(Path(__file__).parents[1] / name))
