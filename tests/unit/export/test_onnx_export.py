# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""An exported model computes and writes what the model in PyTorch does; what cannot be exported or run says so."""

import json
import shutil
from unittest.mock import patch

import numpy as np
import pytest
import soundfile
import torch
from helpers import make_tiny_config, make_tiny_pair, save_tiny_checkpoint

from mu2slam_hf import (
    Mu2SLAMConfig,
    Mu2SLAMForConditionalGeneration,
    Mu2SLAMForCTC,
    TranscriptionOptions,
    load_any_checkpoint,
)
from mu2slam_hf.checkpoints.model_choice import ModelChoice
from mu2slam_hf.checkpoints.onnx_folders import EXPORT_FILE, load_onnx
from mu2slam_hf.cli import main
from mu2slam_hf.export import onnx_export
from mu2slam_hf.export.export_check import ExportCheck
from mu2slam_hf.export.onnx_export import export_onnx
from mu2slam_hf.inference.journal import identify_weights
from mu2slam_hf.inference.transcription import transcribe_recordings
from mu2slam_hf.serving.served_models import load_models

RATE = 16_000
SEARCHES = {
    "greedy": {"num_beams": 1},
    "greedy without drafts": {"num_beams": 1, "ctc_draft": False},
    "greedy with CTC": {"num_beams": 1, "ctc_weight": 0.4},
    "beams": {"num_beams": 3},
    "beams with CTC": {"num_beams": 3, "ctc_weight": 0.4},
    "beams without a cache": {"num_beams": 2, "use_cache": False},
    "another language": {"num_beams": 2, "target_lang": "fr"},
    "by way of the transcript": {"num_beams": 2, "target_lang": "fr", "translate_transcript": True},
}


@pytest.fixture(scope="module", autouse=True)
def packages():
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="extra: export")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    """Folder of the command, made once."""
    folder = str(tmp_path_factory.mktemp("out") / "exported")
    assert main(["export", "--model", checkpoint, "--output", folder]) == 0
    return folder


@pytest.fixture(scope="module")
def models(checkpoint, exported):
    return load_any_checkpoint(checkpoint)[0], load_onnx(exported)[0]


@pytest.fixture(scope="module")
def processor(exported):
    return load_onnx(exported)[1]


@pytest.fixture
def recording(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(1.3), RATE)
    return str(tmp_path / "a.wav")


def noise(seconds, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE)).astype(np.float32)


def speech_of(processor, lengths):
    waves = [noise(seconds, seed) for seed, seconds in enumerate(lengths)]
    return processor(audio=waves, sampling_rate=RATE, return_tensors="pt")


@pytest.mark.parametrize("lengths", [[1.0], [0.1], [0.001], [2.317], [1.0, 0.513, 0.1], [0.2] * 5])
def test_states_and_posteriors(models, processor, lengths):
    inputs = speech_of(processor, lengths)
    rows = torch.arange(len(lengths)) % 4
    with torch.no_grad():
        expected, actual = (
            model.encode_speech(inputs["input_features"], inputs["attention_mask"], rows) for model in models
        )
    real = expected.frame_mask.bool()
    assert torch.equal(actual.frame_mask.bool(), real)
    torch.testing.assert_close(actual.states[real], expected.states[real], atol=1e-4, rtol=0)
    for name in ("ctc_logits", "language_logits"):
        first, second = (getattr(encoded, name).softmax(-1) for encoded in (actual, expected))
        torch.testing.assert_close(first, second, atol=1e-4, rtol=0)
    paths = [encoded.ctc_logits.argmax(-1)[real] for encoded in (actual, expected)]
    assert torch.equal(*paths)


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("lengths", [[0.7], [0.9, 0.4, 0.1]], ids=["one", "three"])
def test_every_search_writes_the_same_tokens(models, processor, lengths, search):
    inputs = speech_of(processor, lengths)
    expected, actual = (
        model.generate(**inputs, source_lang="en", max_new_tokens=12, **SEARCHES[search]) for model in models
    )
    assert actual.shape[1] > 2 and torch.equal(actual, expected)


