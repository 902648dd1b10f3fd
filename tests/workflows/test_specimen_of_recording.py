"""Which recordings show one and the same plate: what the manifest says, else what the recording says of itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from thermo_qc.io import load_manifest, read_sequence, write_sequence
from thermo_qc.workflows.cases import load_recordings

SAMPLE = Path(__file__).parents[2] / "data" / "samples" / "little_plate.h5"


@pytest.mark.parametrize(("own", "named", "expected"), [("wing 7", "", "wing 7"), ("wing 7", "B", "B"), ("", "", "")])
def test_looks_at_one_plate_are_known_without_the_manifest(own: str, named: str, expected: str, tmp_path: Path) -> None:
    for key in ("a", "b"):
        write_sequence(replace(read_sequence(SAMPLE), specimen_id=own), tmp_path / f"{key}.h5")
    entries = [{"key": key, "recording": f"{key}.h5", **({"specimen": named} if named else {})} for key in ("a", "b")]
    (tmp_path / "manifest.yaml").write_text(yaml.safe_dump({"recordings": entries}), encoding="utf-8")
    found = load_recordings(load_manifest(tmp_path / "manifest.yaml"), "binary")
    assert [recording.record()["specimen"] for recording in found] == [expected, expected]
