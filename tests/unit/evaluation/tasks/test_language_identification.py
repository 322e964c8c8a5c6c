# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Languages of recordings and texts: probabilities, refusal, evaluation, and the command."""

import itertools
import json

import numpy as np
import pytest
import soundfile
from helpers import REPOSITORY_ROOT, make_tiny_pair
from mslam_batches import make_config

from mu2slam_hf import MSLAMForAudioClassification, load_default, read_manifest
from mu2slam_hf.cli import main
from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.evaluation.tasks.language_identification import evaluate_language_identification
from mu2slam_hf.inference.language_identification import iterate_languages, predict_languages
from mu2slam_hf.inference.transcription import TranscriptionOptions, transcribe_recordings
from mu2slam_hf.inference.windows import RecordingEnd, cut_windows

EXAMPLES = REPOSITORY_ROOT / "examples"
FILES = sorted(EXAMPLES.glob("*/*.opus"))
SPOKEN = [file.parent.name for file in FILES]


@pytest.fixture(scope="module")
def default():
    return load_default()


def test_the_shipped_checkpoint_knows_the_languages_of_the_examples(default):
    guesses = predict_languages(*default, audio=FILES)
    assert [guess.lang for guess in guesses] == SPOKEN
    for guess in guesses:
        values = list(guess.probabilities.values())
        assert sum(values) == pytest.approx(1.0, abs=1e-5)
        assert values == sorted(values, reverse=True)
        assert set(guess.probabilities) == {"en", "es", "fr", "it", "ru"}
        assert list(guess.top(2)) == list(guess.probabilities)[:2]
    texts = {"ru": "нажмите пять чтобы оставить сообщение", "it": "premere cinque per lasciare un messaggio"}
    assert [guess.lang for guess in predict_languages(*default, text=list(texts.values()))] == list(texts)


def test_guesses_are_those_of_transcription_and_do_not_depend_on_the_batch():
    pair = make_tiny_pair()
    waves = [load_audio(file) for file in FILES]
    guesses = predict_languages(*pair, audio=waves)
    options = TranscriptionOptions(generate_kwargs={"num_beams": 1, "max_new_tokens": 3})
    written = [transcript.written_language for transcript in transcribe_recordings(*pair, waves, options)]
    assert [guess.lang for guess in guesses] == written
    (alone,) = predict_languages(*pair, audio=waves[3:4])
    assert alone.probabilities == pytest.approx(guesses[3].probabilities, abs=1e-5)


def make_long(seconds: float, pause_seconds: float = 1.0) -> np.ndarray:
    """Examples with pauses, until there are at least so many seconds."""
    pause = np.zeros(round(pause_seconds * 16000), dtype=np.float32)
    parts: list[np.ndarray] = []
    for file in itertools.cycle(FILES):
        parts += [load_audio(file), pause]
        if sum(map(len, parts)) >= seconds * 16000:
            return np.concatenate(parts)


def test_a_long_recording_has_the_mean_of_its_windows(tmp_path):
    pair = make_tiny_pair()
    waveform = make_long(40)
    windows = [
        window.waveform
        for window in cut_windows(iter([waveform[:, None]]), 16000, 15.0)
        if not isinstance(window, RecordingEnd)
    ]
    assert len(windows) > 5 and max(map(len, windows)) < 16000 * 15
    alone = predict_languages(*pair, audio=windows)
    weights = [len(window) / sum(map(len, windows)) for window in windows]
    expected = {
        lang: sum(weight * guess.probabilities[lang] for weight, guess in zip(weights, alone, strict=True))
        for lang in alone[0].probabilities
    }
    # From a file that is read in blocks, between other recordings and in many batches.
    file = tmp_path / "long.wav"
    soundfile.write(file, waveform, 16000, subtype="FLOAT")
    short, guess, *_ = predict_languages(*pair, audio=[FILES[0], file, FILES[1]], batch_seconds=3.0)
    assert guess.probabilities == pytest.approx(expected, abs=1e-5) and guess.has_speech
    assert list(guess.probabilities) == sorted(expected, key=lambda lang: -expected[lang])
    assert short.probabilities == pytest.approx(predict_languages(*pair, audio=FILES[:1])[0].probabilities, abs=1e-6)


