# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recipes that start from encoders of transformers, on real recordings: from the folder to a model that is used."""

from pathlib import Path

import pytest
import soundfile
import torch
import yaml
from helpers import REPOSITORY_ROOT
from imported_encoders import bert_config, conformer_config
from training_runs import read_log
from transformers import (
    AutoModel,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2BertModel,
    Wav2Vec2ConformerModel,
    Wav2Vec2FeatureExtractor,
    pipeline,
)

from mu2slam_hf import MSLAMForPreTraining, Mu2SLAMForConditionalGeneration, Mu2SLAMForPreTraining, Mu2SLAMProcessor
from mu2slam_hf.inference.transcription import TranscriptionOptions, transcribe_recordings
from mu2slam_hf.interop.speech_encoder_export import export_speech_encoder
from mu2slam_hf.interop.speech_encoders import load_speech_encoder
from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
from mu2slam_hf.quantization.encoder_codebooks import build_encoder_tokenizer
from mu2slam_hf.recipes.runs.registry import load_runs

EXAMPLES = REPOSITORY_ROOT / "examples"
KINDS = ("bert", "conformer")
EXTRACTORS = {"bert": SeamlessM4TFeatureExtractor, "conformer": Wav2Vec2FeatureExtractor}
NUM_STEPS = 14
COMMON = {
    "processor": {"vocab_size": 100, "num_speech_tokens": 16},
    "optim": {"learning_rate": 5e-3, "warmup_steps": 4},
    "training": {
        **{"max_steps": NUM_STEPS, "logging_steps": 1, "eval_steps": NUM_STEPS, "save_steps": NUM_STEPS},
        **{"disable_tqdm": True, "report_to": [], "use_cpu": True},
    },
}
CORPORA = {"examples": {"manifest": str(EXAMPLES / "manifest.tsv")}}
SUPERVISED = {
    **COMMON,
    "data": {
        "corpora": CORPORA,
        "batch": {"max_seconds": 9},
        "text_batch_share": 0.2,
        "spec_augment": {"max_time_mask_frames": 8, "max_frequency_mask_bins": 4},
    },
    "evaluation": {"corpora": CORPORA},
}
PRETRAINING = {
    **COMMON,
    "kind": "pretraining",
    "speech_tokenizer": {"kind": "random_projection", "config": {"codevector_dim": 4}},
    "data": {
        "corpora": CORPORA,
        "tasks": {
            **{task: {"share": 2, "corpus_weights": {"examples": 1}} for task in ("speech", "text")},
            **{task: {"share": 1, "corpus_weights": {"examples": 1}} for task in ("asr", "ast", "mt")},
        },
    },
    "evaluation": {"corpora": CORPORA, "tasks": ["asr", "speech"]},
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, Path]:
    """A folder of each kind with random weights; that of `conformer` holds no feature extractor."""
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 2, "conv_depthwise_kernel_size": 3, "layerdrop": 0.0}
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in KINDS}
    bert = bert_config(**sizes, feature_projection_input_dim=160, position_embeddings_type="relative_key")
    Wav2Vec2BertModel(bert).save_pretrained(folders["bert"])
    SeamlessM4TFeatureExtractor().save_pretrained(folders["bert"])
    convolutions = {
        "conv_dim": (12,) * 7,
        "conv_kernel": (10, 3, 3, 3, 3, 2, 2),
        "conv_stride": (5, 2, 2, 2, 2, 2, 2),
    }
    conformer = conformer_config(**sizes, **convolutions, feat_extract_norm="layer", position_embeddings_type="rotary")
    Wav2Vec2ConformerModel(conformer).save_pretrained(folders["conformer"])
    return folders


def run(tree: dict, folder: Path, **sections) -> Path:
    """Run a recipe in this process; returns the folder of the run."""
    path = folder / "recipe.yaml"
    merged = {**tree, "output": {"dir": str(folder / "run")}}
    for name, values in sections.items():
        merged[name] = {**merged.get(name, {}), **values}
    path.write_text(yaml.safe_dump(merged))
    for run in load_runs(path):
        run.run()
    return folder / "run"


def read_losses(folder: Path, name: str) -> list[float]:
    return [line[name] for line in read_log(folder) if name in line and "loss" in line]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def load_example(name: str):
    return soundfile.read(EXAMPLES / name)


