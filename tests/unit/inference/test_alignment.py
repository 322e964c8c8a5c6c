# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Transcripts as units, windows of long recordings, and word times that must be in order and inside."""

import numpy as np
import pytest
import torch
from helpers import TINY_TEXTS, make_tiny_pair
from mslam_batches import make_config

from mu2slam_hf import MSLAMForCTC, MSLAMModel, Mu2SLAMForCTC, Mu2SLAMTokenizer
from mu2slam_hf.inference.alignment import AlignedWord, _widen, align_waveform, join_units, split_transcript
from mu2slam_hf.inference.ctc_alignment import WILDCARD
from mu2slam_hf.inference.ctc_windows import iterate_ctc_log_probs


@pytest.fixture(scope="module", params=["char", "unigram"])
def tokenizer(request):
    return Mu2SLAMTokenizer.train_from_iterator(TINY_TEXTS, vocab_size=120, kind=request.param, num_speech_tokens=8)


@pytest.fixture(scope="module")
def pair():
    return make_tiny_pair()


@pytest.mark.parametrize("level", ["word", "token"])
@pytest.mark.parametrize("text", TINY_TEXTS)
def test_units_hold_exactly_the_labels_that_ctc_is_trained_with(tokenizer, text, level):
    units, unknown = split_transcript(text, tokenizer, level)
    ids, owners = join_units(units, tokenizer)
    assert ids == tokenizer.encode_ctc_labels([text])[0]
    assert unknown == []
    if level == "word":
        assert [unit.text for unit in units] == text.split()
    else:
        assert "".join(unit.text for unit in units) == text.replace(" ", "")
    for place, unit in enumerate(units):
        assert [index for index, owner in zip(ids, owners, strict=True) if owner == place] == unit.ids


def test_capitals_punctuation_and_unknown_characters(tokenizer):
    plain, _ = split_transcript("press one to leave", tokenizer)
    units, unknown = split_transcript("Press, one - 日本 tO leave!", tokenizer)
    assert [unit.text for unit in units] == ["Press,", "one -", "日本", "tO", "leave!"]
    assert unknown == ["日", "本"]
    assert units[2].ids == [WILDCARD]
    assert [units[place].ids for place in (0, 1, 3, 4)] == [unit.ids for unit in plain]
    # The wildcard takes the spaces around it.
    ids, owners = join_units(units, tokenizer)
    place = ids.index(WILDCARD)
    assert owners[place - 1] == 1 and owners[place + 1] == 3


def test_a_word_that_is_partly_unknown_keeps_the_rest():
    tokenizer = Mu2SLAMTokenizer.train_from_iterator(TINY_TEXTS, vocab_size=200, kind="char", num_speech_tokens=8)
    (unit,), unknown = split_transcript("pr日ess", tokenizer)
    assert unit.text == "pr日ess" and unknown == ["日"]
    assert unit.ids == tokenizer.encode_ctc_labels(["press"])[0]
    # Decomposed letters are the same letters.
    assert split_transcript("nu\u0301mero", tokenizer) == split_transcript("n\u00famero", tokenizer)


def test_wildcards_of_the_person(tokenizer):
    units, unknown = split_transcript("press * * one", tokenizer)
    assert [unit.ids == [WILDCARD] for unit in units] == [False, True, True, False]
    assert unknown == []
    for text, reason in (("", "no words"), ("* *", "no words"), ("日本 *", "not in the vocabulary: 日 本")):
        with pytest.raises(ValueError, match=reason):
            split_transcript(text, tokenizer)
    with pytest.raises(ValueError, match="level must be one of"):
        split_transcript("press", tokenizer, "phone")


