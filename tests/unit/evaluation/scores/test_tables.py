# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Tables for people and for spreadsheets."""

from mu2slam_hf.evaluation.scores.tables import align_columns
from mu2slam_hf.evaluation.tasks.heads import HeadReport


def test_columns_on_the_left_and_on_the_right():
    rows = [["name", "kind", "n"], ["a", "long kind", "10"]]
    assert align_columns(rows) == ["name       kind   n", "a     long kind  10"]
    assert align_columns(rows, num_left=2) == ["name  kind        n", "a     long kind  10"]
    assert align_columns(rows, num_left=3) == ["name  kind       n", "a     long kind  10"]


def test_transcripts_with_tabs_and_line_breaks_stay_in_their_cells(tmp_path):
    HeadReport(figures={}, transcripts=[("1", "one\ttwo", "one\nthree")]).save("dev", tmp_path)
    assert (tmp_path / "transcripts_dev.tsv").read_text() == "id\treference\thypothesis\n1\tone two\tone three\n"
