# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A start that `mu2slam init` makes of public models is adapted to recordings like any other checkpoint."""

import json

import pytest
from field_recordings import write_clips
from imported_encoders import bert_config, shake
from public_text_models import FORMATS, make_text_model, make_tokenizer
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertModel, pipeline

from mu2slam_hf import Mu2SLAMConfig, Mu2SLAMProcessor
from mu2slam_hf.cli import main


@pytest.fixture(params=[FORMATS[0], *(pytest.param(one, marks=pytest.mark.slow) for one in FORMATS[1:])])
def start(request, tmp_path) -> str:
    """A w2v-BERT encoder and a text model of a public format, of random weights, joined by `mu2slam init`."""
    tokenizer = make_tokenizer(request.param)
    encoder = bert_config(feature_projection_input_dim=160, position_embeddings_type="relative_key", layerdrop=0.0)
    shake(Wav2Vec2BertModel(encoder)).save_pretrained(tmp_path / "speech")
    SeamlessM4TFeatureExtractor().save_pretrained(tmp_path / "speech")
    make_text_model(request.param, len(tokenizer)).save_pretrained(tmp_path / "text")
    tokenizer.save_pretrained(tmp_path / "text")
    folder = str(tmp_path / "start")
    parts = ["--speech-model", str(tmp_path / "speech"), "--text-model", str(tmp_path / "text")]
    options = ["--table-languages", "en,fr,mdw", "--num-speech-tokens", "16", "--decoder-layers", "2"]
    assert main(["init", *parts, *options, "--output-dir", folder]) == 0
    return folder


def test_a_start_of_public_weights_is_adapted(start, tmp_path, capsys):
    """The language is one of the table; one of its letters is new for the tokenizer of the text model."""
    texts = {f"clip_{n}": f"the c\u025bt sat {'abcdefgh'[n]}" for n in range(8)}
    french = {name: f"le chat est sur {text[-1]}" for name, text in texts.items()}
    write_clips(tmp_path / "field", texts, **french)
    output = tmp_path / "model"
    arguments = ["--to", "fr", "--model", start, "--output", str(output), "--max-steps", "2"]
    assert main(["adapt", str(tmp_path / "field"), "--lang", "mdw", *arguments, "--method", "frozen"]) == 0
    printed = capsys.readouterr().out
    assert f"start        the checkpoint {start}, to which new characters of mdw are added" in printed
    assert "CER of transcription" in printed and "BLEU of translation into fr" in printed
    config = Mu2SLAMConfig.from_pretrained(output)
    processor = Mu2SLAMProcessor.from_pretrained(output)
    (new,) = config.restricted_tokens["mdw"]
    assert processor.tokenizer.convert_ids_to_tokens(new) == "\u025b" and config.decoder_prompt != "start"
    assert {"before", "after"} <= json.loads((output / "adaptation" / "finished.json").read_text()).keys()
    transcriber = pipeline("automatic-speech-recognition", model=str(output))
    written = transcriber(str(tmp_path / "field" / "clip_0.wav"), generate_kwargs={"target_lang": "mdw"})
    assert isinstance(written["text"], str)


def test_a_language_that_such_a_start_cannot_get_is_refused_before_the_speed_is_measured(start, tmp_path, capsys):
    write_clips(tmp_path / "field", {"clip_0": "the cat", "clip_1": "the dog"})
    arguments = ["--lang", "de", "--model", start, "--output", str(tmp_path / "model")]
    assert main(["adapt", str(tmp_path / "field"), *arguments]) == 1
    assert "mu2slam init --table-languages" in capsys.readouterr().err
    assert not (tmp_path / "model" / "adaptation" / "train.jsonl").exists()
