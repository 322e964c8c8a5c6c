# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Plots of recordings: rows, texts, files that are complete or not there."""

import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")

from mu2slam_hf.inference.alignment import AlignedWord
from mu2slam_hf.inference.formats import plots
from mu2slam_hf.inference.formats.plots import MAX_ROW_SECONDS, MAX_ROWS, plot_recording

RATE = 8000


def tone(seconds: float, rate: int = RATE) -> np.ndarray:
    return 0.5 * np.sin(np.arange(round(seconds * rate)) * 2 * np.pi * 440 / rate).astype(np.float32)


def word(text, start, end, score=-0.1) -> AlignedWord:
    return AlignedWord(text=text, start_seconds=start, end_seconds=end, score=score)


def drawn_texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_a_short_recording_has_one_row_with_every_word_at_its_time():
    words = [word("marque", 0.2, 0.9), word("número", 1.0, 1.5, -2.0), word("*", 1.5, 1.9, None)]
    (figure,) = plot_recording(tone(2.0), RATE, words, title="a title")
    *row, scale = figure.axes
    assert len(row) == 3 and scale.get_ylabel() == "confidence of the word"
    assert drawn_texts(figure) == ["marque", "número", "*"]
    assert figure.get_suptitle() == "a title"
    for axes in row:
        assert axes.get_xlim() == pytest.approx((0.0, 2.0))
    boxes = [(box.get_x(), box.get_x() + box.get_width()) for box in row[2].patches]
    np.testing.assert_allclose(boxes, [(w.start_seconds, w.end_seconds) for w in words], atol=1e-9)
    colors = [box.get_facecolor() for box in row[2].patches]
    assert len(set(colors)) == 3  # confident, not confident, without a confidence


def test_the_spectrogram_shows_the_frequency_of_a_tone():
    (figure,) = plot_recording(tone(1.0), RATE, [])
    image = figure.axes[1].images[0]
    row = int(np.asarray(image.get_array()).mean(axis=1).argmax())
    low, high = plots._FREQUENCIES["250"], plots._FREQUENCIES["1k"]
    assert low < 440 < high
    assert figure.axes[1].get_yticks()[0] < row < figure.axes[1].get_yticks()[1]


@pytest.mark.parametrize(("seconds", "num_rows"), [(MAX_ROW_SECONDS, 1), (MAX_ROW_SECONDS + 0.01, 2), (40.0, 3)])
def test_long_recordings_have_rows_of_equal_length(seconds, num_rows):
    words = [word(f"w{start}", start, start + 0.9) for start in range(int(seconds))]
    (figure,) = plot_recording(tone(seconds, 2000), 2000, words)
    rows = figure.axes[:-1]
    assert len(rows) == 3 * num_rows
    limits = [axes.get_xlim() for axes in rows[::3]]
    assert limits[0][0] == 0.0 and limits[-1][1] == pytest.approx(seconds, abs=0.01)
    np.testing.assert_allclose(np.diff(limits), seconds / num_rows, atol=0.01)
    # A word over a boundary has a box in both rows, and its text in one.
    assert drawn_texts(figure) == [w.text for w in words]


def test_very_long_recordings_have_several_pages(tmp_path):
    seconds = MAX_ROWS * MAX_ROW_SECONDS + 5.0
    words = [word("first", 1.0, 2.0), word("last", seconds - 2.0, seconds - 1.0)]
    figures = plot_recording(np.zeros(round(seconds * 2000), np.float32), 2000, words, file=tmp_path / "plot.png")
    assert [len(figure.axes) - 1 for figure in figures] == [3 * MAX_ROWS, 3]
    assert [drawn_texts(figure) for figure in figures] == [["first"], ["last"]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plot-2.png", "plot.png"]


def test_what_was_not_transcribed_is_grey():
    segments = [SimpleNamespace(start_seconds=0.5, end_seconds=1.0)]
    (figure,) = plot_recording(tone(2.0), RATE, [], segments=segments)
    (everything, heard) = figure.axes[0].collections
    spans = [path.vertices[:, 0] for path in heard.get_paths() if len(path.vertices)]
    assert min(map(np.min, spans)) == pytest.approx(0.5, abs=0.01)
    assert max(map(np.max, spans)) == pytest.approx(1.0, abs=0.01)
    assert np.ptp(everything.get_paths()[0].vertices[:, 0]) == pytest.approx(2.0, abs=0.01)


def test_letters_of_other_scripts_are_in_the_font(tmp_path):
    words = [word("ваше", 0.1, 0.5), word("ŋgò", 0.5, 0.8), word("σήμα", 0.8, 1.0)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of glyphs that are missing
        plot_recording(tone(1.0), RATE, words, file=tmp_path / "plot.png")


@pytest.mark.parametrize(("name", "begin"), [("p.png", b"\x89PNG"), ("p.pdf", b"%PDF"), ("p.svg", b"<?xml")])
def test_a_file_is_written_whole(tmp_path, name, begin):
    path = tmp_path / "sub" / name
    plot_recording(tone(1.0), RATE, [word("a", 0.1, 0.5)], file=path)
    assert path.read_bytes().startswith(begin)
    assert [file.name for file in path.parent.iterdir()] == [name]


def test_a_failure_leaves_the_former_file(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    path = tmp_path / "plot.png"
    path.write_text("former")

    def fail(self, target, **kwargs):
        target.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        plot_recording(tone(1.0), RATE, [], file=path)
    assert path.read_text() == "former" and len(list(tmp_path.iterdir())) == 1


def test_other_extensions_are_refused(tmp_path):
    with pytest.raises(ValueError, match="extension must be one of .*png.*, got '.docx'"):
        plot_recording(tone(0.5), RATE, [], file=tmp_path / "plot.docx")


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"mu2slam-hf\[plots\]"):
        plot_recording(tone(0.5), RATE, [])
