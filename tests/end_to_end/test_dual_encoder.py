# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training of a dual encoder: recipe, tables of speech ids, resumption, adapters, evaluation and search."""

import json
import os
import shutil

import pytest
import torch
import yaml
from helpers import REPOSITORY_ROOT
from safetensors.torch import load_file
from tiny_dual_encoders import NUM_AUDIO, save_language_model
from training_runs import TWO_PROCESSES, make_launcher, read_log

from mu2slam_hf import (
    Mu2SLAMFeatureExtractor,
    SpeechTextDualEncoderModel,
    SpeechTokenizerConfig,
    SpeechTokenizerModel,
    load_any_checkpoint,
    read_manifest,
)
from mu2slam_hf.data.tones import write_tone_corpus
from mu2slam_hf.evaluation.tasks.retrieval import evaluate_retrieval
from mu2slam_hf.recipes.runs.registry import build_run, load_recipe
from mu2slam_hf.recipes.schema.loader import RecipeError

RECIPE = REPOSITORY_ROOT / "configuration" / "recipes" / "dual_encoder" / "tiny_test.yaml"


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """A corpus of tones, a language model and a speech tokenizer, known by the variables of the recipe."""
    folder = tmp_path_factory.mktemp("parts")
    tones = write_tone_corpus(folder / "tones", num_sentences=12, max_words=3)
    torch.manual_seed(0)
    tokenizer = SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=NUM_AUDIO))
    tokenizer.save_pretrained(folder / "speech_tokenizer")
    Mu2SLAMFeatureExtractor().save_pretrained(folder / "speech_tokenizer")
    variables = {
        "MU2SLAM_TINY": str(tones.parent),
        "MU2SLAM_LANGUAGE_MODEL": str(save_language_model(folder / "lm")),
        "MU2SLAM_SPEECH_TOKENIZER": str(folder / "speech_tokenizer"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield tones


def run(output, *overrides):
    return build_run(load_recipe(RECIPE, [f"output.dir={output}", *overrides]))


@pytest.fixture(scope="module")
def finished(parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run(folder).run()
    return folder


def test_a_run_writes_a_model_that_is_evaluated(parts, finished):
    model, processor = load_any_checkpoint(str(finished / "final"))
    assert isinstance(model, SpeechTextDualEncoderModel)
    assert model.config.speech_languages == ["en", "fr"] == model.config.text_languages
    logs = read_log(finished)
    assert {"loss_source_to_target", "loss_spread_out_target"} <= logs[0].keys()
    assert any("eval_loss_target_to_source" in entry for entry in logs)
    results = evaluate_retrieval(model, processor, read_manifest(parts), scores=["dot"], untrained=False)
    assert results.find(metric="recall@1", system="dot", source_lang="fr", task="retrieval_speech_to_text")


def test_pairs_are_learned_within_seconds(parts, tmp_path):
    shares = ("data.tasks.asr.share=18", "data.tasks.mt.share=6", "objective.max_tokens_per_chunk=null")
    rate = ("optim.learning_rate=0.003", "optim.warmup_steps=20", "training.max_steps=180", "evaluation.corpora={}")
    run(tmp_path / "run", "training.logging_steps=180", "training.save_steps=180", *shares, *rate).run()
    model, processor = load_any_checkpoint(str(tmp_path / "run" / "final"))
    results = evaluate_retrieval(model, processor, read_manifest(parts), scores=["dot"], within_language=True)
    wanted = {"task": "retrieval_speech_to_text", "source_lang": "mean"}
    recall = {score.system: score.value for score in results.find(**wanted, metric="recall@1")}
    assert recall["dot"] > 45 and max(recall["chance"], recall["untrained:dot"]) < 30
    errors = {score.system: score.value for score in results.find(**wanted, metric="wer")}
    assert errors["dot"] < 0.5 * errors["untrained:dot"]


def test_every_micro_batch_has_its_shares(parts, tmp_path):
    training = run(tmp_path / "run", "data.tasks.asr.share=3", "data.tasks.mt.share=1")
    data = training.load_data()
    processor = training.build_processor(data)
    trainer = training.build_trainer(processor, training.build_model(processor, data), data)
    loader = iter(trainer.get_train_dataloader())
    for _ in range(30):
        tasks = [name.split(":")[0] for name in next(loader)["record_ids"]]
        assert sorted(tasks) == ["asr", "asr", "asr", "mt"]


def test_a_resumed_run_is_the_same_bit_for_bit(finished, tmp_path, parts):
    resumed = tmp_path / "whole"
    shutil.copytree(finished, resumed)
    shutil.rmtree(resumed / "checkpoint-4")
    shutil.rmtree(resumed / "final")
    again = run(resumed)
    assert again.checkpoint.endswith("checkpoint-2")
    again.run()
    expected, found = (load_file(folder / "final" / "model.safetensors") for folder in (finished, resumed))
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_recordings_are_tokenized_once_for_all_runs(parts, tmp_path, finished):
    training = run(tmp_path / "run", f"data.speech_ids={finished / 'speech_ids'}")
    data = training.load_data()
    processor = training.build_processor(data)
    training.build_trainer(processor, training.build_model(processor, data), data)
    assert training.speech_ids.num_tokenized == 0 and len(training.speech_ids) == 48
    record = next(iter(data["train"]))
    assert list(training.speech_ids.find(record)) == processor.tokenize_speech([{"path": record.audio}])[0]


def test_languages_without_speech_in_training(parts, tmp_path, caplog):
    training = run(tmp_path / "run", "data.speech_languages=[English]", "data.tasks.asr.share=3")
    data = training.load_data()
    processor = training.build_processor(data)
    model = training.build_model(processor, data)
    assert (model.config.speech_languages, model.config.text_languages) == (["en"], ["en", "fr"])
    trainer = training.build_trainer(processor, model, data)
    assert "fr (12 training recordings are left out)" in caplog.text
    spoken = {e.source_lang for e in trainer.train_dataset.examples if e.source_modality == "speech"}
    assert spoken == {"en"} and len(training.speech_ids) == 12 + 24


def test_adapters_train_little_and_keep_the_language_model(parts, tmp_path):
    training = run(tmp_path / "run", "lora.r=2", "training.max_steps=2", "evaluation.corpora={}")
    training.run()
    final = tmp_path / "run" / "final"
    base = load_file(os.path.join(os.environ["MU2SLAM_LANGUAGE_MODEL"], "model.safetensors"))
    merged = load_file(final / "model.safetensors")
    table = "embed_tokens.weight"
    assert torch.equal(merged[f"language_model.{table}"], base[f"model.{table}"])
    changed = "layers.0.self_attn.q_proj.weight"
    assert not torch.equal(merged[f"language_model.{changed}"], base[f"model.{changed}"])
    assert json.loads((final / "adapters" / "adapter_config.json").read_text())["modules_to_save"]
    model, processor = load_any_checkpoint(str(final))
    assert model(**processor(text="a b")).pooler_output.shape == (1, 32)


def test_a_factor_of_0_keeps_the_language_model(parts, tmp_path):
    run(tmp_path / "run", "optim.language_model_factor=0.0", "training.max_steps=2", "evaluation.corpora={}").run()
    base = load_file(os.path.join(os.environ["MU2SLAM_LANGUAGE_MODEL"], "model.safetensors"))
    trained = load_file(tmp_path / "run" / "final" / "model.safetensors")
    names = [name for name in trained if name.startswith("language_model.")]
    assert names and all(torch.equal(trained[name], base[name.replace("language_model", "model")]) for name in names)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.gradient_accumulation_steps=2", "max_tokens_per_chunk"),
        ("data.streaming=true", "one pass"),
        ("data.tasks.asr.share=0", "tasks.asr"),
        ("data.tasks.mt.share=null", "tasks.mt.share"),
        ("model.language_model=null", "either language_model"),
        ("speech_tokenizer=null", "speech_tokenizer: is required"),
        ("model.init_encoder_from=default", "does not apply"),
    ],
)
def test_errors_of_recipes(parts, tmp_path, override, message):
    with pytest.raises((RecipeError, ValueError), match=message):
        run(tmp_path / "run", override).load_data()


@pytest.mark.slow
def test_two_processes_do_what_one_does(parts, tmp_path):
    tree = yaml.safe_load(RECIPE.read_text())
    tree["model"]["dropout"] = 0.0
    tree["training"].update(max_steps=3, eval_steps=0)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(tree))
    launch = make_launcher("train_dual_encoder.py", recipe, parts)
    launch(tmp_path / "alone", "data.tasks.asr.share=12", "data.tasks.mt.share=4")
    launch(tmp_path / "together", launcher=TWO_PROCESSES)
    for alone, together in zip(read_log(tmp_path / "alone"), read_log(tmp_path / "together"), strict=True):
        for name in ("loss_source_to_target", "loss_target_to_source", "loss_spread_out_source", "grad_norm"):
            if name in alone:
                assert together[name] == pytest.approx(alone[name], rel=1e-4), name