def test_greedy_search_checks_drafts(models, processor):
    """By the search of this package, in as many steps as in PyTorch; transformers' writes token by token."""
    inputs, counts = speech_of(processor, [1.7]), []
    for model in models:
        kind = type(model)
        with (
            patch.object(kind, "_sample", side_effect=AssertionError),
            patch.object(kind, "forward", autospec=True, side_effect=kind.forward) as forward,
        ):
            ids = model.generate(**inputs, source_lang="en", num_beams=1, max_new_tokens=12)
        counts.append((forward.call_count, ids.tolist()))
    assert counts[0] == counts[1]


def test_text_is_a_source_too(models):
    ids = torch.randint(models[0].config.text_token_offset, models[0].config.vocab_size, (2, 9))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    inputs = {"input_ids": ids, "attention_mask": mask, "source_lang": "en", "target_lang": "es"}
    expected, actual = (model.generate(**inputs, num_beams=2, max_new_tokens=8) for model in models)
    assert torch.equal(actual, expected)
    first, second = (model.compute_languages(input_ids=ids, attention_mask=mask).softmax(-1) for model in models)
    torch.testing.assert_close(first, second, atol=1e-4, rtol=0)


def test_logits_step_by_step_are_those_of_the_whole_target(models, processor):
    model, onnx = models
    inputs = speech_of(processor, [0.6, 0.3])
    outputs = onnx.get_encoder()(**inputs)
    ids = torch.randint(model.config.vocab_size, (2, 6))
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 0, 1, 1, 1, 1]])
    rows = torch.tensor([1, 2])
    with torch.no_grad():
        expected = model(
            **inputs, decoder_input_ids=ids, decoder_attention_mask=mask, decoder_language_ids=rows
        ).logits
    parts, cache = [], None
    for start, stop in ((0, 1), (1, 4), (4, 6)):
        output = onnx(
            encoder_outputs=outputs,
            decoder_input_ids=ids[:, start:stop],
            decoder_attention_mask=mask[:, :stop],
            decoder_language_ids=rows,
            past_key_values=cache,
            use_cache=True,
        )
        parts, cache = [*parts, output.logits], output.past_key_values
    real = mask.bool()
    torch.testing.assert_close(torch.cat(parts, dim=1)[real], expected[real], atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="an exported model has no output_attentions; use the PyTorch checkpoint"):
        onnx.generate(**inputs, source_lang="en", output_attentions=True, return_dict_in_generate=True)
    with pytest.raises(ValueError, match="reads input_features or input_ids; got neither"):
        onnx.get_encoder()(inputs_embeds=torch.zeros(1, 3, 16))


def test_the_folder_says_what_it_is(checkpoint, exported):
    with open(f"{exported}/{EXPORT_FILE}", encoding="utf-8") as file:
        content = json.load(file)
    assert (content["format"], content["dtype"], content["model"]) == ("onnx", "float32", checkpoint)
    assert set(content["files"]) == {f"{name}.onnx" for name in ("speech", "text", "heads", "prefill", "decode")} | {
        "weights.bin"
    }
    assert content["check"]["states"] < 1e-4 and content["check"]["num_texts"] == content["check"]["num_recordings"]
    assert {"torch", "onnx", "onnxruntime", "onnxscript", "transformers", "mu2slam-hf"} == set(content["versions"])
    assert {"weights.bin", "speech.onnx"} <= set(identify_weights(exported))


def test_transcribe_writes_what_pytorch_writes(checkpoint, exported, recording, capsys):
    results = []
    for model in (checkpoint, exported):
        arguments = ["transcribe", recording, "--model", model, "--word-times", "--to", "fr", "--max-new-tokens", "9"]
        assert main([*arguments, "--json"]) == 0
        results.append(json.loads(capsys.readouterr().out))
    assert results[0] == results[1] and results[0]["text"]


