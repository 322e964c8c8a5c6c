# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""mSLAM from a folder of recordings to a model that heads are trained on, through the scripts."""

import json
import math
from pathlib import Path

import pytest
import yaml
from helpers import REPOSITORY_ROOT
from training_runs import TWO_PROCESSES, check_kill_and_resume, make_launcher, read_log

from mu2slam_hf import MSLAMForAudioClassification, MSLAMForCTC, MSLAMForPreTraining, Mu2SLAMProcessor
from mu2slam_hf.data.tones import write_tone_corpus
from mu2slam_hf.models.modeling_mslam_pretraining import MSLAM_LOSSES
from mu2slam_hf.training.checkpoints import list_checkpoints

RECIPES = REPOSITORY_ROOT / "configuration" / "recipes" / "mslam"
RECIPE = RECIPES / "pretrain_tiny_test.yaml"
EXAMPLES = REPOSITORY_ROOT / "examples" / "manifest.tsv"


@pytest.fixture(scope="module")
def tones(tmp_path_factory) -> Path:
    return write_tone_corpus(tmp_path_factory.mktemp("tones"), num_sentences=10, max_words=3)


@pytest.fixture(scope="module")
def launch(tones):
    return make_launcher("pretrain_mslam.py", RECIPE, tones)


@pytest.fixture(scope="module")
def finished(launch, tmp_path_factory) -> Path:
    """60 updates on the recordings of the repository."""
    output = tmp_path_factory.mktemp("finished") / "run"
    settings = ("max_steps=60", "logging_steps=10", "eval_steps=60", "save_steps=30")
    corpora = (f"data.corpora.train.manifest={EXAMPLES}", f"evaluation.corpora.dev.manifest={EXAMPLES}")
    process = launch(output, *(f"training.{setting}" for setting in settings), *corpora, "optim.learning_rate=0.004")
    (output / "console.txt").write_text(process.shown)
    return output


def test_every_loss_falls(finished):
    """But that of diversity: codes fixed after 20 updates are used as they are; they can then be predicted."""
    logs = [logs for logs in read_log(finished) if "loss_text_mlm" in logs]
    first, last = logs[0], logs[-1]
    for name in set(MSLAM_LOSSES) - {"diversity"}:
        assert last[f"loss_{name}"] < first[f"loss_{name}"], name
    assert last["loss_diversity"] < 0.5
    assert max(last["loss_speech_mlm"], last["loss_tlm_speech"]) < math.log(16) - 0.15
    assert last["loss_text_mlm"] < 0.85 * first["loss_text_mlm"] and last["loss_ctc"] < 0.85 * first["loss_ctc"]
    assert last["codebook_usage"] > 0.5 and last["codebook_perplexity"] > 4


def test_the_console_shows_short_tables(finished):
    lines = (finished / "console.txt").read_text().splitlines()
    heads = [number for number, line in enumerate(lines) if line.split() == list(MSLAM_LOSSES)]
    assert len(heads) == 6 + 1
    assert len(lines[heads[0] + 1].split()) == len(MSLAM_LOSSES)


def test_the_result_is_whole(finished):
    assert [path.name for path in list_checkpoints(finished)] == ["checkpoint-30", "checkpoint-60"]
    final = finished / "final"
    assert yaml.safe_load((final / "recipe.yaml").read_text())["kind"] == "mslam_pretraining"
    processor = Mu2SLAMProcessor.from_pretrained(final)
    processor.check_config(MSLAMForPreTraining.from_pretrained(final).config)
    assert f"eval_loss_{MSLAM_LOSSES[0]}" in json.loads((final / "results.json").read_text())


@pytest.fixture
def run_head(finished, tones, tmp_path):
    def run(kind: str, **head) -> Path:
        tree = {
            "kind": "head_finetuning",
            "model": {"init_from": str(finished / "final"), "overrides": {"encoder_config.hidden_dropout": 0.0}},
            # The few transcripts that it was pre-trained on have no x.
            "processor": {"allow_unknown_characters": True},
            "head": {"kind": kind, **head},
            "data": {"corpora": {"train": {"manifest": str(tones)}}, "per_device_train_batch_size": 10},
            "optim": {"learning_rate": 0.02, "warmup_steps": 2},
            "training": {"max_steps": 20, "logging_steps": 5, "eval_steps": 10, "save_steps": 20},
            "evaluation": {"corpora": {"same": {"manifest": str(tones)}}},
        }
        tree["training"].update(use_cpu=True, disable_tqdm=True)
        recipe = tmp_path / "head.yaml"
        recipe.write_text(yaml.safe_dump(tree))
        make_launcher("finetune_mslam.py", recipe, tones)(tmp_path / kind)
        return tmp_path / kind / "final"

    return run


@pytest.mark.parametrize("trainable_layers", [0, 1])
def test_a_head_on_a_frozen_or_partly_frozen_encoder(run_head, finished, trainable_layers):
    final = run_head("audio_classification", trainable_layers=trainable_layers)
    results = json.loads((final / "results.json").read_text())
    counts = json.loads((final / "confusion_same.json").read_text())
    assert counts["references"] == ["en", "fr"] and sum(map(sum, counts["counts"])) == 20
    assert results["same_accuracy"] == 100.0 * sum(counts["counts"][i][i] for i in (0, 1)) / 20
    assert "accuracy" in (final / "confusion_same.txt").read_text()
    model, before = (
        kind.from_pretrained(folder)
        for kind, folder in ((MSLAMForAudioClassification, final), (MSLAMForPreTraining, finished / "final"))
    )
    assert model.config.id2label == {0: "en", 1: "fr"}
    own, theirs = model.model.state_dict(), before.model.state_dict()
    changed = {
        name.split(".")[2] for name in own if not own[name].equal(theirs[name]) and name.startswith("conformer.")
    }
    assert changed == ({"1"} if trainable_layers else set())
    assert own["subsampling.linear.weight"].equal(theirs["subsampling.linear.weight"])


def test_ctc_on_all_layers(run_head):
    final = run_head("ctc")
    assert set(json.loads((final / "results.json").read_text())) == {"same_wer", "same_cer"}
    lines = (final / "transcripts_same.tsv").read_text().splitlines()
    assert lines[0] == "id\treference\thypothesis" and len(lines) == 21
    assert type(MSLAMForCTC.from_pretrained(final)) is MSLAMForCTC
    assert type(Mu2SLAMProcessor.from_pretrained(final).tokenizer).__name__ == "Mu2SLAMCTCTokenizer"
    logs = [logs["loss"] for logs in read_log(final.parent) if "loss" in logs]
    assert logs[-1] < logs[0]


@pytest.mark.slow
@pytest.mark.parametrize("launcher, accumulation", [((), 2), (TWO_PROCESSES, 1)], ids=["alone", "two processes"])
def test_killed_in_the_middle_of_a_step_and_resumed(launch, tmp_path, launcher, accumulation):
    accumulate = f"training.gradient_accumulation_steps={accumulation}"
    check_kill_and_resume(launch, tmp_path, launcher, "model.overrides.quantizer_method=gumbel", accumulate)
