# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import numpy as np
import pytest

from mu2slam_hf.data.collation.views import (
    MASK_UNIT,
    VIEWS_OF_TASK,
    Content,
    UnitPool,
    ViewBuilder,
    denoising_sequence,
    generation_sequence,
)
from mu2slam_hf.data.masking import MaskingConfig, draw_frame_mask, draw_span_mask
from mu2slam_hf.data.random_keys import counter_generator
from mu2slam_hf.models.modules_losses import IGNORE_INDEX
from mu2slam_hf.models.task_types import PRETRAINING_TASKS, PRETRAINING_VIEWS, SPEECH, TEXT

UNKNOWN = 3
CANDIDATES = np.arange(500, 600, dtype=np.int64)


def generator_of(purpose):
    return counter_generator(0, "an example", purpose)


def speech(pool, num_frames, language=1, told=1):
    return Content(
        units=pool.frames(0, num_frames),
        may_be_target=np.ones(num_frames, dtype=bool),
        modality_id=SPEECH,
        language_id=language,
        told_language_id=told,
    )


def text(pool, token_ids, language=2, told=None, tokens_per_word=2):
    token_ids = np.asarray(token_ids, dtype=np.int64)
    return Content(
        units=pool.add_tokens(token_ids),
        may_be_target=token_ids != UNKNOWN,
        modality_id=TEXT,
        language_id=language,
        told_language_id=language if told is None else told,
        word_numbers=np.arange(len(token_ids)) // tokens_per_word,
        token_ids=token_ids,
    )


def example(task, num_frames=40, num_tokens=20, told=1):
    pool = UnitPool(1, max(num_frames, 1), [0, 1, 2])
    tokens = np.arange(100, 100 + num_tokens)
    source = speech(pool, num_frames, told=told) if task in ("speech", "asr", "ast") else None
    source = source or text(pool, tokens, language=1, told=told)
    target = None if task in ("speech", "text") else text(pool, tokens + 200)
    return pool, source, target


def make_builder(pool, masking=None, **options):
    masking = masking or MaskingConfig()
    return ViewBuilder(masking=masking, candidate_ids=CANDIDATES, pool=pool, generator_of=generator_of, **options)


def build_all(task, options=None, **kwargs):
    pool, source, target = example(task, **kwargs)
    builder = make_builder(pool, **(options or {}))
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


@pytest.mark.parametrize(("num_frames", "num_tokens"), [(40, 20), (1, 1), (7, 2), (2, 11)])
def test_lengths(num_frames, num_tokens):
    n, m = num_frames, num_tokens
    lengths = {
        "speech": [(n, n)],
        "text": [(m + 1, m)],
        "asr": [(n, m + 1), (m + 1, n + 1), (n + m + 1, n + m)],
        "ast": [(n, m + 1), (m + 1, n + 1), (n + m + 1, n + m)],
        "mt": [(m + 1, m + 1), (m + 1, m + 1), (2 * m + 2, 2 * m)],
    }
    for task, due in lengths.items():
        *_, views = build_all(task, num_frames=n, num_tokens=m)
        assert [(view.encoder_length, view.decoder_length) for view in views] == due
        if task != "speech":
            assert all(view.segments[0].label_positions.size for view in views), "something is always asked"


@pytest.mark.parametrize("task", PRETRAINING_TASKS)
def test_the_encoder_does_not_see_what_it_is_asked(task):
    # Each unit occurs once in an example, so that a content is hidden exactly if its unit is not there.
    masking = MaskingConfig(mask_token_share=0.9, random_token_share=0.1, keep_token_share=0.0)
    pool, source, target, views = build_all(task, {"masking": masking})
    contents = [content for content in (source, target) if content is not None]
    for view in views:
        read = np.concatenate([segment.units for segment in view.segments])
        for segment in view.segments:
            content = next(one for one in contents if one.modality_id == segment.modality_id or task == "mt")
            if task == "mt":
                content = contents[0] if segment.labels[0] in source.units else target
            assert segment.labels.tolist() == content.units[segment.label_positions].tolist()
            assert not set(segment.labels) & set(read)
            untouched = np.setdiff1d(np.arange(len(content.units)), segment.label_positions)
            assert (segment.units[untouched] == content.units[untouched]).all()
            assert (segment.modality_id == TEXT) == (segment.units[-1] == pool.eos)
            if segment.modality_id == SPEECH:
                assert (segment.units[segment.label_positions] == MASK_UNIT).all()


@pytest.mark.parametrize("task", PRETRAINING_TASKS)
def test_the_decoder_reads_the_past_and_of_the_rest_nothing(task):
    pool, source, target, views = build_all(task)
    for view in views:
        for sequence in view.sequences:
            assert sequence.units[0] == pool.bos
            for position, label in zip(sequence.label_positions, sequence.labels, strict=True):
                assert label not in sequence.units[: position + 1]
            denoises = view.name.endswith("_alignment") or target is None
            assert (pool.eos in sequence.labels) != denoises
            if not denoises:
                assert MASK_UNIT not in sequence.units
                content = target if view.name == task else source
                assert sequence.labels.tolist() == [*content.units, pool.eos]
                assert sequence.units.tolist() == [pool.bos, *content.units]


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


def test_what_both_sides_denoise_is_the_same():
    for task in PRETRAINING_TASKS:
        *_, views = build_all(task)
        for view in views:
            if view.name.endswith("_alignment") or task in ("speech", "text"):
                for segment, sequence in zip(view.segments, view.sequences, strict=True):
                    assert segment.labels.tolist() == sequence.labels.tolist()
                    assert sequence.modality_id == segment.modality_id


