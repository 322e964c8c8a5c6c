# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Runs of BEST-RQ: from audio alone to a saved model; losses that the model does not have."""

import json

import pytest

from mu2slam_hf import MSLAMForPreTraining
from mu2slam_hf.recipes.runs.registry import build_run, load_recipe
from mu2slam_hf.recipes.schema.loader import RecipeError


@pytest.fixture
def speech_manifest(tones):
    """Recordings without any text."""
    rows = tones.read_text(encoding="utf-8").splitlines()
    cells = [row.split("\t") for row in rows]
    kept = [cells[0].index(name) for name in ("id", "lang", "audio", "duration_s")]
    lines = ["\t".join(row[k] for k in kept) for row in cells]
    path = tones.with_name("speech.tsv")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _load(manifest, folder, *overrides):
    places = [f"data.corpora.train.manifest={manifest}", f"evaluation.corpora.dev.manifest={manifest}"]
    return load_recipe("mslam/best_rq_tiny_test", [*places, f"output.dir={folder}", *overrides])


def test_recordings_without_text_are_enough(speech_manifest, tmp_path):
    results = build_run(_load(speech_manifest, tmp_path / "run", "data.max_seconds=8")).run()
    assert results["eval_loss"] > 0
    model = MSLAMForPreTraining.from_pretrained(tmp_path / "run" / "final")
    assert model.config.has_random_codes and model.config.speech_mask == "features"
    (state,) = (tmp_path / "run").glob("checkpoint-8/trainer_state.json")
    logs = json.loads(state.read_text())["log_history"]
    assert not any("contrastive" in entry or "gumbel_temperature" in entry for entry in logs)


@pytest.mark.parametrize("name", ["contrastive", "diversity"])
def test_a_weight_of_a_loss_that_the_model_does_not_have_is_refused(name, speech_manifest, tmp_path):
    run = build_run(_load(speech_manifest, tmp_path / "run", f"objective.{name}=1"))
    with pytest.raises(RecipeError, match=r"objective\.contrastive and objective\.diversity must be 0"):
        run.run()
