# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import math
from collections import Counter

import pytest

from mu2slam_hf.data.examples.draws import draw_source_lang, draw_targets
from mu2slam_hf.data.examples.example import Target, join_examples
from mu2slam_hf.data.examples.tasks import build_examples
from mu2slam_hf.data.random_keys import DrawKey, counter_generator, draw_generator
from mu2slam_hf.data.records import SpeechTextRecord


def record(lang="en", record_id="a", **fields):
    given = {"text": f"text {lang}", "duration_seconds": 1.0, "audio": f"{lang}.wav", "corpus": "c"} | fields
    return SpeechTextRecord(id=record_id, lang=lang, **given)


def targets_of(*tasks):
    return tuple(Target(task=task, lang=f"l{place}", text="x", num_tokens=2) for place, task in enumerate(tasks))


def test_speech_example_has_transcript_and_every_translation():
    (example,) = build_examples([record(translations={"fr": "t fr", "de": "t de"})], tasks=["asr", "ast"])
    assert [(target.task, target.lang) for target in example.targets] == [("asr", "en"), ("ast", "de"), ("ast", "fr")]
    assert [target.num_tokens for target in example.targets] == [8, 5, 5]
    assert (example.id, example.source_lang, example.duration_seconds) == ("speech:c/en/a", "en", 1.0)


def test_text_directions_are_made_once_and_in_all_directions():
    texts = {lang: f"text {lang}" for lang in ("en", "fr", "de")}
    records = [record(lang, translations={k: v for k, v in texts.items() if k != lang}) for lang in ("en", "fr")]
    examples = build_examples(records, tasks=["mt"])
    directions = [(example.source_lang, target.lang) for example in examples for target in example.targets]
    assert len(directions) == 6 == len(set(directions))
    for example in examples:
        assert example.source_text == texts[example.source_lang]
        assert all(target.text == texts[target.lang] for target in example.targets)
    assert len({example.id for example in examples}) == 3


def test_filters():
    records = [record(translations={"fr": "t", "de": "t"}), record("ru", translations={"en": "t"})]
    examples = build_examples(records, languages=["en", "fr_FR", "fr"])
    kinds = Counter((example.source_modality, example.source_lang, len(example.targets)) for example in examples)
    assert kinds == {("speech", "en", 2): 1, ("text", "en", 1): 1, ("text", "fr", 1): 1}
    assert build_examples([record(text=None, translations={"fr": "t"})], tasks=["ast"])[0].targets[0].lang == "fr"
    assert build_examples([record(audio=None, translations={"fr": "t"})])[0].source_modality == "text"
    for faulty, message in (
        ({"tasks": ["asr", "tts"]}, "asr, ast, mt"),
        ({"tasks": []}, "asr, ast, mt"),
        ({"languages": ["it"]}, "no example"),
    ):
        with pytest.raises(ValueError, match=message):
            build_examples(records, **faulty)
    with pytest.raises(ValueError, match=r"c/en/a.*fill_durations"):
        build_examples([record(duration_seconds=None)])


def test_drawn_targets_follow_weights():
    targets = targets_of("asr", "ast", "ast", "ast")
    assert draw_targets(targets, None, {}, counter_generator(0)) == targets
    assert draw_targets(targets, None, {"ast": 0}, counter_generator(0)) == targets[:1]
    counts = Counter()
    for number in range(4000):
        drawn = draw_targets(targets, 2, {"asr": math.inf}, counter_generator(0, number))
        assert drawn[0] is targets[0] and len(drawn) == 2
        counts[drawn[1].lang] += 1
    assert all(abs(count / 4000 - 1 / 3) < 0.03 for count in counts.values())
    # one of two with weights 3 and 1: the first in 3/4 of draws
    pair = targets_of("asr", "ast")
    share = sum(
        draw_targets(pair, 1, {"asr": 3.0}, counter_generator(1, number)) == pair[:1] for number in range(4000)
    )
    assert abs(share / 4000 - 0.75) < 0.03


def test_undetermined_share():
    drawn = Counter(draw_source_lang("fr", 0.3, counter_generator(0, number)) for number in range(5000))
    assert set(drawn) == {"fr", "und"}
    assert abs(drawn["und"] / 5000 - 0.3) < 0.02
    assert draw_source_lang("fr", 0.0, counter_generator(0)) == "fr"


def test_draws_hang_on_every_part_of_the_key_and_on_nothing_else():
    def first(seed, key, example_id, purpose):
        return draw_generator(seed, key, example_id, purpose).random()

    base = (0, DrawKey(5, 1, 0, 7), "id", "speed")
    assert first(*base) == first(*base)
    assert first(*base) == first(0, DrawKey(6, 1, 0, 9), "id", "speed"), "neither position nor step may matter"
    others = [
        (1, DrawKey(5, 1), "id", "speed"),
        (0, DrawKey(5, 2), "id", "speed"),
        (0, DrawKey(5, 1, 1), "id", "speed"),
        (0, DrawKey(5, 1), "id2", "speed"),
        (0, DrawKey(5, 1), "id", "targets"),
    ]
    assert len({first(*base), *(first(*other) for other in others)}) == 6


def test_joined_examples_keep_common_targets():
    first, second = build_examples(
        [record(translations={"fr": "a b", "de": "x"}), record(record_id="b", translations={"fr": "c"})],
        tasks=["asr", "ast"],
    )
    joined = join_examples([first, second])
    assert [(target.lang, target.text) for target in joined.targets] == [("en", "text en text en"), ("fr", "a b c")]
    assert [target.num_tokens for target in joined.targets] == [16, 6]
    assert joined.duration_seconds == 2.0 and joined.id == first.id