def test_masks_are_drawn_by_view_and_segment():
    pool, source, target, views = build_all("asr")
    config = MaskingConfig()
    forward = draw_frame_mask(40, config, generator_of("mask:asr:0"))
    assert views[0].segments[0].label_positions.tolist() == np.flatnonzero(forward).tolist()
    both = views[2].segments
    assert (
        both[0].label_positions.tolist()
        == np.flatnonzero(draw_frame_mask(40, config, generator_of("mask:asr_alignment:0"))).tolist()
    )
    assert (
        both[1].label_positions.tolist()
        == np.flatnonzero(draw_span_mask(target.word_numbers, 0.5, generator_of("mask:asr_alignment:1"))).tolist()
    )
    assert len(views[1].segments[0].labels) == 10, "half of the ten words of two tokens"


@pytest.mark.parametrize(("task", "num_chosen"), [("text", 20), ("ast", 20), ("mt", 10)])
def test_ratios_of_texts(task, num_chosen):
    *_, views = build_all(task, num_tokens=40)
    for view in views:
        for segment in view.segments:
            if segment.modality_id == TEXT:
                assert len(segment.labels) == num_chosen, view.name


def test_languages():
    for task, names in VIEWS_OF_TASK.items():
        *_, views = build_all(task, told=0)
        told = {view.name: [segment.language_id for segment in view.segments] for view in views}
        written = {view.name: [sequence.language_id for sequence in view.sequences] for view in views}
        labels = {view.name: view.language_label for view in views}
        assert (told[task], labels[task]) == ([0], 1), "not told, so it is to be guessed"
        if len(names) == 1:
            assert written[task] == [1]
            continue
        assert written == {task: [2], f"{task}_backward": [1], f"{task}_alignment": [1, 2]}
        assert told == {task: [0], f"{task}_backward": [2], f"{task}_alignment": [0, 2]}
        assert {labels[name] for name in names[1:]} == {IGNORE_INDEX}
    assert build_all("asr", told=1)[-1][0].language_label == IGNORE_INDEX, "told, so there is nothing to guess"


def test_an_unknown_language_is_not_asked():
    pool = UnitPool(1, 5, [0, 1, 2])
    content = speech(pool, 5, language=0, told=0)
    assert make_builder(pool).build("speech", content, None).language_label == IGNORE_INDEX


def test_ctc_stands_on_the_forward_asr_view_alone():
    for task in PRETRAINING_TASKS:
        _, _, target, views = build_all(task)
        for view in views:
            assert (view.ctc_labels is not None) == (view.name == "asr")
    views = build_all("asr")[-1]
    assert views[0].ctc_labels.tolist() == list(range(300, 320))
    assert views[0].without_ctc().ctc_labels is None and views[0].without_ctc().sequences is views[0].sequences


def test_clean_input_of_ctc():
    clean = {"ctc_input": "clean"}
    pool, source, _, views = build_all("asr", clean)
    others = build_all("asr")[-1]
    assert views[0].segments[0].units.tolist() == source.units.tolist()
    assert views[0].segments[0].labels.size == views[0].segments[0].label_positions.size == 0
    assert views[0].sequences[0].labels.tolist() == others[0].sequences[0].labels.tolist()
    for view, other in zip(views[1:], others[1:], strict=True):
        positions = [segment.label_positions.tolist() for segment in view.segments]
        assert positions == [segment.label_positions.tolist() for segment in other.segments], "the rest is as it was"
    assert build_all("ast", clean)[-1][0].segments[0].labels.size > 0


def test_unknown_tokens_are_read_and_never_asked():
    pool = UnitPool(1, 4, [0, 1, 2])
    content = text(pool, [100, UNKNOWN, 101, UNKNOWN], tokens_per_word=4)
    unknown = {content.units[1], content.units[3]}
    keep = MaskingConfig(mask_token_share=0.0, random_token_share=0.0, keep_token_share=1.0)
    builder = make_builder(pool, keep)
    views = [
        builder.build("text", content, None),
        *(builder.build(name, speech(pool, 4), content) for name in VIEWS_OF_TASK["asr"]),
        *(builder.build(name, content, content) for name in VIEWS_OF_TASK["mt"]),
    ]
    for view in views:
        for part in (*view.segments, *view.sequences):
            assert not unknown & set(part.labels)
            if part.modality_id == TEXT and part in view.segments:
                assert unknown <= set(part.units)
    assert views[0].segments[0].label_positions.tolist() == [0, 2]
    whole = generation_sequence(content, pool)
    assert whole.units.tolist() == [pool.bos, *content.units]
    assert whole.label_positions.tolist() == [0, 2, 4]
    assert whole.labels.tolist() == [content.units[0], content.units[2], pool.eos]
    assert views[1].ctc_labels.tolist() == [100, 101]


def test_random_tokens_are_entries_of_their_own():
    masking = MaskingConfig(mask_token_share=0.0, random_token_share=1.0, keep_token_share=0.0)
    pool, source, _, views = build_all("text", {"masking": masking})
    segment = views[0].segments[0]
    assert len(pool.text_ids) == 3 + 20 + 10
    drawn = segment.units[segment.label_positions] - 1 - pool.frames_per_utterance
    assert drawn.tolist() == list(range(23, 33)) and set(pool.text_ids[drawn]) <= set(CANDIDATES)