def test_a_classifier_reads_windows_of_the_length_that_its_configuration_says():
    processor = make_tiny_pair()[1]
    config = make_config({"num_mel_bins": 80}, vocab_size=len(processor.tokenizer), id2label={0: "en", 1: "ru"})
    model = MSLAMForAudioClassification(config).eval()
    model.config.chunk_length_s = 3.0
    lengths = []
    forward = model.forward

    def count(*args, **inputs):
        lengths.append(inputs["input_features"].shape[1])
        return forward(*args, **inputs)

    model.forward = count
    (guess,) = predict_languages(model, processor, audio=[make_long(20)])
    # Windows have at most a second more on both sides.
    assert max(lengths) <= 500 and sum(guess.probabilities.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("seconds", [2, 40])
def test_without_speech_the_language_is_undetermined(seconds, capsys, tmp_path):
    pair = make_tiny_pair()
    silence = np.zeros(16000 * seconds, dtype=np.float32)
    silent, spoken = predict_languages(*pair, audio=[silence, FILES[0]])
    assert (silent.lang, silent.probabilities, silent.has_speech) == ("und", {}, False)
    assert spoken.has_speech
    file = tmp_path / "silence.wav"
    soundfile.write(file, silence, 16000)
    assert main(["identify-language", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: und (no speech)\n"
    assert main(["identify-language", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "file": str(file),
        "lang": "und",
        "probabilities": {},
        "has_speech": False,
    }


def test_windows_that_ctc_finds_without_speech_are_left_out():
    model, processor = make_tiny_pair()
    (plain,) = predict_languages(model, processor, audio=FILES[:1])
    feature = {"mean": 0.0, "deviation": 1.0, "linear": 1.0}
    model.generation_config.no_speech = {"bias": -9.0, "weights": {"ctc_largest": feature}}
    assert not predict_languages(model, processor, audio=FILES[:1])[0].has_speech
    model.generation_config.no_speech = {"bias": 9.0, "weights": {"ctc_largest": feature}}
    assert predict_languages(model, processor, audio=FILES[:1]) == [plain]


def test_recordings_are_read_one_after_the_other():
    pair = make_tiny_pair()
    found = list(iterate_languages(*pair, iter([FILES[0], "missing.wav", make_long(20)])))
    assert [type(one).__name__ for one in found] == ["LanguageGuess", "AudioError", "LanguageGuess"]
    assert found[0].probabilities == pytest.approx(predict_languages(*pair, audio=FILES[:1])[0].probabilities)


def test_the_checkpoint_may_say_what_is_too_unlikely():
    model, processor = make_tiny_pair()
    model.generation_config.min_language_probability = 0.99
    assert predict_languages(model, processor, audio=FILES[:1])[0].lang == "und"
    assert predict_languages(model, processor, audio=FILES[:1], min_probability=0.0)[0].lang != "und"


def test_an_unlikely_language_is_refused():
    pair = make_tiny_pair()
    (guess,) = predict_languages(*pair, audio=FILES[:1])
    likeliest = max(guess.probabilities.values())
    assert predict_languages(*pair, audio=FILES[:1], min_probability=likeliest - 1e-3)[0].lang == guess.lang
    assert predict_languages(*pair, audio=FILES[:1], min_probability=likeliest + 1e-3)[0].lang == "und"


def test_a_model_without_a_head_is_refused():
    model, processor = make_tiny_pair()
    with pytest.raises(ValueError, match="Mu2SLAMModel has no language head"):
        predict_languages(model.model, processor, audio=FILES[:1])


def test_one_recording_or_text_without_a_list_is_refused():
    pair = make_tiny_pair()
    for name, one in (("audio", str(FILES[0])), ("audio", FILES[0]), ("text", "press one")):
        with pytest.raises(ValueError, match=rf"{name}: expected a list, got \w+; pass {name}=\[\.\.\.\]"):
            predict_languages(*pair, **{name: one})


def test_evaluation_counts_recordings_and_refusals(default):
    records = read_manifest(EXAMPLES / "manifest.tsv")
    matrix, results = evaluate_language_identification(*default, records, model_name="default")
    assert matrix.accuracy == 100.0 and matrix.num_items == len(FILES)
    (accuracy,) = results.find(metric="accuracy")
    assert accuracy.value == 100.0 and accuracy.task == "lid"
    assert {score.source_lang for score in results.find(metric="recall")} == set(SPOKEN)
    # A language that the model does not know is right only if it is refused.
    stranger = [SpeechTextRecord(id="x", audio=str(FILES[0]), lang="de", duration_seconds=1.0)]
    strict = {"min_probability": 1.0}
    for options, share in (({}, 0.0), (strict, 100.0)):
        if options and predict_languages(*default, audio=FILES[:1])[0].top(1)["en"] == 1.0:
            continue
        _, results = evaluate_language_identification(*default, [*records, *stranger], **options)
        assert [score.value for score in results.find(metric="refused")] == [share]
    with pytest.raises(ValueError, match="none of the 1 records has a recording"):
        evaluate_language_identification(*default, [SpeechTextRecord(id="y", text="one", lang="en")])
    with pytest.raises(ValueError, match="modality"):
        evaluate_language_identification(*default, records, modality="smell")


def test_command_prints_languages_reports_bad_files_and_fails(capsys, tmp_path):
    missing = tmp_path / "missing.wav"
    assert main(["identify-language", str(FILES[-1]), str(missing), "--top", "2"]) == 1
    captured = capsys.readouterr()
    (line,) = captured.out.splitlines()
    assert line.startswith(f"{FILES[-1]}: ru (ru ") and line.count("%") == 2
    assert "missing.wav" in captured.err
    assert main(["identify-language", "--text", "НАЖМИТЕ пять", "--json", "--min-probability", "0.5"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["lang"] == "ru" and len(answer["probabilities"]) == 3
    assert main(["identify-language"]) == 1
    assert "exactly one of recordings, --text" in capsys.readouterr().err


def test_command_evaluates_a_manifest(capsys, tmp_path):
    results = tmp_path / "lid.json"
    arguments = ["--manifest", str(EXAMPLES / "manifest.tsv"), "--results", str(results)]
    assert main(["identify-language", *arguments]) == 0
    printed = capsys.readouterr().out
    assert "accuracy 100.0 %" in printed and "recall" in printed.splitlines()[0]
    record = EvaluationResults.load(results)
    assert record.data["corpus"] == "manifest.tsv" and record.model["name"] == "default"