def test_a_server_takes_it(exported, recording):
    (served,) = load_models({"small": ModelChoice(name=exported)}, TranscriptionOptions()).models.values()
    assert served.translates and "en" in served.languages
    model, processor = ModelChoice(name=exported, backend="onnx").load()
    (expected,) = transcribe_recordings(model, processor, [recording])
    transcriber = served.build_transcriber()
    (actual,) = transcriber.run([transcriber.open(recording)])
    assert actual.text == expected.text


def test_backends_that_cannot_run_a_folder(checkpoint, exported, recording, tmp_path, capsys):
    cases = {
        (checkpoint, "onnx"): "expected a folder of `mu2slam export` for the backend onnx, found no export.json",
        (exported, "torch"): f"an exported model has no weights for PyTorch; use the checkpoint .*{checkpoint}",
    }
    for (model, backend), message in cases.items():
        with pytest.raises(ValueError, match=message):
            ModelChoice(name=model, backend=backend).check()
        assert main(["transcribe", recording, "--model", model, "--backend", backend]) == 1
        assert "mu2slam export" in capsys.readouterr().err or backend == "torch"
    with pytest.raises(ValueError, match="has no weights for PyTorch"):
        load_any_checkpoint(exported)
    with pytest.raises(ValueError, match="expected a backend of auto, torch, onnx, got 'tvm'"):
        ModelChoice(name=exported, backend="tvm").load()
    for option in ({"dtype": "bfloat16"}, {"adapters": {"a": "folder"}}):
        with pytest.raises(ValueError, match=f"as it was exported, without {next(iter(option))}"):
            ModelChoice(name=exported, **option).check()
    incomplete = shutil.copytree(exported, tmp_path / "incomplete")
    (incomplete / "decode.onnx").unlink()
    with pytest.raises(ValueError, match="expected the graphs of `mu2slam export`, found no decode.onnx"):
        load_onnx(incomplete)


