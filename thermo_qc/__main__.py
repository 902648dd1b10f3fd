"""``python -m thermo_qc``."""

import sys

from thermo_qc.cli import main

sys.exit(main())
