# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recipes of speech tokenizers, from the YAML to ids, by the library and by the command."""

import json

import pytest
import torch
import yaml
from helpers import REPOSITORY_ROOT, save_tiny_checkpoint

from lab.commands import main as run_lab
from mu2slam_hf import Mu2SLAMFeatureExtractor, SpeechTokenizerConfig, SpeechTokenizerModel, default_checkpoint
from mu2slam_hf.cli import main
from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.quantization.recorded_features import RecordedFeatures
from mu2slam_hf.recipes.runs.registry import load_recipe
from mu2slam_hf.recipes.runs.speech_tokenizer import train_speech_tokenizer
from mu2slam_hf.recipes.schema.loader import RecipeError

FOLDER = REPOSITORY_ROOT / "configuration" / "recipes" / "speech_tokenizer"
# The contrastive one trains a network: tests/unit/recipes/test_contrastive_tokenizers.py.
RECIPES = sorted(path for path in FOLDER.glob("*.yaml") if path.stem != "contrastive")
EXAMPLES, DEFAULT = str(REPOSITORY_ROOT / "examples" / "manifest.tsv"), default_checkpoint()
QUICK = ["kmeans.passes=2", "codebook.num_codevectors=6", "cache_megabytes=1"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_of_the_repository(path, tones, tmp_path):
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    tree["corpora"] = {"tones": {"manifest": str(tones)}}
    if tree["codebook"].get("encoder"):
        tree["codebook"] |= {"encoder": save_tiny_checkpoint(tmp_path / "encoder"), "layer": 1}
    written = tmp_path / path.name
    written.write_text(yaml.safe_dump(tree), encoding="utf-8")
    overrides = [*QUICK, f"output={tmp_path / 'out'}"]
    tokenizer = train_speech_tokenizer(load_recipe(written, overrides))
    loaded = SpeechTokenizerModel.from_pretrained(tmp_path / "out")
    extractor = Mu2SLAMFeatureExtractor.from_pretrained(tmp_path / "out")
    features = extractor(load_audio(read_manifest(tones)[0].audio), sampling_rate=16000)["input_features"]
    assert torch.equal(loaded(features), tokenizer(features))


def test_there_are_recipes():
    assert len(RECIPES) >= 2


def test_every_pass_brings_the_same_frames_in_another_order(tones):
    records = read_manifest(tones)
    source = RecordedFeatures(records, Mu2SLAMFeatureExtractor(), batch_seconds=2.0)
    passes = [torch.cat(list(source.log_mel(number))) for number in (0, 1, 0)]
    assert torch.equal(passes[0], passes[2]) and not torch.equal(passes[0], passes[1])
    assert torch.equal(passes[0].sum(1).sort().values, passes[1].sum(1).sort().values)
    assert passes[0].shape == (sum(round(100 * r.duration_seconds) for r in records), 80)


@pytest.mark.parametrize("max_bytes", [0, 60_000, 10**9])
def test_features_kept_between_passes_are_the_same(tones, max_bytes, monkeypatch):
    source = RecordedFeatures(read_manifest(tones), Mu2SLAMFeatureExtractor(), batch_seconds=2.0, max_bytes=max_bytes)
    tokenizer = SpeechTokenizerModel(SpeechTokenizerConfig(kind="kmeans", num_codevectors_per_group=4))
    features, loads = source.of(tokenizer), []
    monkeypatch.setattr(source, "load", lambda record, load=source.load: loads.append(record.key) or load(record))
    passes = [torch.cat(list(features(number))) for number in (0, 1)]
    assert torch.equal(passes[0].sum(1).sort().values, passes[1].sum(1).sort().values)
    again = {0: 12, 60_000: range(7, 12), 10**9: 6}[max_bytes]
    assert len(loads) in (again if isinstance(again, range) else [again])


def test_unreadable_recordings_are_left_out(tones, tmp_path):
    records = read_manifest(tones)
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"")
    source = RecordedFeatures(
        [*records, records[0].__class__(id="broken", audio=str(broken))], Mu2SLAMFeatureExtractor(), batch_seconds=2.0
    )
    assert list(source.log_mel(0)) and list(source.failures) == ["/und/broken"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "corpora: at least one is required"),
        ({"kind": "pretraining"}, "of kind pretraining, not speech_tokenizer; use `mu2slam train"),
        ({"codebook": {"kind": "kmean"}}, "codebook.kind: expected one of"),
        ({"codebook": {"encoder": "."}}, "must be given together"),
        ({"codebook": {"encoder": ".", "layer": 1, "kind": "random_projection"}}, "for kmeans only"),
        ({"kmean": {}}, "unknown key"),
    ],
)
def test_wrong_recipes_are_refused(values, message, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    with pytest.raises(RecipeError, match=message):
        load_recipe(path, kind="speech_tokenizer")


def test_commands_train_and_assess(tones, tmp_path, capsys):
    projection, kmeans = str(tmp_path / "projection"), str(tmp_path / "kmeans")
    shared = ["kind=speech_tokenizer", f"corpora={{tones: {{manifest: {tones}}}}}", "codebook.num_codevectors=8"]
    for values in (
        ["codebook.kind=random_projection", "codebook.num_codebooks=2", f"output={projection}"],
        ["codebook.num_context_frames=0", "kmeans.passes=2", "kmeans.keep=0", f"output={kmeans}"],
    ):
        assert main(["train", *(part for value in (*shared, *values) for part in ("--set", value))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("random_projection, 2 x 8 entries") and lines[1].startswith("pass 1: ")
    assert lines[3].startswith("kmeans, 8 entries")
    config = SpeechTokenizerModel.from_pretrained(projection).config
    assert len(config.feature_mean) == 80 and config.num_codevector_groups == 2
    figures = tmp_path / "figures.json"
    status = run_lab(["assess-tokenizer", projection, kmeans, "--manifest", str(tones), "--results", str(figures)])
    output = capsys.readouterr().out
    assert status == 0 and "perplexity" in output and "| kmeans" in output
    first, second = json.loads(figures.read_text(encoding="utf-8"))
    assert first["name"] == "projection" and second["figures"]["usage"] > 0.5
    assert second["num_recordings"] == 6 and sum(second["counts"]) == round(25 * second["num_seconds"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "pass a recipe: a YAML file or a name listed by"),
    ],
)
def test_commands_say_what_is_missing(arguments, message, capsys):
    assert main(arguments) == 1
    assert message in capsys.readouterr().err
