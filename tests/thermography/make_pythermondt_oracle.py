"""Makes pythermondt_ppt.json: what pythermondt's PulsePhaseThermography gives for a few pixels of its own example.

It needs an environment of its own (pythermondt wants an older NumPy): ``pip install pythermondt``, then
``python make_pythermondt_oracle.py cfrp_1.3mm_ellipse_inclusion.hdf5``.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

PIXELS = [(5, 5), (20, 70), (50, 50), (55, 45), (80, 30), (95, 95)]
BINS = [1, 2, 3, 5, 8, 13, 40]

if __name__ == "__main__":
    from pythermondt.readers import LocalReader
    from pythermondt.transforms import ApplyLUT, PulsePhaseThermography

    spectrum = PulsePhaseThermography(BINS)(ApplyLUT()(LocalReader(sys.argv[1])[0]))
    values = spectrum.get_dataset("/Data/Tdata")
    content = {
        "made_by": f"pythermondt {version('pythermondt')}",
        "pixels": PIXELS,
        "bins": BINS,
        "frequencies_hz": spectrum.get_dataset("/MetaData/DomainValues").tolist(),
        "real": [values[row, column].real.tolist() for row, column in PIXELS],
        "imaginary": [values[row, column].imag.tolist() for row, column in PIXELS],
    }
    Path(__file__).with_name("pythermondt_ppt.json").write_text(json.dumps(content, indent=1))
