# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Both text tokenizers: id layout, round trips over many scripts, typed special tokens, CTC output."""

import unicodedata

import pytest
import torch

from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMCTCTokenizer, Mu2SLAMTokenizer

TEXTS = {
    "en": "press one, or say 'help' now!",
    "es": "¿Cuántos años tiene? ¡Ñandú!",
    "fr": "où êtes-vous, garçon ? œuvre",
    "ru": "Нажмите один или скажите «помощь».",
    "el": "πατήστε ένα ή πείτε βοήθεια",
    "mdw": "wáá ngá ibaá itsέrε wώω",
    "vi": "Vui lòng nhấn phím một, người ơi",
    "ar": "اضغط على الرقم واحد",
    "he": "לחץ אחת",
    "hi": "एक दबाएँ, नमस्ते दुनिया",
    "bn": "এক চাপুন",
    "ta": "ஒன்றை அழுத்தவும்",
    "th": "กดหนึ่ง สวัสดี",
    "ka": "დააჭირეთ ერთს",
    "hy": "Սեղմեք մեկը",
    "am": "አንድን ይጫኑ",
    "km": "ចុចមួយ",
    "my": "တစ်ကိုနှိပ်ပါ",
    "zh": "请按一，谢谢。",
    "ja": "1を押してください。カタカナ",
    "ko": "일번을 누르세요",
    "emoji": "ok 👍🏽 👩‍👩‍👧 𝒳",
    "space": "  two  spaces and\ttab\nline \u00a0 end ",
    "accents": "e\u0301 n\u0303 A\u030a \u1e9b\u0323",
}
KINDS = ("char", "unigram")


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request) -> Mu2SLAMTokenizer:
    return Mu2SLAMTokenizer.train_from_iterator(list(TEXTS.values()) * 3, 3000, request.param)


@pytest.fixture(scope="module", params=KINDS)
def english(request) -> Mu2SLAMTokenizer:
    return Mu2SLAMTokenizer.train_from_iterator(["the quick brown fox jumps over the lazy dog"] * 5, 60, request.param)


def test_layout(tokenizer):
    vocabulary = tokenizer.get_vocab()
    names = ["<pad>", "<s>", "</s>", "<unk>", "<mask>", "<reserved_5>"]
    assert [vocabulary[name] for name in names] == list(range(6))
    assert vocabulary["<reserved_63>"] == 63 and vocabulary["<speech_0>"] == 64 and vocabulary["<speech_1023>"] == 1087
    assert tokenizer.speech_token_offset == 64 and tokenizer.num_speech_tokens == 1024
    assert tokenizer.text_token_offset == 1088 and min(tokenizer("a")["input_ids"][:-1]) >= 1088
    assert sorted(vocabulary.values()) == list(range(len(tokenizer)))
    ids = [tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id]
    assert ids == [0, 1, 2, 3] and tokenizer.mask_token_id == 4


@pytest.mark.parametrize("num_speech_tokens", [0, 1, 300])
def test_other_codebook_sizes(num_speech_tokens):
    tokenizer = Mu2SLAMTokenizer.train_from_iterator(["abc"], num_speech_tokens=num_speech_tokens)
    assert tokenizer.num_speech_tokens == num_speech_tokens and tokenizer.speech_token_offset == 64
    assert tokenizer.text_token_offset == 64 + num_speech_tokens
    assert tokenizer.decode(tokenizer("abc")["input_ids"], skip_special_tokens=True) == "abc"


@pytest.mark.parametrize("name", TEXTS)
def test_text_round_trips_in_every_script(tokenizer, name):
    ids = tokenizer(TEXTS[name])["input_ids"]
    assert ids[-1] == 2 and 3 not in ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == unicodedata.normalize("NFC", TEXTS[name])


@pytest.mark.parametrize("name", TEXTS)
def test_unknown_characters_stay_visible(english, name):
    text = unicodedata.normalize("NFC", TEXTS[name])
    known = set("the quick brown fox jumps over the lazy dog")
    for skip in (True, False):
        decoded = english.decode(english(text, add_special_tokens=False)["input_ids"], skip_special_tokens=skip)
        assert decoded.replace("<unk>", "").strip() or "<unk>" in decoded
        if not set(text) <= known | set("</s>unkreservdp_0123456789mask"):
            assert "<unk>" in decoded
        pieces = [piece for piece in decoded.split("<unk>") if piece]
        position = 0
        for piece in pieces:  # what was known is still there, in order
            position = text.index(piece, position) + len(piece)


