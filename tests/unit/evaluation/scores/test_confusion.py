# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Confusion matrices: counted by hand, with labels that never occur and answers that are refusals."""

import pytest

from mu2slam_hf.evaluation.scores.confusion import compute_confusion, format_confusion, save_confusion_plot

TRUE = ["en", "en", "en", "fr", "fr", "it"]
GIVEN = ["en", "en", "fr", "fr", "und", "it"]


def test_counts_and_figures_by_hand():
    matrix = compute_confusion(TRUE, GIVEN)
    assert matrix.references == ("en", "fr", "it")
    assert matrix.predictions == ("en", "fr", "it", "und")
    assert matrix.counts == ((2, 1, 0, 0), (0, 1, 0, 1), (0, 0, 1, 0))
    assert matrix.num_items == 6
    assert matrix.accuracy == pytest.approx(100 * 4 / 6)
    assert matrix.recalls == pytest.approx({"en": 200 / 3, "fr": 50.0, "it": 100.0})
    # F1 = 2 tp / (true + given): en 4/5, fr 2/4, it 2/2
    assert matrix.macro_f1 == pytest.approx(100 * (0.8 + 0.5 + 1.0) / 3)
    assert matrix.count("fr", "und") == 1
    assert matrix.count("fr", "zz") == matrix.count("zz", "fr") == 0


def test_given_labels_keep_their_order_and_empty_rows_do_not_count():
    matrix = compute_confusion(["b", "b"], ["b", "a"], labels=["c", "b", "a"])
    assert matrix.references == ("c", "b", "a")
    assert matrix.recalls == {"b": 50.0}
    assert matrix.macro_f1 == pytest.approx(200 / 3)
    assert [line.split()[-1] for line in format_confusion(matrix).splitlines()[1:4]] == ["-", "50.0", "-"]


def test_table_shows_errors_and_leaves_zeros_out():
    lines = format_confusion(compute_confusion(TRUE, GIVEN)).splitlines()
    assert lines[0].split() == ["true", "\\", "given", "en", "fr", "it", "und", "recall"]
    assert lines[2].split() == ["fr", ".", "1", ".", "1", "50.0"]
    assert lines[-1].startswith("accuracy 66.7 %")
    assert len({len(line) for line in lines[:4]}) == 1


def test_what_is_no_list_of_pairs_is_refused():
    with pytest.raises(ValueError, match="got 1 true labels but 0 predictions"):
        compute_confusion(["a"], [])
    with pytest.raises(ValueError, match="at least one item"):
        compute_confusion([], [])
    with pytest.raises(ValueError, match="not in the labels"):
        compute_confusion(["a"], ["b"], labels=["b"])


def test_plot_is_written(tmp_path):
    pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
    path = save_confusion_plot(compute_confusion(TRUE, GIVEN), tmp_path / "sub" / "confusion.png")
    assert path.stat().st_size > 1000
    # matplotlib would add an extension to a name without one.
    path = save_confusion_plot(compute_confusion(TRUE, GIVEN), tmp_path / "confusion")
    assert path.stat().st_size > 1000
