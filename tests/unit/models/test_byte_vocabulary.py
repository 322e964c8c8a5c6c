# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The tokenizer of bytes: every text survives, ids are those of the bytes, characters keep their frames."""

import unicodedata

import numpy as np
import pytest

from mu2slam_hf.data.examples.token_counts import build_token_counter
from mu2slam_hf.data.text import find_unknown_characters
from mu2slam_hf.evaluation.scores.metrics import compute_cer
from mu2slam_hf.inference.alignment import join_units, split_transcript
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMCTCTokenizer, Mu2SLAMTokenizer, Mu2SLAMTransducerTokenizer

TEXTS = {
    "latin": "¿Cuántos años tiene?",
    "decomposed": "e\u0301 n\u0303 A\u030a \u1e9b\u0323",
    "gujarati": "કૃપા કરીને એક દબાવો",
    "emoji": "ok 👍🏽 👩‍👩‍👧 𝒳",
    "last plane": "\U0010fffd\U000f0000",
    "control": "\x00\x01\t\n\r\x7f\x85\u200b\ufeff\ufffd",
    "specials": "</s><pad> <unk><speech_3>",
    "spaces": "  two  spaces ",
}


@pytest.fixture(scope="module")
def tokenizer() -> Mu2SLAMTokenizer:
    return Mu2SLAMTokenizer.train_from_iterator([], kind="byte", num_speech_tokens=8)


@pytest.mark.parametrize("name", TEXTS)
def test_every_text_survives_and_has_the_ids_of_its_bytes(tokenizer, name):
    normalized = unicodedata.normalize("NFC", TEXTS[name])
    ids = tokenizer(TEXTS[name])["input_ids"]
    assert ids == [72 + byte for byte in normalized.encode()] + [tokenizer.eos_token_id]
    assert tokenizer.decode(ids, skip_special_tokens=True) == normalized
    assert not find_unknown_characters(normalized, tokenizer)
    assert build_token_counter(tokenizer)(TEXTS[name]) == len(ids) - 1


def test_every_code_point_survives(tokenizer):
    """One text for each block of 4096 code points, without surrogates."""
    for start in range(0, 0x110000, 0x1000):
        if start in range(0xD000, 0xE000):
            continue
        # A space keeps marks from combining with the character before.
        text = " ".join(map(chr, range(start, start + 0x1000)))
        normalized = tokenizer.backend_tokenizer.normalizer.normalize_str(text)
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == normalized


def test_layout_saving_and_training_anew(tokenizer, tmp_path):
    assert len(tokenizer) == 64 + 8 + 256 and tokenizer.text_token_offset == 72 and tokenizer.has_bytes
    tokenizer.save_pretrained(tmp_path)
    loaded = Mu2SLAMTokenizer.from_pretrained(tmp_path)
    assert loaded.has_bytes and loaded.get_vocab() == tokenizer.get_vocab()
    again = tokenizer.train_new_from_iterator(["other texts"], 30)
    assert again.has_bytes and again.get_vocab() == tokenizer.get_vocab()
    assert loaded.decode(loaded(TEXTS["emoji"])["input_ids"], skip_special_tokens=True) == TEXTS["emoji"]


def test_bytes_that_are_no_character_are_left_out(tokenizer):
    ids = [72 + byte for byte in b"a\xe2\x82b\xffc\xf0\x9f"]
    assert tokenizer.decode(ids) == "abc"
    between = [72 + 0xC3, tokenizer.unk_token_id, 72 + 0xA9]
    assert tokenizer.decode(between, skip_special_tokens=True) == "<unk>", "halves around another token do not join"


def test_no_characters_are_added(tokenizer):
    assert tokenizer.add_characters("ñ") == [] and len(tokenizer) == 328


def test_random_bytes_give_what_python_gives(tokenizer):
    generator = np.random.default_rng(0)
    for _ in range(50):
        data = bytes(generator.integers(0, 256, 40, dtype=np.uint8))
        assert tokenizer.decode([72 + byte for byte in data]) == data.decode("utf-8", "ignore")


def test_characters_of_several_bytes_have_the_frames_of_all(tokenizer):
    ctc = Mu2SLAMCTCTokenizer.from_tokenizer(tokenizer)
    n, tilde, space, o = ctc("ñ o")["input_ids"]
    found = ctc.decode([0, n, n, 0, tilde, space, o, o], output_char_offsets=True, output_word_offsets=True)
    assert found.text == "ñ o"
    assert [tuple(item.values()) for item in found.char_offsets] == [("ñ", 1, 5), (" ", 5, 6), ("o", 6, 8)]
    assert [tuple(item.values()) for item in found.word_offsets] == [("ñ", 1, 5), ("o", 6, 8)]


def test_transcripts_are_aligned_by_words_and_characters(tokenizer):
    units, unknown = split_transcript("añ o", tokenizer, "word")
    assert [unit.text for unit in units] == ["añ", "o"] and not unknown
    ids, owners = join_units(units, tokenizer)
    assert ids == [72 + byte for byte in "añ o".encode()] and owners == [0, 0, 0, -1, 1]
    units, _ = split_transcript("añ o", tokenizer, "token")
    assert [(unit.text, len(unit.ids), unit.begins_word) for unit in units] == [
        ("a", 1, True),
        ("ñ", 2, False),
        ("o", 1, True),
    ]


def test_error_rates_count_characters(tokenizer):
    transducer = Mu2SLAMTransducerTokenizer.from_backend(tokenizer.backend_tokenizer)
    reference = "એક"
    ids = transducer(reference)["input_ids"]
    assert len(ids) == 6
    written = transducer.decode(ids[:-1], skip_special_tokens=True)
    assert compute_cer([reference], [written]).value == pytest.approx(100 / len(reference))
