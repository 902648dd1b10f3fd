"""How models were asked is kept with the map."""

import numpy as np

from thermo_qc.inspection import DefectMap, read_defect_map, write_defect_map


def test_options_come_back_from_the_file(tmp_path):
    plain = {
        "class_map": np.zeros((3, 4), np.uint8),
        "probability": np.full((2, 3, 4), 0.5, np.float32),
        "depth_mm": np.full((3, 4), np.nan, np.float32),
        "class_names": ("sound", "defect"),
    }
    options = {"tta": True, "temperature": [1.25, 1.0]}
    write_defect_map(DefectMap(**plain, options=options), tmp_path / "with.h5")
    assert read_defect_map(tmp_path / "with.h5").options == options
    write_defect_map(DefectMap(**plain), tmp_path / "without.h5")
    assert read_defect_map(tmp_path / "without.h5").options == {}
