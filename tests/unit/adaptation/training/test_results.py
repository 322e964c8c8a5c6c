# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The page of results: its curves and samples."""

import pytest

from mu2slam_hf.adaptation.training.results import plot_curves, render_result
from mu2slam_hf.adaptation.training.scores import Sample

SPEECH = {"loss": 9.0, "loss_ctc": 5.0, "loss_asr_decoder": 4.0}
LOGS = [{"step": 1, **SPEECH}, {"step": 2, "loss": 3.0, "loss_mt_decoder": 3.0}, {"step": 3, **SPEECH, "loss": 8.0}]


def test_updates_on_texts_alone_are_no_points_of_the_loss(monkeypatch):
    """The loss of such an update is a sum of fewer parts, which would be drawn as a fall and a rise."""
    drawn = []
    monkeypatch.setattr("matplotlib.axes.Axes.plot", lambda axes, x, y, **style: drawn.append((style["label"], x, y)))
    monkeypatch.setattr("matplotlib.axes.Axes.legend", lambda axes: None)
    assert list(plot_curves(LOGS)) == ["Loss"]
    assert drawn == [("training", (1, 3), (9.0, 8.0))]


@pytest.mark.parametrize("lang", ["mdw", "fr"])
def test_samples_say_their_language(lang):
    sample = Sample(key="a", target_lang=lang, reference="one", hypothesis="two")
    page = render_result(
        title="model", reasons={}, before={}, after={}, samples_before=[], samples_after=[sample], curves=LOGS
    )
    assert f"<span>reference, {lang}</span>" in page
