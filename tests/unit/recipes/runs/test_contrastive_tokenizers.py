# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Contrastive tokenizers from recordings to ids: by the library, by the command, stopped and started again."""

import json
import shutil

import pytest
import torch
from helpers import REPOSITORY_ROOT
from safetensors.torch import load_file, save_file

from lab.commands import main as run_lab
from mu2slam_hf import (
    MSLAMForCTC,
    MSLAMForPreTraining,
    MSLAMModel,
    Mu2SLAMFeatureExtractor,
    SpeechTokenizerModel,
    default_checkpoint,
)
from mu2slam_hf.cli import main
from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.models.modules_learned_quantization import anneal_temperature
from mu2slam_hf.quantization import codebook_training
from mu2slam_hf.quantization.recorded_features import measure_codebook
from mu2slam_hf.recipes.runs.registry import load_recipe
from mu2slam_hf.recipes.runs.speech_tokenizer import (
    RUN_FOLDER,
    build_run_recipe,
    build_small_config,
    train_speech_tokenizer,
)
from mu2slam_hf.recipes.schema.loader import RecipeError

RECIPE = REPOSITORY_ROOT / "configuration" / "recipes" / "speech_tokenizer" / "contrastive.yaml"
SMALL = {
    "encoder_config.hidden_size": 16,
    "encoder_config.num_hidden_layers": 2,
    "encoder_config.num_attention_heads": 2,
    "encoder_config.intermediate_size": 32,
    "encoder_config.subsampling_conv_channels": "[4, 4]",
    "num_speech_layers": 1,
    "num_negatives": 4,
}
CONTRASTIVE = ("kind=speech_tokenizer", "codebook.kind=contrastive")
TRAINING = {"disable_tqdm": "true", "report_to": "[]", "logging_steps": 1, "save_steps": 2}


def overrides(max_steps: int, **codebook) -> list[str]:
    values = {f"contrastive.model.overrides.{name}": value for name, value in SMALL.items()}
    values |= {f"contrastive.training.{name}": value for name, value in TRAINING.items()}
    values |= {"contrastive.training.max_steps": max_steps, "contrastive.quantizer.gumbel_temperature_decay": 0.9}
    values |= {f"codebook.{name}": value for name, value in {"codevector_dim": 8, **codebook}.items()}
    return [f"{name}={value}" for name, value in values.items()]


def train(folder, tones, max_steps: int, **codebook) -> SpeechTokenizerModel:
    values = [*CONTRASTIVE, "codebook.num_codevectors=8", f"output={folder}", corpus(tones)]
    return train_speech_tokenizer(load_recipe(None, [*values, *overrides(max_steps, **codebook)]))


def corpus(tones) -> str:
    return f"corpora={{tones: {{manifest: {tones}}}}}"


def run_command(*values: str) -> int:
    return main(["train", *(part for value in (*CONTRASTIVE, *values) for part in ("--set", value))])


@pytest.fixture(scope="module")
def trained(tones, tmp_path_factory):
    folder = tmp_path_factory.mktemp("contrastive")
    return train(folder, tones, 3, method="gumbel"), folder


def test_the_tokenizer_is_that_of_the_trained_model(trained, tones):
    tokenizer, folder = trained
    loaded = SpeechTokenizerModel.from_pretrained(folder)
    model = MSLAMForPreTraining.from_pretrained(folder / RUN_FOLDER / "final")
    extractor = Mu2SLAMFeatureExtractor.from_pretrained(folder)
    inputs = extractor(load_audio(read_manifest(tones)[0].audio), sampling_rate=16000)
    with torch.no_grad():
        frames = model.base_model.embed_speech(inputs["input_features"], inputs["attention_mask"])
    expected = model.quantizer.find_codes(frames[0])
    for each in (tokenizer, loaded):
        assert torch.equal(each(inputs["input_features"], inputs["attention_mask"])[0], expected)
    # Mean and deviation of the bins were measured, and the run reads the same features.
    assert extractor.mean is not None
    inside = Mu2SLAMFeatureExtractor.from_pretrained(folder / RUN_FOLDER / "final")
    assert inside.mean == extractor.mean and inside.std == extractor.std
    assert float(tokenizer.quantizer.temperature) == pytest.approx(anneal_temperature(2, 2.0, 0.5, 0.9))


