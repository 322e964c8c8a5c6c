# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Probes on representations whose classes are known: closed forms of the error rate, ids that tell the class."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import REPOSITORY_ROOT, make_tiny_pair

from mu2slam_hf import SpeechTextEncoder, read_manifest
from mu2slam_hf.cli import main
from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.evaluation.scores.intervals import Bootstrap
from mu2slam_hf.evaluation.tasks.probes import equal_error_rate, evaluate_probes, format_probes
from mu2slam_hf.evaluation.tasks.zero_shot_classification import fit_linear

MANIFEST = REPOSITORY_ROOT / "examples" / "manifest.tsv"
RECORDS = read_manifest(MANIFEST)


def test_equal_error_rate_by_hand():
    classes = ["a", "a", "b", "b"]
    apart = torch.tensor([[1.0, 0.1], [1.0, -0.1], [-0.1, 1.0], [0.1, 1.0]])
    assert equal_error_rate(apart, classes).value == 0.0
    assert equal_error_rate(torch.ones(4, 2), classes).value == pytest.approx(50.0)
    # Two equal pairs with cosine 0; of the four different pairs two have cosine 1 and two 0.
    crossed = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    assert equal_error_rate(crossed, classes).value == pytest.approx(200.0 / 3)
    assert equal_error_rate(apart, ["a"] * 4) is None and equal_error_rate(apart, list("abcd")) is None


def test_equal_error_rate_is_where_both_errors_meet():
    generator = torch.Generator().manual_seed(0)
    classes = [str(index % 3) for index in range(24)]
    centers = torch.randn(3, 5, generator=generator)
    vectors = centers[torch.tensor([int(name) for name in classes])] + torch.randn(24, 5, generator=generator)
    rate = equal_error_rate(vectors, classes).value / 100
    pairs = [
        (float(torch.cosine_similarity(vectors[i], vectors[j], dim=0)), classes[i] == classes[j])
        for i in range(24)
        for j in range(i + 1, 24)
    ]
    errors = []
    for threshold, _ in pairs:
        same = [value < threshold - 1e-7 for value, equal in pairs if equal]
        other = [value >= threshold - 1e-7 for value, equal in pairs if not equal]
        errors.append((np.mean(same), np.mean(other)))
    lower = max(refused for refused, accepted in errors if refused <= accepted)
    upper = min(refused for refused, accepted in errors if refused >= accepted)
    assert 0.1 < lower - 1e-9 <= rate <= upper + 1e-9 < 0.5


def test_layers_and_ids_are_classified_as_by_hand():
    pair = make_tiny_pair()
    train = RECORDS[::2]
    test = [record for record in RECORDS[1::2] if record.lang in {known.lang for known in train}]
    languages = {id(record.audio): record.lang for record in RECORDS}
    codes = sorted({record.lang for record in RECORDS})
    waves = {}

    def by_language(recordings):
        """A tokenizer that writes the language, by the length of the recording."""
        return [np.array([waves[len(wave)], 7, waves[len(wave)]]) for wave in recordings]

    from mu2slam_hf.data.audio import load_audio

    for record in RECORDS:
        waves.setdefault(len(load_audio(record.audio)), codes.index(languages[id(record.audio)]))
    results = evaluate_probes(
        *pair, train, test, "lang", tokenizers={"own": by_language}, bootstrap=Bootstrap(num_samples=40)
    )
    values = {(score.system, score.metric): score for score in results.scores}
    assert values["ids own", "accuracy"].value >= 90.0  # recordings of two languages may have one length
    vectors = [SpeechTextEncoder(*pair, layer=1).encode_speech([r.audio for r in part]) for part in (train, test)]
    answers = fit_linear(vectors[0], [r.lang for r in train]).predict(vectors[1])
    right = [answer == record.lang for answer, record in zip(answers, test, strict=True)]
    score = values["layer 1", "accuracy"]
    assert score.value == pytest.approx(100.0 * np.mean(right))
    assert score.interval_low <= score.value <= score.interval_high
    by_class = {code: [r for r, record in zip(right, test, strict=True) if record.lang == code] for code in codes}
    expected = 100.0 * np.mean([np.mean(rows) for rows in by_class.values() if rows])
    assert values["layer 1", "balanced_accuracy"].value == pytest.approx(expected)
    most, _ = Counter(record.lang for record in train).most_common(1)[0]
    share = np.mean([record.lang == most for record in test])
    assert values["majority", "accuracy"].value == pytest.approx(100.0 * share)
    assert values["majority", "balanced_accuracy"].value == pytest.approx(100.0 / len({r.lang for r in test}))
    lines = format_probes(results).splitlines()
    assert [line.split("  ")[0] for line in lines[1:-1]] == ["majority", "layer 0", "layer 1", "layer 2", "ids own"]


def test_longer_ngrams_see_the_order():
    pair = make_tiny_pair()
    classes = ["rise", "fall"] * 5
    records = [
        replace(RECORDS[number % len(RECORDS)], extra={"contour": name}, id=str(number))
        for number, name in enumerate(classes)
    ]
    orders = {"rise": [1, 2, 3], "fall": [3, 2, 1]}
    calls = []

    def tokenize(recordings):
        calls.append(len(recordings))
        return [np.array(orders[classes[index]]) for index in range(len(recordings))]

    accuracies = {}
    for length in (1, 2):
        options = {"layers": [2], "tokenizers": {"own": tokenize}, "max_ngram": length}
        results = evaluate_probes(*pair, records[:6], records[:4], "contour", **options)
        (score,) = results.find(system="ids own", metric="accuracy")
        accuracies[length] = score.value
    assert accuracies == {1: 50.0, 2: 100.0} and calls == [6, 4, 6, 4]


def test_what_cannot_be_probed_is_named():
    pair = make_tiny_pair()
    with pytest.raises(ValueError, match="none of the .* training records with audio has a value of 'colour'"):
        evaluate_probes(*pair, RECORDS, RECORDS, "colour")
    with pytest.raises(ValueError, match="layer 9 is out of range: the encoder has the layers 0 to 2"):
        evaluate_probes(*pair, RECORDS, RECORDS, "lang", layers=[9])
    english = [record for record in RECORDS if record.lang == "en"]
    with pytest.raises(ValueError, match="at least two classes"):
        evaluate_probes(*pair, english, english, "lang", layers=[1])
    other = [record for record in RECORDS if record.lang != "en"]
    with pytest.raises(ValueError, match="none of the .* test records has a class of the training records"):
        evaluate_probes(*pair, other, english, "lang", layers=[1])


def test_the_command(tmp_path, capsys):
    record = tmp_path / "probe.json"
    manifests = ["--manifest", str(MANIFEST), "--train-manifest", str(MANIFEST)]
    assert main(["probe", *manifests, "--layers", "2", "8", "--results", str(record)]) == 0
    output = capsys.readouterr().out
    assert "layer 8" in output and "layer 3" not in output and "majority" in output
    saved = EvaluationResults.load(record)
    # Trained on the recordings that it is tested on: the languages are told.
    (score,) = saved.find(system="layer 8", metric="accuracy")
    assert score.value == 100.0 and saved.settings["layers"] == [2, 8]
    assert main(["probe", "--manifest", str(MANIFEST)]) == 1
    assert "pass --train-manifest or --train-corpus" in capsys.readouterr().err
    assert main(["probe", *manifests, "--speech-tokenizer", str(tmp_path)]) == 1
    assert "expected a speech tokenizer, or a processor that contains one" in capsys.readouterr().err
