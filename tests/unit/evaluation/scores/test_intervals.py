# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Scores, intervals and paired tests beside the command line of sacreBLEU, on real sentences."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from sacrebleu.significance import PairedTest

from mu2slam_hf.evaluation.scores.intervals import Bootstrap, paired_p_value, percentile_interval
from mu2slam_hf.evaluation.scores.metrics import build_metric, compute_metric, extract_statistics, resample_metric
from mu2slam_hf.evaluation.tasks.question_answering import compute_answer_metrics

SEED = 7
NUM_SAMPLES = 200
CHINESE = ["我们明天去北京。", "你好,世界!", "他买了两本书和一支笔。"]
CHINESE_OUTPUT = ["我们明天到北京去。", "你好世界", "他买两本书和笔"]


@pytest.fixture(scope="module")
def sentences(data_root):
    """Russian sentences with capitals, quotes and numbers: references and two systems that make different errors."""
    with (data_root / "parallel_text" / "dev.tsv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        references = [row["ru"] for row in rows if row["ru"] and len(row["ru"].split()) > 3][:150]
    first = [" ".join([*text.split()[2:], *text.split()[:2]]) for text in references]
    second = [text if number % 3 else text.lower().rstrip(".!?") for number, text in enumerate(references)]
    return references, first, second


def run_sacrebleu(folder, references, systems, *options):
    (folder / "references").write_text("\n".join(references) + "\n", encoding="utf-8")
    for name, texts in systems.items():
        (folder / name).write_text("\n".join(texts) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", "references", "-i", *systems, *options, "--format", "json"]
    environment = {**os.environ, "SACREBLEU_SEED": str(SEED)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_scores_and_intervals_are_those_of_the_command_line(sentences, tmp_path):
    references, first, _ = sentences
    options = ("-m", "bleu", "chrf", "ter", "-w", "6", "--confidence", "--confidence-n", str(NUM_SAMPLES))
    shown = run_sacrebleu(tmp_path, references, {"first": first}, *options)
    assert [entry["name"] for entry in shown] == ["BLEU", "chrF2", "TER"]
    bootstrap = Bootstrap(num_samples=NUM_SAMPLES, seed=SEED)
    for name, entry in zip(("bleu", "chrf", "ter"), shown, strict=True):
        value = compute_metric(name, references, first, target_lang="ru", bootstrap=bootstrap)
        assert value.value == pytest.approx(entry["score"], abs=1e-5)
        assert value.signature.partition("|")[0] == entry["name"]
        ours, theirs = set(value.signature.split("|")[1:]), set(entry["signature"].split("|"))
        assert theirs - ours == {f"bs:{NUM_SAMPLES}", f"seed:{SEED}"} and ours <= theirs
        assert value.resampled.mean() == pytest.approx(entry["confidence_mean"], abs=1e-3)
        half_width = (value.interval_high - value.interval_low) / 2
        assert half_width == pytest.approx(entry["confidence_var"], abs=1e-3)
        assert value.interval_low < value.value < value.interval_high


def test_p_values_are_those_of_sacrebleu(sentences, monkeypatch):
    references, first, second = sentences
    third = [text if number % 20 else "" for number, text in enumerate(second)]
    systems = {"second": second, "first": first, "third": third}
    monkeypatch.setenv("SACREBLEU_SEED", str(SEED))
    metrics = {name: build_metric(name, target_lang="ru") for name in ("bleu", "chrf", "ter")}
    test = PairedTest(list(systems.items()), metrics, [references], test_type="bs", n_samples=NUM_SAMPLES)
    bootstrap = Bootstrap(num_samples=NUM_SAMPLES, seed=SEED)
    found = []
    for name, results in zip(metrics, list(test()[1].values())[1:], strict=True):
        base, *others = [
            compute_metric(name, references, texts, target_lang="ru", bootstrap=bootstrap)
            for texts in systems.values()
        ]
        for value, result in zip(others, results[1:], strict=True):
            p_value = paired_p_value(value.resampled - base.resampled, value.value - base.value)
            assert p_value == pytest.approx(result.p_value, abs=1e-9)
            found.append(p_value)
    assert min(found) == pytest.approx(1 / (NUM_SAMPLES + 1)) and len(found) == 6


def test_languages_without_spaces_are_those_of_the_command_line(tmp_path):
    options = ("-m", "bleu", "chrf", "ter", "-w", "6", "-tok", "zh", "--ter-normalized", "--ter-asian-support")
    shown = run_sacrebleu(tmp_path, CHINESE, {"output": CHINESE_OUTPUT}, *options)
    for name, entry in zip(("bleu", "chrf", "ter"), shown, strict=True):
        value = compute_metric(name, CHINESE, CHINESE_OUTPUT, target_lang="zh-Hans")
        assert value.value == pytest.approx(entry["score"], abs=1e-5)
        assert value.signature == f"{entry['name']}|{entry['signature']}"
    assert compute_metric("ter", CHINESE, CHINESE_OUTPUT).value > value.value


def test_rates_are_resampled_by_utterance():
    """Two utterances of one and of nine words: a resample has a WER of 100, 10 or 0 %."""
    metric = build_metric("wer")
    statistics = extract_statistics(metric, ["x", "a b c d e f g h i"], ["y", "a b c d e f g h i"])
    assert statistics == [[1, 1], [0, 9]]
    scores = resample_metric(metric, statistics, Bootstrap(num_samples=400, seed=0))
    assert set(np.round(scores, 6)) == {0.0, 10.0, 100.0}
    assert np.mean(scores == 10.0) == pytest.approx(0.5, abs=0.1)
    assert np.array_equal(scores, resample_metric(metric, statistics, Bootstrap(num_samples=400, seed=0)))
    assert not np.array_equal(scores, resample_metric(metric, statistics, Bootstrap(num_samples=400, seed=1)))


def test_resamples_without_reference_words_are_left_out():
    value = compute_metric("wer", ["", "a b"], ["", "a x"], bootstrap=Bootstrap(num_samples=100))
    assert np.isnan(value.resampled).any()
    assert (value.interval_low, value.interval_high) == (50.0, 50.0)


def test_interval_leaves_a_fortieth_outside_on_each_side():
    assert percentile_interval(np.random.default_rng(0).permutation(400).astype(float)) == (10.0, 389.0)


def test_interval_of_a_share_is_near_the_normal_approximation():
    references = ["a"] * 1000
    hypotheses = ["a"] * 300 + ["b"] * 700
    value = compute_metric("accuracy", references, hypotheses, bootstrap=Bootstrap(num_samples=1000))
    margin = 196 * (0.3 * 0.7 / 1000) ** 0.5
    assert value.interval_low == pytest.approx(30 - margin, abs=0.5)
    assert value.interval_high == pytest.approx(30 + margin, abs=0.5)


def test_answers_have_intervals_too():
    values = compute_answer_metrics(["one", "two", "six"], [["one"], ["two"], ["ten"]], bootstrap=Bootstrap())
    exact = values["exact_match"]
    assert exact.value == pytest.approx(200 / 3) and (exact.interval_low, exact.interval_high) == (0.0, 100.0)


@pytest.mark.parametrize(("arguments", "message"), [({"num_samples": 39}, "at least 40"), ({"seed": -1}, "negative")])
def test_settings_that_cannot_be_used(arguments, message):
    with pytest.raises(ValueError, match=message):
        Bootstrap(**arguments)
