# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Languages of recordings and texts: probabilities, refusal, evaluation, and the command."""

import json

import pytest
from helpers import REPOSITORY_ROOT, make_tiny_pair

from mu2slam_hf import load_default, read_manifest
from mu2slam_hf.cli import main
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.decode import guess_languages
from mu2slam_hf.evaluation.language_identification import evaluate_language_identification, predict_languages
from mu2slam_hf.evaluation.results import EvaluationResults

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
    from mu2slam_hf.data.audio import load_audio

    pair = make_tiny_pair()
    waves = [load_audio(file) for file in FILES]
    guesses = predict_languages(*pair, audio=waves)
    assert [guess.lang for guess in guesses] == guess_languages(*pair, waves)
    (alone,) = predict_languages(*pair, audio=waves[3:4])
    assert alone.probabilities == pytest.approx(guesses[3].probabilities, abs=1e-5)


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
