"""Numbers of indications in the chart of what a recording could have shown."""

from __future__ import annotations

from thermo_qc.report.shown_chart import _labels


def test_numbers_that_would_cover_one_another_stand_together() -> None:
    indications = [(1, 1.0, 10.0), (2, 1.02, 10.1), (3, 5.0, 10.0), (4, 1.0, 20.0)]
    assert _labels(indications, across=10.0, down=5.0) == [("1, 2", 1.0, 10.0), ("3", 5.0, 10.0), ("4", 1.0, 20.0)]


def test_every_number_is_named_once() -> None:
    indications = [(number, 1.0 + 0.05 * number, 5.0) for number in range(1, 30)]
    labels = _labels(indications, across=10.0, down=3.0)
    assert sorted(int(one) for text, _, _ in labels for one in text.split(", ")) == list(range(1, 30))
    assert 1 < len(labels) < 29
