# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A public speech encoder, trained on recordings without text, and written back in its own format."""

import json

import pytest
import torch
from transformers import AutoFeatureExtractor, AutoModel, SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig
from transformers import Wav2Vec2BertModel as SourceModel

from mu2slam_hf.checkpoints import load_any_checkpoint
from mu2slam_hf.cli import main
from mu2slam_hf.data.tones import write_tone_corpus

QUIET = ["use_cpu=true", "dataloader_num_workers=0", "logging_steps=1", "save_steps=2", "disable_tqdm=true"]
SETTINGS = [part for value in QUIET for part in ("--set", f"training.{value}")]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A small w2v-BERT with random weights in the format of the public one."""
    folder = tmp_path_factory.mktemp("source")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48}
    SourceModel(Wav2Vec2BertConfig(**sizes)).save_pretrained(folder)
    SeamlessM4TFeatureExtractor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """`speech.tsv`, a table of recordings alone; `train.tsv` and `dev.tsv` with their words."""
    folder = tmp_path_factory.mktemp("own")
    manifest = write_tone_corpus(folder / "tones", num_sentences=4)
    header, *rows = [line.split("\t") for line in manifest.read_text(encoding="utf-8").splitlines()]
    places = {name: header.index(name) for name in ("audio", "text", "lang")}
    cells = [[str(manifest.parent / row[places["audio"]]), row[places["text"]], row[places["lang"]]] for row in rows]
    (folder / "speech.tsv").write_text("audio\n" + "".join(f"{row[0]}\n" for row in cells), encoding="utf-8")
    for name in ("train", "dev"):
        lines = ["\t".join(row) for row in (["audio", "text", "lang"], *cells)]
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _train(recipe, folder, *overrides):
    arguments = [part for value in (f"output.dir={folder}", *overrides) for part in ("--set", value)]
    assert main(["train", "--recipe", recipe, *SETTINGS, *arguments]) == 0
    return folder / "final"


@pytest.mark.parametrize("recipe", ["continue_w2v_bert_best_rq", "continue_w2v_bert"])
def test_audio_alone_in_and_the_format_of_transformers_out(recipe, source, recordings, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MU2SLAM_ENCODER", str(source))
    monkeypatch.setenv("MU2SLAM_OWN", str(recordings))
    sizes = ["model.overrides.num_speech_layers=1", "optim.learning_rate=0.01", "optim.warmup_steps=1"]
    final = _train(f"mslam/{recipe}", tmp_path / "run", *sizes, "training.max_steps=3")
    exported = tmp_path / "exported"
    assert main(["export-encoder", str(final), "--output", str(exported)]) == 0
    assert "Wav2Vec2BertModel" in capsys.readouterr().out
    assert main(["export-encoder", str(final), "--output", str(exported)]) == 1
    assert "is not an empty folder" in capsys.readouterr().err

    before, after = AutoModel.from_pretrained(source).eval(), AutoModel.from_pretrained(exported).eval()
    assert type(after) is SourceModel
    moved = [float((a - b).detach().abs().max()) for a, b in zip(before.parameters(), after.parameters(), strict=True)]
    assert max(moved) > 1e-3
    waveform = torch.sin(torch.arange(16000) / 20).numpy()
    inputs = AutoFeatureExtractor.from_pretrained(exported)(waveform, sampling_rate=16000, return_tensors="pt")
    trained, processor = load_any_checkpoint(str(final))
    own = processor.feature_extractor(waveform, sampling_rate=16000, return_tensors="pt")
    torch.testing.assert_close(own["input_features"], inputs["input_features"])
    with torch.no_grad():
        expected = trained.model(input_features=own["input_features"], attention_mask=own["attention_mask"])
        states = after(**inputs).last_hidden_state
    torch.testing.assert_close(states, expected.last_hidden_state, atol=1e-5, rtol=1e-5)


def test_a_probe_trains_a_head_on_the_frozen_encoder(source, recordings, tmp_path, monkeypatch):
    monkeypatch.setenv("MU2SLAM_ENCODER", str(source))
    monkeypatch.setenv("MU2SLAM_OWN", str(recordings))
    final = _train("mslam/probe_ctc", tmp_path / "probe", "training.max_steps=2", "training.eval_steps=2")
    results = json.loads((final / "results.json").read_text(encoding="utf-8"))
    assert set(results) == {"dev_wer", "dev_cer"}
    model, _ = load_any_checkpoint(str(final))
    kept = AutoModel.from_pretrained(source).encoder.layers[0].ffn1.intermediate_dense.weight
    assert any(torch.equal(parameter, kept) for parameter in model.parameters() if parameter.shape == kept.shape)


def test_an_encoder_of_our_own_has_no_other_format(tmp_path, capsys):
    assert main(["export-encoder", "default", "--output", str(tmp_path / "out")]) == 1
    assert "front end" in capsys.readouterr().err and not (tmp_path / "out").exists()