def test_typed_special_tokens_stay_text(tokenizer, tmp_path):
    special = set(range(tokenizer.text_token_offset)) - {tokenizer.unk_token_id}
    backends = [tokenizer, Mu2SLAMCTCTokenizer.from_tokenizer(tokenizer)]
    tokenizer.save_pretrained(tmp_path)
    backends.append(Mu2SLAMTokenizer.from_pretrained(tmp_path))
    backends.append(Mu2SLAMTokenizer.from_pretrained(tmp_path, split_special_tokens=False))
    for backend in backends:
        for name in ("</s>", "<s>", "<pad>", "<unk>", "<mask>", "<speech_5>", "<speech_1023>", "<reserved_9>"):
            for text in (name, f"a{name}b", f"a {name} {name}"):
                plain = backend(text, add_special_tokens=False)["input_ids"]
                for ids in (
                    plain,
                    backend.encode(text, add_special_tokens=False),
                    backend([text] * 2).input_ids[0][:-1],
                ):
                    assert not special & set(ids), (text, ids)
            assert (
                backend.convert_tokens_to_ids(backend.tokenize(name))
                == backend(name, add_special_tokens=False).input_ids
            )
    assert tokenizer("a</s>", split_special_tokens=False, add_special_tokens=False)["input_ids"][-1] == 2


def test_unigram_spells_special_names_it_was_not_trained_on():
    tokenizer = Mu2SLAMTokenizer.train_from_iterator(["да нет"] * 5, 30, "unigram")
    for name in ("</s>", "<speech_17>", "<reserved_63>"):
        ids = tokenizer(name, add_special_tokens=False)["input_ids"]
        assert min(ids) >= tokenizer.text_token_offset and tokenizer.decode(ids) == name


def test_save_and_load(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = Mu2SLAMTokenizer.from_pretrained(tmp_path)
    assert type(loaded) is Mu2SLAMTokenizer and loaded.get_vocab() == tokenizer.get_vocab()
    assert loaded.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()
    for text in TEXTS.values():
        assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]


def test_training_is_reproducible():
    for kind in KINDS:
        first, second = (
            Mu2SLAMTokenizer.train_from_iterator(iter(TEXTS.values()), 700, kind).backend_tokenizer.to_str()
            for _ in range(2)
        )
        assert first == second


def test_training_takes_batches_and_keeps_the_most_frequent():
    tokenizer = Mu2SLAMTokenizer.train_from_iterator([["aaa bbb"], ["aa b", "c"]], vocab_size=3)
    assert len(tokenizer) == 1088 + 3
    assert tokenizer.decode(tokenizer("a b c").input_ids, skip_special_tokens=True) == "a b <unk>"


def test_training_again_keeps_kind_and_codebook(tokenizer):
    again = tokenizer.train_new_from_iterator(["neue Texte"], 50, new_special_tokens=["<x>"])
    assert type(again) is type(tokenizer) and again.num_speech_tokens == 1024 and again.text_token_offset == 1088
    assert again.backend_tokenizer.model.__class__ is tokenizer.backend_tokenizer.model.__class__
    assert again.convert_tokens_to_ids("<x>") == len(again) - 1
    assert again.decode(again("neue").input_ids, skip_special_tokens=True) == "neue"


@pytest.mark.parametrize(
    "arguments",
    [
        {"iterator": []},
        {"iterator": [], "kind": "unigram"},
        {"iterator": ["abc"], "kind": "bpe"},
        {"iterator": ["abc"], "vocab_size": 0},
        {"iterator": ["abc"], "num_speech_tokens": -1},
        {"iterator": "abc"},
        {"iterator": ["abc", 3]},
        {"iterator": ["abcdefghijklmnopqrstuvwxyz"], "vocab_size": 5, "kind": "unigram"},
    ],
)
def test_what_cannot_be_trained(arguments):
    with pytest.raises((ValueError, TypeError)):
        Mu2SLAMTokenizer.train_from_iterator(**arguments)


def test_added_characters_append_and_shift_nothing(english, tmp_path):
    english.save_pretrained(tmp_path)
    grown = Mu2SLAMTokenizer.from_pretrained(tmp_path)
    before, old = grown.get_vocab(), grown("the fox")["input_ids"]
    assert grown.add_tokens(["č", "ž"]) == 2
    assert all(grown.get_vocab()[name] == index for name, index in before.items())
    assert grown.get_vocab()["č"] == len(before) and grown.text_token_offset == english.text_token_offset
    assert grown("the fox")["input_ids"] == old
    text = "fox čer že ž"
    for one in (grown, Mu2SLAMTokenizer.from_pretrained(_save(grown, tmp_path / "grown"))):
        assert one.decode(one(text).input_ids, skip_special_tokens=True) == text
        assert one.decode(one("c\u030c").input_ids, skip_special_tokens=True) == "č"