def test_logs_have_losses_temperature_and_use_of_the_codebook(trained):
    lines = [json.loads(line) for line in (trained[1] / RUN_FOLDER / "log.jsonl").read_text().splitlines()]
    logs = [line for line in lines if "loss" in line]
    assert [log["gumbel_temperature"] for log in logs] == pytest.approx([2.0, 1.8, 1.62])
    for log in logs:
        assert 0 < log["codebook_usage"] <= 1 and 1 <= log["codebook_perplexity"] <= 8
        assert log["loss_contrastive"] > 0 and 0 <= log["loss_diversity"] < 1 and log["loss_speech_mlm"] > 0
        assert log["count_text_mlm"] == log["count_ctc"] == 0


def test_a_stopped_run_goes_on_to_the_same_bits(trained, tones, tmp_path):
    """Front end, quantiser and temperature."""
    folder = shutil.copytree(trained[1], tmp_path / "stopped")
    run = folder / RUN_FOLDER
    # As if it had been stopped after its second update.
    for name in ("final", "checkpoint-3"):
        shutil.rmtree(run / name)
    before = (run / "log.jsonl").read_text().count("\n")
    tokenizer = train(folder, tones, 3, method="gumbel")
    for name, tensor in trained[0].state_dict().items():
        assert torch.equal(tokenizer.state_dict()[name], tensor), name
    added = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()[before:]]
    assert [line["step"] for line in added if "loss" in line] == [3]


def test_nearest_with_several_codebooks(tones, tmp_path):
    tokenizer = train(tmp_path, tones, 1, method="nearest", num_codebooks=2)
    assert tokenizer.config.quantizer_method == "nearest" and tokenizer.config.num_codevector_groups == 2
    assert tokenizer(torch.randn(1, 9, 80)).shape == (1, 3, 2)


def test_commands_train_take_and_assess(trained, tones, tmp_path, capsys):
    taken, own = str(tmp_path / "taken"), str(tmp_path / "own")
    model = str(trained[1] / RUN_FOLDER / "final")
    assert run_command(f"codebook.init_from={model}", f"output={taken}") == 0
    assert capsys.readouterr().out.startswith("contrastive, 8 entries, written to")
    assert torch.equal(
        SpeechTokenizerModel.from_pretrained(taken).encoder.subsampling.linear.weight,
        trained[0].encoder.subsampling.linear.weight,
    )
    values = [*overrides(2, num_codevectors=8), "kmeans.seed=3", "contrastive.training.seed=3"]
    assert run_command(corpus(tones), f"output={own}", *values) == 0
    figures = tmp_path / "figures.json"
    projection = str(tmp_path / "projection")
    SpeechTokenizerModel(SpeechTokenizerModel.config_class(num_codevectors_per_group=8)).save_pretrained(projection)
    capsys.readouterr()
    status = run_lab(["assess-tokenizer", projection, taken, own, "--manifest", str(tones), "--results", str(figures)])
    assert status == 0 and "| taken" in capsys.readouterr().out
    rows = json.loads(figures.read_text(encoding="utf-8"))
    assert [row["name"] for row in rows] == ["projection", "taken", "own"]
    # All count the same frames.
    assert len({sum(row["counts"]) for row in rows}) == 1 and rows[1]["figures"]["perplexity"] >= 1