def test_packages_that_are_not_installed(exported, recording, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"requires onnxruntime: pip install 'mu2slam-hf\[export\]'"):
        load_onnx(exported)
    assert main(["transcribe", recording, "--model", exported]) == 1
    assert main(["export", "--output", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.count("pip install 'mu2slam-hf[export]'") == 2
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_exported(checkpoint, exported, tmp_path, capsys):
    model, processor = make_tiny_pair()
    ctc = Mu2SLAMForCTC.from_conditional_generation(model)
    with pytest.raises(
        ValueError, match="expected a Mu2SLAMForConditionalGeneration checkpoint .*, got Mu2SLAMForCTC"
    ):
        export_onnx(ctc, processor, tmp_path / "out")
    with pytest.raises(ValueError, match="expected weights in float32 on the CPU .*, got bfloat16 on cpu"):
        export_onnx(make_tiny_pair()[0].bfloat16(), processor, tmp_path / "out")
    with pytest.raises(ValueError, match="expected a dtype of float32, int8, got 'int4'"):
        export_onnx(model, processor, tmp_path / "out", dtype="int4")
    in_chunks = make_tiny_pair()[0]
    in_chunks.set_attention_chunk(10)
    with pytest.raises(ValueError, match=r"cannot be exported to ONNX.*set_attention_chunk\(None\)"):
        export_onnx(in_chunks, processor, tmp_path / "out")
    ctc.save_pretrained(tmp_path / "ctc")
    processor.save_pretrained(tmp_path / "ctc")
    for arguments in (["--model", str(tmp_path / "ctc")], ["--model", exported], ["--model", str(tmp_path / "none")]):
        assert main(["export", *arguments, "--output", str(tmp_path / "out")]) == 1
    assert main(["export", "--model", checkpoint, "--output", exported]) == 1
    errors = capsys.readouterr().err
    assert "got Mu2SLAMForCTC" in errors and "no weights for PyTorch" in errors and "not an empty folder" in errors
    assert not (tmp_path / "out").exists()


def test_a_check_that_fails_leaves_nothing(exported, tmp_path, monkeypatch):
    """The graphs of another model: as a wrong translation of an operation would be noticed."""
    monkeypatch.setattr(onnx_export, "build_graphs", lambda model, processor: {})
    monkeypatch.setattr(onnx_export, "load_onnx", lambda folder: load_onnx(exported))
    model, processor = make_tiny_pair(seed=1)
    with pytest.raises(ValueError, match=r"difference of encoder states: .*, expected at most 0.0001.* nothing was"):
        export_onnx(model, processor, tmp_path / "out", waveforms=[noise(0.8)])
    assert not list(tmp_path.iterdir())
    same, _ = make_tiny_pair(seed=0)
    check = export_onnx(same, processor, tmp_path / "out", waveforms=[noise(0.8), noise(0.3)])
    assert isinstance(check, ExportCheck) and check.num_recordings == check.num_texts == 2


def test_weights_in_8_bits_may_change_some_tokens_only(exported, tmp_path):
    import onnx_ir

    from mu2slam_hf.export.onnx_files import quantize_graph

    states = np.random.default_rng(0).standard_normal((2, 7, 16)).astype(np.float32)
    traced = onnx_ir.external_data.load_to_model(onnx_ir.load(f"{exported}/prefill.onnx"))
    graph = quantize_graph(traced, tmp_path)
    onnx_ir.save(graph, tmp_path / "prefill.onnx")
    import onnxruntime

    exact, rounded = (
        onnxruntime.InferenceSession(f"{folder}/prefill.onnx").run(None, {"states": states})
        for folder in (exported, tmp_path)
    )
    differences = [float(np.abs(one - other).max()) for one, other in zip(exact, rounded, strict=True)]
    assert 0 < max(differences) < 0.05
    counts = {"num_recordings": 9, "seconds": 9.0, "num_ctc_texts": 3, "num_texts": 3}
    values = {"states": 0.3, "ctc_posteriors": 0.2, "language_posteriors": 0.1}
    check = ExportCheck(**counts, **values, changed_tokens=0.08)
    assert check.find_failures("int8") == [] and len(check.find_failures("float32")) == 5
    assert ExportCheck(**counts, **values, changed_tokens=0.2).find_failures("int8") == [
        "share of changed tokens: 0.2, expected at most 0.1"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("positions", ["relative", "relative_key", "sinusoidal"])
def test_other_positions(tmp_path, positions):
    """Of the encoder; those of the decoder are learned, and its prompt has the token of the language."""
    _, processor = make_tiny_pair()
    values = make_tiny_config(vocab_size=len(processor.tokenizer), position_embeddings_type=positions).to_dict()
    values["decoder_config"] |= {"position_embeddings_type": "learned", "max_position_embeddings": 40}
    tokens = list(range(90, 90 + len(values["languages"])))
    config = Mu2SLAMConfig(**values | {"decoder_prompt": "start_language", "language_token_ids": tokens})
    model = Mu2SLAMForConditionalGeneration(config).eval()
    check = export_onnx(model, processor, tmp_path / "out", waveforms=[noise(0.8), noise(0.31)])
    assert check.num_ctc_texts == check.num_texts == 2 and check.states < 1e-4


@pytest.mark.slow
def test_the_shipped_checkpoint_on_all_examples(repository_root, tmp_path, capsys):
    folder = str(tmp_path / "exported")
    assert main(["export", "--output", folder, "--check-on", str(repository_root / "examples")]) == 0
    assert "8 CTC texts and 8 transcripts" in capsys.readouterr().out
    for options in ([], ["--num-beams", "1"], ["--to", "en"]):
        texts = []
        for model in ("default", folder):
            assert main(["transcribe", str(repository_root / "examples"), "--model", model, "--json", *options]) == 0
            texts.append([json.loads(line) for line in capsys.readouterr().out.splitlines()])
        for first, second in zip(*texts, strict=True):
            assert first["text"] == second["text"] and first["language"] == second["language"]
            assert [one["text"] for one in first["segments"]] == [one["text"] for one in second["segments"]]