def _save(tokenizer, folder):
    tokenizer.save_pretrained(folder)
    return folder


def test_targets(tokenizer):
    texts = ["hola", "", "ein zwei"]
    labels, ctc = tokenizer(texts)["input_ids"], tokenizer.encode_ctc_labels(texts)
    assert [row[:-1] for row in labels] == ctc and all(row[-1] == 2 for row in labels) and ctc[1] == []
    assert tokenizer.encode_ctc_labels([]) == []


def test_speech_ids(tokenizer):
    assert tokenizer.convert_speech_ids([0, 5, 1023]) == [64, 69, 1087]
    assert tokenizer.decode([64, 69]).replace(" ", "") == "<speech_0><speech_5>"
    assert tokenizer.decode([64, 69, 1, 2, 0], skip_special_tokens=True) == ""
    for bad in (-1, 1024):
        with pytest.raises(ValueError, match="codebook"):
            tokenizer.convert_speech_ids([bad])


def test_lone_surrogates_are_an_error(tokenizer):
    with pytest.raises(ValueError, match=r"text\[1\].*surrogate"):
        tokenizer(["fine", "\ud800"])


def test_ctc_collapses_repeats_and_drops_blanks(tokenizer):
    ctc = Mu2SLAMCTCTokenizer.from_tokenizer(tokenizer)
    ids = ctc("hello one")["input_ids"]
    assert 2 not in ids
    frames = [0, 0]
    for index in ids:
        frames += [index, index, 0]
    assert ctc.decode(frames) == "hello one"
    assert ctc.decode(torch.tensor([frames, frames])) == ["hello one"] * 2
    assert ctc.batch_decode(torch.tensor([frames, frames]), skip_special_tokens=True) == ["hello one"] * 2
    assert tokenizer.decode(tokenizer("hello").input_ids, skip_special_tokens=True) == "hello"
    assert ctc.decode(ids, group_tokens=False) == "hello one"
    assert (
        ctc.decode([]) == "" and ctc.decode([0, 0]) == "" and ctc.decode([3, 3], skip_special_tokens=True) == "<unk>"
    )


def test_ctc_offsets():
    tokenizer = Mu2SLAMTokenizer.train_from_iterator(["ab c"])
    ctc = Mu2SLAMCTCTokenizer.from_tokenizer(tokenizer)
    a, b, c, space = (ctc(one).input_ids[0] for one in "abc ")
    frames = [0, a, a, 0, b, 0, space, space, c, c, c, 0]
    output = ctc.decode(frames, output_char_offsets=True, output_word_offsets=True)
    assert output.text == "ab c"
    spans = [(one["char"], one["start_offset"], one["end_offset"]) for one in output.char_offsets]
    assert spans == [("a", 1, 3), ("b", 4, 5), (" ", 6, 8), ("c", 8, 11)]
    words = [(one["word"], one["start_offset"], one["end_offset"]) for one in output.word_offsets]
    assert words == [("ab", 1, 5), ("c", 8, 11)]
    assert ctc._get_word_offsets(output.char_offsets, ctc.replace_word_delimiter_char) == output.word_offsets
    batch = ctc.batch_decode([frames, []], output_char_offsets=True)
    assert batch.text == ["ab c", ""] and batch.char_offsets[1] == [] and batch.word_offsets is None


def test_ctc_word_offsets_of_pieces():
    ctc = Mu2SLAMCTCTokenizer.train_from_iterator(["one two three"] * 9, 40, "unigram")
    ids = ctc("two one three")["input_ids"]
    frames = [index for one in ids for index in (one, 0)]
    output = ctc.decode(frames, output_char_offsets=True, output_word_offsets=True)
    assert output.text == "two one three" == "".join(one["char"] for one in output.char_offsets)
    assert [one["word"] for one in output.word_offsets] == ["two", "one", "three"]
    ends = [one["end_offset"] for one in output.word_offsets]
    assert ends == sorted(ends) and ends[-1] == len(frames) - 1


def test_ctc_survives_saving(tmp_path):
    ctc = Mu2SLAMCTCTokenizer.train_from_iterator(["hello"])
    ctc.save_pretrained(tmp_path)
    loaded = Mu2SLAMCTCTokenizer.from_pretrained(tmp_path)
    assert loaded("hello").input_ids == ctc("hello").input_ids and len(loaded("hello").input_ids) == 5
