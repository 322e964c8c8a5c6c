# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import math
from collections import Counter

import pytest

from mu2slam_hf.data.examples.draws import DrawOptions, draw_source_lang, draw_targets
from mu2slam_hf.data.examples.example import Example, Target, join_examples
from mu2slam_hf.data.random_keys import DrawKey, counter_generator, draw_generator


def targets_of(*tasks):
    return tuple(Target(task=task, lang=f"l{place}", text="x", num_tokens=2) for place, task in enumerate(tasks))


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


def test_draws_depend_on_seed_epoch_copy_id_and_purpose_only():
    def first(seed, key, example_id, purpose):
        return draw_generator(seed, key, example_id, purpose).random()

    base = (0, DrawKey(5, 1, 0, 7), "id", "speed")
    assert first(*base) == first(*base)
    assert first(*base) == first(0, DrawKey(6, 1, 0, 9, 3), "id", "speed"), "position, step, phase must not matter"
    others = [
        (1, DrawKey(5, 1), "id", "speed"),
        (0, DrawKey(5, 2), "id", "speed"),
        (0, DrawKey(5, 1, 1), "id", "speed"),
        (0, DrawKey(5, 1), "id2", "speed"),
        (0, DrawKey(5, 1), "id", "targets"),
    ]
    assert len({first(*base), *(first(*other) for other in others)}) == 6


def test_joined_examples_keep_common_targets():
    texts = [{"en": "text en", "fr": "a b", "de": "x"}, {"en": "text en", "fr": "c"}]
    first, second = (
        Example(
            id=str(number),
            source_modality="speech",
            source_lang="en",
            targets=tuple(Target(task="asr", lang=k, text=v, num_tokens=len(v) + 1) for k, v in part.items()),
            duration_seconds=1.0,
        )
        for number, part in enumerate(texts)
    )
    joined = join_examples([first, second])
    assert [(target.lang, target.text) for target in joined.targets] == [("en", "text en text en"), ("fr", "a b c")]
    assert [target.num_tokens for target in joined.targets] == [16, 6]
    assert joined.duration_seconds == 2.0 and joined.id == first.id


@pytest.mark.parametrize(
    "fields", [{"max_targets": 0}, {"undetermined_source_ratio": 2.0}, {"task_weights": {"tts": 1.0}}]
)
def test_faulty_options(fields):
    with pytest.raises(Exception, match=next(iter(fields))):
        DrawOptions(**fields)
