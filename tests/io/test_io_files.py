"""Atomic writing and fingerprints."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from thermo_qc.errors import InputError, OutputError
from thermo_qc.io import atomic_path, sha256_of, write_json, write_text


def test_target_appears_whole_in_a_new_folder(tmp_path: Path) -> None:
    target = tmp_path / "new" / "deep" / "a.txt"
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        temporary.write_text("x")
        assert not target.exists()
    assert target.read_text() == "x"
    assert list(target.parent.iterdir()) == [target]


def test_failure_keeps_the_older_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ValueError, match="boom"), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise ValueError("boom")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_full_disk_is_an_output_error(tmp_path: Path) -> None:
    message = rf"a\.txt cannot be written: {os.strerror(errno.ENOSPC)}.*choose another place"
    with pytest.raises(OutputError, match=message), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_folder_as_target_and_file_as_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder, expected a file name"):
        write_text(tmp_path, "x")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_block_that_writes_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"), atomic_path(tmp_path / "a.txt"):
        pass


def test_json_has_null_for_what_is_not_finite_and_keeps_the_order(tmp_path: Path) -> None:
    content = {
        "z": float("nan"),
        "a": np.float32(1.5),
        "n": np.array([1.0, np.inf]),
        "p": Path("q"),
        3: (True, None),
        "set": {2, 1},
    }
    write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text()
    expected = {"z": None, "a": 1.5, "n": [1.0, None], "p": "q", "3": [True, None], "set": [1, 2]}
    assert json.loads(text) == expected
    assert list(json.loads(text)) == list(expected)
    assert text.startswith('{\n "z": null') and text.endswith("}\n")


def test_text_is_utf8_with_single_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "a.csv", "°C\nb\n")
    assert (tmp_path / "a.csv").read_bytes() == "°C\nb\n".encode()


def test_fingerprint_of_a_file_follows_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    assert sha256_of(file) == hashlib.sha256(b"abc").hexdigest()
    file.write_bytes(b"abcd")
    assert sha256_of(file) == hashlib.sha256(b"abcd").hexdigest()


def test_fingerprint_of_a_folder_knows_names_and_contents(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    for folder in (first, second):
        folder.mkdir()
        (folder / "b").write_bytes(b"2")
        (folder / "a").write_bytes(b"1")
    assert sha256_of(first) == sha256_of(second)
    (second / "a").rename(second / "c")
    assert sha256_of(first) != sha256_of(second)


def test_fingerprint_of_nothing_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        sha256_of(tmp_path / "none")