@pytest.mark.parametrize("kind", KINDS)
def test_supervised_training_of_an_imported_encoder(sources, kind, tmp_path):
    section = {"init_encoder_from": str(sources[kind]), "overrides": {"decoder_config.num_hidden_layers": 1}}
    output = run(SUPERVISED, tmp_path, model=section)
    for name in ("loss_ctc", "loss_asr_decoder"):
        losses = read_losses(output, name)
        assert mean(losses[-3:]) < 0.9 * mean(losses[:3]), (name, losses)
    model = Mu2SLAMForConditionalGeneration.from_pretrained(output / "final").eval()
    processor = Mu2SLAMProcessor.from_pretrained(output / "final")
    processor.check_config(model.config)
    assert type(processor.feature_extractor) is EXTRACTORS[kind]
    assert model.config.inputs_to_logits_ratio == 320
    assert any("eval_ctc_cer" in line for line in read_log(output))
    wave, rate = load_example("en/vm-tooshort.opus")
    resampled = [{"array": wave, "sampling_rate": rate}]
    options = TranscriptionOptions(source_lang="en", generate_kwargs={"num_beams": 1, "max_new_tokens": 3})
    (transcript,) = transcribe_recordings(model, processor, resampled, options)
    assert transcript.language == "en"
    hear = pipeline("automatic-speech-recognition", model=str(output / "final"))
    assert isinstance(hear(resampled[0], generate_kwargs={"target_lang": "en", "max_new_tokens": 3})["text"], str)
    inputs = processor(wave, sampling_rate=rate)
    with torch.no_grad():
        alone = model.get_encoder()(**inputs).last_hidden_state[0]
        short = processor([wave, wave[: rate // 100]], sampling_rate=rate)
        together = model.get_encoder()(**short)
    torch.testing.assert_close(together.last_hidden_state[0, : len(alone)], alone, atol=1e-5, rtol=0)
    assert together.attention_mask[1].sum() >= 1, "however short, it has a frame"


@pytest.mark.parametrize("kind", KINDS)
def test_pretraining_of_an_imported_encoder(sources, kind, tmp_path):
    section = {"init_encoder_from": str(sources[kind]), "overrides": {"decoder_config.num_hidden_layers": 1}}
    output = run(PRETRAINING, tmp_path, model=section)
    for name in ("loss_speech_mlm", "loss_text_decoder", "loss_asr_decoder", "loss_ctc"):
        losses = read_losses(output, name)
        assert mean(losses[-3:]) < mean(losses[:3]), (name, losses)
    model = Mu2SLAMForPreTraining.from_pretrained(output / "final").eval()
    processor = Mu2SLAMProcessor.from_pretrained(output / "final")
    processor.check_config(model.config)
    wave, rate = load_example("en/vm-tooshort.opus")
    assert len(processor.encode_speech(wave, sampling_rate=rate)[0]) == -(-len(wave) * 25 // rate)
    exported = export_speech_encoder(model, tmp_path / "exported")
    assert load_speech_encoder(str(tmp_path / "exported")).config.hidden_size == exported.config.hidden_size


def test_pretraining_with_ids_of_another_encoder(sources, tmp_path, monkeypatch):
    """Of k-means on a public encoder, which reads waveforms; each recording is tokenized once."""
    folder = tmp_path / "codec"
    folder.mkdir()
    bert = AutoModel.from_pretrained(sources["bert"])
    bert.save_pretrained(folder / "encoder")
    SeamlessM4TFeatureExtractor().save_pretrained(folder / "encoder")
    codec = build_encoder_tokenizer(folder / "encoder", 1, num_codevectors=16)
    codec.save_pretrained(folder / "tokenizer")
    calls = []
    tokenize = SpeechTokenizerModel.tokenize_waveforms

    def count(self, waveforms, sampling_rate=None):
        calls.append(len(waveforms))
        return tokenize(self, waveforms, sampling_rate)

    monkeypatch.setattr(SpeechTokenizerModel, "tokenize_waveforms", count)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    overrides = {f"{part}_config.{key}": value for part in ("encoder", "decoder") for key, value in sizes.items()}
    config = str(REPOSITORY_ROOT / "configuration" / "models" / "mu2slam" / "tiny.json")
    output = run(
        {**PRETRAINING, "speech_tokenizer": {"kind": "kmeans", "init_from": str(folder / "tokenizer")}},
        tmp_path,
        model={"config": config, "overrides": {**overrides, "encoder_config.subsampling_conv_channels": [2, 2]}},
    )
    losses = read_losses(output, "loss_speech_decoder")
    assert mean(losses[-3:]) < mean(losses[:3])
    assert calls == [1] * 8, "eight recordings, in training and evaluation"


@pytest.mark.parametrize("kind", KINDS)
def test_self_supervised_training_goes_on_and_the_encoder_goes_back(sources, kind, tmp_path):
    sizes = {"num_codevectors_per_group": 8, "codevector_dim": 8, "proj_codevector_dim": 8, "num_negatives": 6}
    tree = {name: value for name, value in PRETRAINING.items() if name != "speech_tokenizer"}
    tree["data"] = {
        **PRETRAINING["data"],
        "tasks": {name: PRETRAINING["data"]["tasks"][name] for name in ("speech", "text", "asr")},
    }
    section = {"init_encoder_from": str(sources[kind]), "overrides": {**sizes, "num_speech_layers": 1}}
    output = run({**tree, "kind": "mslam_pretraining"}, tmp_path, model=section)
    losses = read_losses(output, "loss_speech_mlm")
    assert mean(losses[-3:]) < mean(losses[:3]), losses
    model = MSLAMForPreTraining.from_pretrained(output / "final").eval()
    processor = Mu2SLAMProcessor.from_pretrained(output / "final")
    exported = export_speech_encoder(model, tmp_path / "exported", processor.feature_extractor)
    wave, rate = load_example("en/vm-tooshort.opus")
    inputs = processor(wave, sampling_rate=rate)
    with torch.no_grad():
        ours = model.model(**inputs).last_hidden_state
        theirs = AutoModel.from_pretrained(tmp_path / "exported").eval()(**inputs).last_hidden_state
        before = AutoModel.from_pretrained(sources[kind]).eval()(**inputs).last_hidden_state
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=0)
    assert type(exported).__name__ == {"bert": "Wav2Vec2BertModel", "conformer": "Wav2Vec2ConformerModel"}[kind]
    assert (theirs - before).abs().max() > 1e-3, "it was trained"
