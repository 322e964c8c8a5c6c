# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import numpy as np

from mu2slam_hf.data.collation.views import (
    VIEWS_OF_TASK,
    Content,
    UnitPool,
    ViewBuilder,
    denoising_sequence,
)
from mu2slam_hf.data.masking import MaskingConfig
from mu2slam_hf.data.random_keys import counter_generator
from mu2slam_hf.models.task_types import PRETRAINING_TASKS, PRETRAINING_VIEWS, SPEECH, TEXT

CANDIDATES = np.arange(500, 600, dtype=np.int64)


def speech(pool, num_frames):
    is_target = np.ones(num_frames, dtype=bool)
    units = pool.frames(0, num_frames)
    return Content(units=units, may_be_target=is_target, modality_id=SPEECH, language_id=1, told_language_id=1)


def text(pool, first_id, language):
    token_ids = np.arange(first_id, first_id + 20)
    return Content(
        units=pool.add_tokens(token_ids),
        may_be_target=np.ones(20, dtype=bool),
        modality_id=TEXT,
        language_id=language,
        told_language_id=language,
        word_numbers=np.arange(20) // 2,
        token_ids=token_ids,
    )


def build_all(task, **masking):
    """All views of 40 frames, or 20 tokens of two to a word."""
    pool = UnitPool(1, 40, [0, 1, 2])
    source = speech(pool, 40) if task in ("speech", "asr", "ast") else text(pool, 100, 1)
    target = None if task in ("speech", "text") else text(pool, 300, 2)
    builder = ViewBuilder(
        masking=MaskingConfig(**masking),
        candidate_ids=CANDIDATES,
        pool=pool,
        generator_of=lambda purpose: counter_generator(0, "an example", purpose),
    )
    return pool, source, target, [builder.build(name, source, target) for name in VIEWS_OF_TASK[task]]


def test_units():
    pool = UnitPool(2, 10, [0, 1, 2])
    assert pool.frames(0, 3).tolist() == [1, 2, 3] and pool.frames(1, 2).tolist() == [11, 12]
    assert (pool.pad, pool.bos, pool.eos) == (21, 22, 23)
    assert pool.add_tokens(np.array([70, 71])).tolist() == [24, 25]
    assert pool.add_tokens(np.array([], dtype=np.int64)).tolist() == []
    assert pool.add_tokens(np.array([70])).tolist() == [26]
    assert pool.text_ids.tolist() == [0, 1, 2, 70, 71, 70] and pool.text_ids.dtype == np.int64


def test_every_task_has_its_views():
    assert [name for task in PRETRAINING_TASKS for name in VIEWS_OF_TASK[task]] == list(PRETRAINING_VIEWS)
    for task in PRETRAINING_TASKS:
        *_, views = build_all(task)
        assert [view.name for view in views] == list(VIEWS_OF_TASK[task])
        assert [PRETRAINING_VIEWS[view.view_id] for view in views] == list(VIEWS_OF_TASK[task])


def test_denoising_by_hand():
    pool = UnitPool(1, 5, [0, 1, 2])
    content = speech(pool, 5)
    mask = np.array([True, False, True, True, False])
    sequence = denoising_sequence(content, mask, pool)
    assert sequence.units.tolist() == [pool.bos, 1, 0, 3, 4]
    assert sequence.label_positions.tolist() == [0, 2, 3] and sequence.labels.tolist() == [1, 3, 4]
    assert (sequence.modality_id, sequence.language_id) == (SPEECH, 1)
    one = denoising_sequence(speech(pool, 1), np.array([True]), pool)
    assert (one.units.tolist(), one.label_positions.tolist(), one.labels.tolist()) == ([pool.bos], [0], [1])


def test_random_tokens_are_entries_of_their_own():
    masking = {"mask_token_share": 0.0, "random_token_share": 1.0, "keep_token_share": 0.0}
    pool, source, _, views = build_all("text", **masking)
    segment = views[0].segments[0]
    assert len(pool.text_ids) == 3 + 20 + 10
    drawn = segment.units[segment.label_positions] - 1 - pool.frames_per_utterance
    assert drawn.tolist() == list(range(23, 33)) and set(pool.text_ids[drawn]) <= set(CANDIDATES)
