# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""From recipe to text: a transducer is trained, saved, and used like every other model that recognises speech."""

import json

import pytest
import torch
import yaml
from helpers import REPOSITORY_ROOT, save_tiny_checkpoint
from transformers import AutoModelForRNNT, AutoProcessor, pipeline

from mu2slam_hf import Mu2SLAMForRNNT, TranscriptionOptions, load_any_checkpoint, transcribe_recordings
from mu2slam_hf.cli import main
from mu2slam_hf.recipes.runs.registry import build_run, load_recipe
from mu2slam_hf.recipes.schema.loader import RecipeError

EXAMPLES = REPOSITORY_ROOT / "examples"
RECORDING = EXAMPLES / "it" / "vm-leavemsg.opus"


def write_recipe(folder, **head):
    corpus = {"manifest": str(EXAMPLES / "manifest.tsv"), "max_duration_seconds": 20}
    quiet = {"use_cpu": True, "disable_tqdm": True, "report_to": [], "dataloader_num_workers": 0}
    recipe = {
        "kind": "head_finetuning",
        "model": {
            "init_from": str(folder / "model"),
            "overrides": {
                "transducer_config.hidden_size": 16,
                "transducer_config.num_layers": 1,
                "transducer_config.joint_size": 16,
            },
        },
        "processor": {"allow_unknown_characters": True},
        "head": {"kind": "rnnt", "ctc_weight": 0.5, "trainable_layers": 1, **head},
        "data": {"corpora": {"train": corpus}, "per_device_train_batch_size": 3},
        "optim": {"learning_rate": 0.01, "head_learning_rate_ratio": 2.0, "warmup_steps": 1},
        "training": {"max_steps": 4, "logging_steps": 1, "eval_steps": 4, "save_steps": 4, **quiet},
        "evaluation": {"corpora": {"same": corpus}},
        "output": {"dir": str(folder / "run")},
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def final(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transducer")
    save_tiny_checkpoint(folder / "model")
    results = build_run(load_recipe(write_recipe(folder))).run()
    assert results.keys() == {"same_wer", "same_cer"}
    return folder / "run" / "final"


def test_training_lowers_both_losses_and_saves_a_transducer(final):
    log = [json.loads(line) for line in (final.parent / "log.jsonl").read_text().splitlines()]
    losses = [entry for entry in log if "loss_rnnt" in entry]
    assert losses[-1]["loss_rnnt"] < losses[0]["loss_rnnt"]
    assert all(entry["loss_ctc"] > 0 for entry in losses)
    assert any("eval_same_loss" in entry for entry in log)
    model = AutoModelForRNNT.from_pretrained(final)
    assert type(model) is Mu2SLAMForRNNT
    assert model.config.transducer_config.ctc_loss_weight == 0.5
    processor = AutoProcessor.from_pretrained(final)
    assert type(processor.tokenizer).__name__ == "Mu2SLAMTransducerTokenizer"
    assert processor.tokenizer.decode(processor.tokenizer("ll").input_ids) == "ll"
    assert len((final / "transcripts_same.tsv").read_text(encoding="utf-8").splitlines()) > 5


@pytest.fixture(scope="module")
def writing(final, tmp_path_factory):
    """The same model, which writes more than after four updates: blank is less probable."""
    folder = tmp_path_factory.mktemp("writing")
    model, processor = load_any_checkpoint(final)
    with torch.no_grad():
        model.transducer.joint.token_head.bias[model.config.pad_token_id] -= 4.0
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def test_transcription_by_command_pipeline_and_function_is_the_same(writing, capsys):
    model, processor = load_any_checkpoint(writing)
    (transcript,) = transcribe_recordings(model, processor, [str(RECORDING)], TranscriptionOptions(source_lang="it"))
    assert transcript.text
    assert main(["transcribe", str(RECORDING), "--model", str(writing), "--from", "it"]) == 0
    assert transcript.text in " ".join(capsys.readouterr().out.split())
    recognizer = pipeline("automatic-speech-recognition", model=str(writing), device="cpu")
    (unknown,) = transcribe_recordings(model, processor, [str(RECORDING)], TranscriptionOptions())
    assert recognizer(str(RECORDING))["text"] == unknown.text
    beams = recognizer(str(RECORDING), generate_kwargs={"num_beams": 3})["text"]
    (expected,) = transcribe_recordings(
        model, processor, [str(RECORDING)], TranscriptionOptions(generate_kwargs={"num_beams": 3})
    )
    assert beams == expected.text
    with pytest.raises(ValueError, match="does not support ctc_weight"):
        recognizer(str(RECORDING), generate_kwargs={"ctc_weight": 0.5, "num_beams": 3})
    with pytest.raises(ValueError, match="cannot translate"):
        next(transcribe_recordings(model, processor, [str(RECORDING)], TranscriptionOptions(target_langs=("en",))))


def test_a_text_has_the_times_and_confidences_of_ctc(final, capsys):
    text = ["lascia", "un", "messaggio"]
    assert main(["align", str(RECORDING), *text, "--model", str(final), "--from", "it", "--json"]) == 0
    words = json.loads(capsys.readouterr().out)["words"]
    assert [word["word"] for word in words] == text
    times = [(word["start"], word["end"]) for word in words]
    assert times == sorted(times) and all(0 <= word["confidence"] <= 1 for word in words)


def test_evaluation_measures_what_the_transducer_writes(final, tmp_path):
    record = tmp_path / "record.json"
    source = ["--manifest", str(EXAMPLES / "manifest.tsv"), "--tasks", "asr"]
    assert main(["evaluate", *source, "--model", str(final), "--results", str(record)]) == 0
    scores = json.loads(record.read_text(encoding="utf-8"))["scores"]
    assert {score["metric"] for score in scores} >= {"wer", "cer"}


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ({"kind": "ctc"}, "head.ctc_weight: at least 0, for the kind rnnt; got 0.5 for ctc"),
        ({"ctc_weight": -1.0}, "head.ctc_weight: at least 0, for the kind rnnt; got -1.0 for rnnt"),
    ],
)
def test_a_weight_without_a_transducer_is_refused(head, message, tmp_path):
    with pytest.raises(RecipeError, match=message):
        load_recipe(write_recipe(tmp_path, **head))