def test_only_a_model_with_its_quantiser_gives_a_tokenizer(trained, tmp_path, capsys):
    """Of any other one transformers would draw the codebook at random."""
    model = MSLAMForPreTraining.from_pretrained(trained[1] / RUN_FOLDER / "final")
    values = model.config.to_dict()
    ctc = MSLAMForCTC(MSLAMForCTC.config_class(**{k: v for k, v in values.items() if k != "model_type"}))
    ctc.save_pretrained(tmp_path / "ctc")
    MSLAMModel(model.config).save_pretrained(tmp_path / "bare")
    model.save_pretrained(tmp_path / "cut")
    weights = load_file(tmp_path / "cut" / "model.safetensors")
    del weights["quantizer.codebook"]
    save_file(weights, tmp_path / "cut" / "model.safetensors", {"format": "pt"})
    for folder, message in (
        (tmp_path / "ctc", "expected a model of type mslam, got 'mslam_ctc' (MSLAMForCTC)"),
        (tmp_path / "bare", "expected MSLAMForPreTraining, which has the quantiser, got MSLAMModel"),
        (tmp_path / "cut", "the checkpoint has no weights for quantizer.codebook"),
        (default_checkpoint(), "expected a model of type mslam, got 'mu2slam'"),
        (tmp_path, "not a checkpoint folder (no config.json)"),
    ):
        output = tmp_path / "out"
        assert run_command(f"codebook.init_from={folder}", f"output={output}") == 1
        assert f"codebook.init_from: {folder}: {message}" in capsys.readouterr().err
        assert not output.exists()


def test_a_collapse_is_named_at_the_end_too(trained, monkeypatch):
    said = []
    monkeypatch.setattr(codebook_training.logger, "warning", said.append)
    tokenizer = SpeechTokenizerModel.from_pretrained(trained[1])

    class Source:
        def of(self, tokenizer):
            return lambda number: iter([torch.randn(100, 16)])

    tokenizer.quantizer.linear.bias[5] = 1e9  # one entry for all
    healths = measure_codebook(tokenizer, Source())
    assert healths[0].usage == 1 / 8 and healths[0].num_ids == 100
    assert "Only 12 % of 8 codebook entries are used by 100 frames at the end of training (perplexity 1)" in said[0]


def test_the_recipe_of_the_repository_is_the_small_encoder(monkeypatch, tmp_path):
    monkeypatch.setenv("MU2SLAM_DATA", str(tmp_path))
    monkeypatch.setenv("MU2SLAM_SYNTHETIC", str(tmp_path))
    for name in ("prompts5", "mboshi_french", "stamps", "prompts"):
        (tmp_path / name).mkdir()
    (tmp_path / "prompts" / "manifest.tsv").write_text("id\taudio\n")
    recipe = load_recipe(RECIPE)
    run = build_run_recipe(recipe, tmp_path)
    small = build_small_config()
    given = run.model.overrides
    assert given["encoder_config.hidden_size"] == small.hidden_size == 144
    assert given["encoder_config.num_hidden_layers"] == small.num_hidden_layers
    assert given["num_speech_layers"] == small.num_speech_layers
    assert list(run.data.tasks) == ["speech"] and run.data.tasks["speech"].corpus_weights["prompts5"] == 2
    assert run.training.use_cpu and run.training.max_steps == 400


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"codebook.kind": "kmeans", "codebook.init_from": "."},
            r"init_from \(an mSLAM model\) is for contrastive only",
        ),
        ({"codebook.kind": "contrastive", "codebook.method": "fsq"}, "expected one of nearest, gumbel"),
        ({"contrastive.corpus_weights.b": 1}, "contrastive.corpus_weights.b: no such corpus"),
        ({"contrastive.utterances": 0}, "utterances must be at least 1"),
        ({"contrastive.quantizer.factor": 1}, "unknown key"),
    ],
)
def test_wrong_recipes_are_refused(values, message, tones):
    overrides = [f"{name}={value}" for name, value in values.items()]
    with pytest.raises(RecipeError, match=message):
        load_recipe(None, ["kind=speech_tokenizer", corpus(tones), *overrides])