def test_windows_of_a_long_recording_give_one_row_per_frame(pair):
    model, processor = pair
    for samples in (16000, 16000 * 5 + 77, 16000 * 7):
        wave = np.random.default_rng(0).standard_normal(samples).astype(np.float32) * 0.1
        whole = torch.cat(list(iterate_ctc_log_probs(model, processor, [wave], window_seconds=60)))
        windows = list(iterate_ctc_log_probs(model, processor, [wave], window_seconds=1, context_seconds=1))
        cut = torch.cat(windows)
        assert cut.shape == whole.shape
        assert len(windows) == (1 if samples == 16000 else -(-samples // 16000))
        blocks = np.array_split(wave[:, None], [1, 700, 40000])
        again = list(iterate_ctc_log_probs(model, processor, blocks, window_seconds=1, context_seconds=1))
        assert [len(window) for window in again] == [len(window) for window in windows]
        assert torch.equal(torch.cat(again), cut)
        torch.testing.assert_close(cut.exp().sum(-1), torch.ones(len(cut)))
        # What a frame is beyond the context is hardly heard; the model is random, but not deaf to its surroundings.
        assert (cut - whole).abs().mean() < 0.1 * whole.std()


@pytest.mark.parametrize("level", ["word", "token"])
def test_words_are_in_order_and_inside_the_recording(pair, level):
    model, processor = pair
    wave = np.random.default_rng(1).standard_normal(16000 * 4).astype(np.float32) * 0.1
    found = align_waveform(model, processor, wave, "Press one, to leave * message", "en", level=level)
    assert found.duration_seconds == 4.0 and found.score < 0 and found.unknown_characters == ()
    edges = [edge for word in found.words for edge in (word.start_seconds, word.end_seconds)]
    assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= 4.0
    assert all(word.end_seconds > word.start_seconds for word in found.words)
    wildcards = [word for word in found.words if word.text == "*"]
    assert len(wildcards) == 1 and wildcards[0].score is None and wildcards[0].confidence is None
    assert all(0 < word.confidence <= 1 for word in found.words if word.text != "*")
    if level == "word":
        assert [word.text for word in found.words] == ["Press", "one,", "to", "leave", "*", "message"]


def test_all_models_with_ctc_align_and_others_say_what_they_lack(pair):
    model, processor = pair
    wave = np.random.default_rng(2).standard_normal(32000).astype(np.float32) * 0.1
    found = align_waveform(model, processor, wave, "press one")
    ctc = Mu2SLAMForCTC.from_conditional_generation(model)
    other = align_waveform(ctc, processor, wave, "press one")
    assert [word.start_seconds for word in other.words] == [word.start_seconds for word in found.words]
    assert other.score == pytest.approx(found.score, abs=1e-4)
    config = make_config({"num_mel_bins": 80}, vocab_size=len(processor.tokenizer))
    mslam = MSLAMForCTC.from_pretraining(MSLAMModel(config)).eval()
    assert len(align_waveform(mslam, processor, wave, "press one").words) == 2
    with pytest.raises(ValueError, match="Mu2SLAMModel has no CTC head"):
        align_waveform(model.model, processor, wave, "press one")


def test_what_cannot_be_aligned_is_said(pair):
    model, processor = pair
    wave = np.zeros(1600, dtype=np.float32)
    with pytest.raises(ValueError, match="too long .*: its 9 tokens require at least 10 frames.* has 3"):
        align_waveform(model, processor, wave, "press one")
    with pytest.raises(ValueError, match="xx"):
        align_waveform(model, processor, wave, "press", "xx")


def test_languages_without_spaces_are_aligned_by_token(pair):
    model, processor = pair
    processor = make_tiny_pair()[1]
    processor.languages = ["und", "ja", *processor.languages[2:]]
    wave = np.random.default_rng(2).standard_normal(32000).astype(np.float32) * 0.1
    assert len(align_waveform(model, processor, wave, "press", "ja").words) == 5


def test_a_pause_is_shared_up_to_a_frame():
    words = [
        AlignedWord(text="a", start_seconds=0.5, end_seconds=0.6, score=-1.0),
        AlignedWord(text="b", start_seconds=0.64, end_seconds=0.8, score=-1.0),
        AlignedWord(text="c", start_seconds=1.2, end_seconds=1.4, score=None),
    ]
    widened = list(_widen(words, [1, 1, 1], 0.04, 1.42))
    times = [(word.start_seconds, word.end_seconds) for word in widened]
    assert times == [pytest.approx(pair) for pair in [(0.46, 0.62), (0.62, 0.84), (1.16, 1.41)]]


def test_a_word_that_ends_in_a_piece_takes_more_of_the_pause():
    words = [
        AlignedWord(text="long", start_seconds=0.5, end_seconds=0.6, score=-1.0),
        AlignedWord(text="a", start_seconds=0.72, end_seconds=0.8, score=-1.0),
        AlignedWord(text="word", start_seconds=1.2, end_seconds=1.4, score=-1.0),
    ]
    widened = list(_widen(words, [2, 1, 4], 0.04, 2.0))
    times = [(word.start_seconds, word.end_seconds) for word in widened]
    assert times == [pytest.approx(pair) for pair in [(0.46, 0.69), (0.69, 0.84), (1.16, 1.68)]]
