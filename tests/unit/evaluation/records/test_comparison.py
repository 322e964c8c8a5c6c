# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Two systems on the same utterances, and the command that compares them."""

import json
from dataclasses import replace

import pytest

from mu2slam_hf.cli import main
from mu2slam_hf.evaluation.records.comparison import compare_hypotheses, format_comparisons
from mu2slam_hf.evaluation.records.hypotheses import HypothesisFile, read_hypotheses
from mu2slam_hf.evaluation.scores.intervals import Bootstrap
from mu2slam_hf.evaluation.scores.score import Hypothesis

WORDS = "one two three four five six seven eight".split()
BOOTSTRAP = Bootstrap(num_samples=200, seed=1)


def make_system(every: int, num_utterances: int = 60):
    """Transcripts in two languages; one word of every `every`-th utterance is wrong."""
    return [
        Hypothesis(
            key=f"{lang}/{number}",
            id=str(number),
            task="asr",
            source_lang=lang,
            target_lang=lang,
            source_lang_given=True,
            source_text=None,
            reference=" ".join(WORDS[: 3 + number % 5]),
            hypothesis=" ".join(["wrong" if number % every == 0 else "one", *WORDS[1 : 3 + number % 5]]),
        )
        for lang in ("en", "fr")
        for number in range(num_utterances)
    ]


def find(comparisons, metric, lang):
    (one,) = [one for one in comparisons if one.metric == metric and one.source_lang == lang]
    return one


def test_a_clearly_better_system_is_significantly_better():
    bad, good = make_system(2), make_system(30)
    one = find(compare_hypotheses(bad, good, BOOTSTRAP), "wer", "en")
    num_words = sum(3 + number % 5 for number in range(60))
    assert one.difference == pytest.approx(100 * (2 - 30) / num_words)
    assert one.baseline == pytest.approx(3000 / num_words) and one.system == pytest.approx(200 / num_words)
    assert one.interval_low < one.difference < one.interval_high < 0
    assert one.p_value == pytest.approx(1 / 201) and one.verdict == "better"
    reverse = find(compare_hypotheses(good, bad, BOOTSTRAP), "wer", "en")
    assert reverse.verdict == "worse" and reverse.interval_low == pytest.approx(-one.interval_high)
    assert one.signature == "wer|pooled|text:nfkc+lower+nopunct|bs:200|seed:1"


def test_systems_with_the_same_number_of_errors_are_not_different():
    system = make_system(10)
    others = [replace(h, hypothesis=h.reference) for h in system]
    for number in range(1, len(others), 10):
        others[number] = replace(others[number], hypothesis="wrong " + others[number].reference.partition(" ")[2])
    assert sum(h.hypothesis != h.reference for h in others) == sum(h.hypothesis != h.reference for h in system)
    for one in compare_hypotheses(system, others, BOOTSTRAP):
        assert one.interval_low < 0 < one.interval_high and one.verdict == ""
    assert {one.p_value for one in compare_hypotheses(system, system, BOOTSTRAP)} == {1.0}


def test_a_single_utterance_is_not_a_significant_difference():
    base = make_system(1, num_utterances=1)[:1]
    for one in compare_hypotheses(base, [replace(base[0], hypothesis=base[0].reference)], BOOTSTRAP):
        assert one.difference < 0 and one.interval_low == one.interval_high and one.verdict == ""


def test_files_in_another_order_and_means():
    bad, good = make_system(2), make_system(30)
    comparisons = compare_hypotheses(bad, good, BOOTSTRAP)
    assert comparisons == compare_hypotheses(bad, good[::-1], BOOTSTRAP)
    languages = [find(comparisons, "wer", lang) for lang in ("en", "fr")]
    mean = find(comparisons, "wer", "mean")
    assert mean.difference == pytest.approx(sum(one.difference for one in languages) / 2)
    assert mean.num_items == 2 and mean.verdict == "better"
    lines = format_comparisons(comparisons, ("old", "new")).splitlines()
    assert lines[0].split() == ["metric", "n", "old", "new", "difference", "95%", "interval", "p"]
    assert lines[1].startswith("asr en") and lines[1].endswith("0.005  better")


def test_other_utterances_or_references_are_refused():
    system = make_system(2)
    with pytest.raises(ValueError, match=r"1 are in one of the files only, for example fr/59; evaluate both"):
        compare_hypotheses(system, system[:-1])
    changed = [*system[:-1], replace(system[-1], reference="x")]
    with pytest.raises(ValueError, match="references of 1 utterances differ, for example of fr/59"):
        compare_hypotheses(system, changed)
    with pytest.raises(ValueError, match="nothing to compare"):
        compare_hypotheses([], [])


def test_command_compares_files_of_evaluations(tmp_path, capsys):
    systems = {"old": make_system(2), "new": make_system(30)}
    for name, hypotheses in systems.items():
        HypothesisFile(tmp_path / f"{name}.jsonl", {"model": name}).add(hypotheses)
    assert read_hypotheses(tmp_path / "old.jsonl") == systems["old"]
    paths = [str(tmp_path / f"{name}.jsonl") for name in systems]
    assert main(["compare", *paths, "--bootstrap", "200", "--seed", "1"]) == 0
    shown = capsys.readouterr().out.rstrip("\n")
    assert shown == format_comparisons(compare_hypotheses(*systems.values(), BOOTSTRAP), ("old", "new"))
    assert main(["compare", *paths, "--bootstrap", "40", "--json"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert first["verdict"] == "better" and first["source_lang"] == "en"
    (tmp_path / "other.jsonl").write_text('{"text": "a"}\n')
    for name, message in (("gone.jsonl", "no such file; `mu2slam evaluate"), ("other.jsonl", "not a file of hypo")):
        assert main(["compare", paths[0], str(tmp_path / name)]) == 1
        assert message in capsys.readouterr().err
