# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A trained model grows by a language: nothing changes for the others, also after the new rows were trained."""

import copy

import numpy as np
import pytest
import torch
from helpers import TINY_TEXTS, make_tiny_config, make_tiny_pair, save_tiny_checkpoint
from huggingface_hub.errors import StrictDataclassError

from mu2slam_hf import (
    Mu2SLAMFeatureExtractor,
    Mu2SLAMForConditionalGeneration,
    Mu2SLAMForCTC,
    Mu2SLAMProcessor,
    Mu2SLAMTokenizer,
    add_language,
)
from mu2slam_hf.cli import main
from mu2slam_hf.growth.characters import count_unknown_characters, find_related
from mu2slam_hf.growth.languages import BIAS_OFFSET
from mu2slam_hf.inference.recognition import WindowRecognizer
from mu2slam_hf.models.generation_tokens import LanguageTokensLogitsProcessor
from mu2slam_hf.models.language_codes import canonical_language, language_index, same_language

CHARACTERS = "\u0254\u025b\u0301"
HEADS = ("lm_head", "ctc_head")


@pytest.fixture(params=["tied", "untied"])
def pair(request):
    model, processor = make_tiny_pair()
    if request.param == "untied":
        config = copy.deepcopy(model.config)
        config.tie_word_embeddings = False
        torch.manual_seed(1)
        model = Mu2SLAMForConditionalGeneration(config).eval()
    return model, processor


def speech():
    generator = torch.Generator().manual_seed(0)
    return {
        "input_features": torch.randn(2, 120, 80, generator=generator),
        "attention_mask": torch.ones(2, 120).long(),
    }


def move_new_rows(model, first: int) -> None:
    """As training of the new language might: the new tokens become the most probable ones."""
    with torch.no_grad():
        for head in HEADS:
            getattr(model, head).bias[first:] += 30.0


@torch.no_grad()
def test_rows_and_logits_of_old_tokens_and_languages_do_not_change(pair):
    before, processor = pair
    model, old_size = copy.deepcopy(before), before.config.vocab_size
    growth = add_language(model, processor, "mdw", like=["fr"], characters=CHARACTERS)
    assert [one.token_id for one in growth.characters] == list(range(old_size, old_size + 3))
    assert (
        model.config.vocab_size == model.config.decoder_config.vocab_size == old_size + 3 == len(processor.tokenizer)
    )
    assert model.config.languages == processor.languages == [*before.config.languages, "mdw"]
    assert model.config.decoder_config.num_languages == len(processor.languages)
    processor.check_config(model.config)
    decoder = {"decoder_input_ids": torch.randint(80, old_size, (2, 7))}
    old, new = before(**speech(), **decoder), model(**speech(), **decoder)
    for name in ("logits", "ctc_logits", "language_logits", "encoder_last_hidden_state"):
        assert torch.equal(getattr(new, name)[..., : getattr(old, name).shape[-1]], getattr(old, name))
    o, related = growth.characters[0], processor.tokenizer.convert_tokens_to_ids("o")
    assert o.sources == (related,)
    for head in HEADS:
        bias, weight = getattr(model, head).bias, getattr(model, head).weight
        torch.testing.assert_close(bias[o.token_id], bias[related] + BIAS_OFFSET)
        distance = (weight[o.token_id] - weight[related]).norm() / weight[related].norm()
        assert distance.item() == pytest.approx(0.01, rel=1e-3)
    languages, row = model.get_encoder().embed_languages.weight, language_index("fr", processor.languages)
    torch.testing.assert_close(languages[-1], languages[row])
    # Nothing new is chosen before training.
    assert new.ctc_logits.argmax(-1).max() < old_size and new.language_logits.argmax(-1).max() < len(languages) - 1


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"ctc_weight": 0.5}, {"ctc_weight": 0.5, "num_beams": 3}])
def test_old_languages_write_the_same_after_training_of_the_new_one(pair, options):
    before, processor = pair
    model, old_size = copy.deepcopy(before), before.config.vocab_size
    add_language(model, processor, "mdw", characters=CHARACTERS)
    move_new_rows(model, old_size)
    options = {**options, "max_new_tokens": 12}
    expected = before.generate(**speech(), source_lang="es", **options)
    assert torch.equal(model.generate(**speech(), source_lang="es", **options), expected)
    mixed = model.generate(**speech(), source_lang=["es", "mdw"], target_lang=["es", "mdw"], **options)
    assert (mixed[0] < old_size).all() and (mixed[1] >= old_size).any()


@pytest.mark.parametrize("language", ["es", None])
def test_ctc_writes_new_characters_in_the_new_language_only(pair, language):
    encoder_decoder, processor = pair
    old_size = encoder_decoder.config.vocab_size
    before = Mu2SLAMForCTC.from_conditional_generation(encoder_decoder)
    add_language(encoder_decoder, processor, "mdw", characters=CHARACTERS)
    move_new_rows(encoder_decoder, old_size)
    model = Mu2SLAMForCTC.from_conditional_generation(encoder_decoder)
    wave = np.random.default_rng(0).normal(size=20000).astype(np.float32) * 0.1

    def greedy(model, code):
        recognizer = WindowRecognizer(model, processor.for_ctc())
        (states,), (log_probs,), _ = recognizer._encode_batch([wave], [code])
        options = {"source_langs": [code], "target_langs": [code]}
        (ids,) = model.write_tokens([states], [recognizer._restrict(log_probs, code)], **options)
        return ids, recognizer.compute_blanks(wave, code)

    expected, blanks = greedy(before, language)
    found, found_blanks = greedy(model, language)
    assert found == expected
    np.testing.assert_allclose(found_blanks, blanks, rtol=1e-4, atol=1e-6)
    assert set(greedy(model, "mdw")[0]) & set(range(old_size, old_size + 3))


def test_a_second_language_shares_characters_that_the_first_one_added():
    model, processor = make_tiny_pair()
    first = add_language(model, processor, "mdw", characters=CHARACTERS).restricted_tokens["mdw"]
    growth = add_language(model, processor, "ln", like=["mdw"], characters=CHARACTERS[:1] + "am\u0253")
    assert growth.restricted_tokens == {"mdw": first, "ln": [first[0], max(first) + 1]}
    size = model.config.vocab_size
    again = add_language(model, processor, "ln", characters=CHARACTERS[:1])
    assert not again.is_new and not again.characters and model.config.vocab_size == size
    assert again.restricted_tokens == growth.restricted_tokens


@torch.no_grad()
def test_masking_gives_the_probabilities_of_a_model_without_the_tokens():
    logits = torch.randn(4, 9, generator=torch.Generator().manual_seed(0))
    excluded = torch.zeros(2, 9, dtype=torch.bool)
    excluded[0, 6:] = True
    masked = LanguageTokensLogitsProcessor(excluded)(None, logits.log_softmax(-1))
    torch.testing.assert_close(masked[:2, :6], logits[:2, :6].log_softmax(-1))
    assert torch.isinf(masked[:2, 6:]).all() and torch.equal(masked[2:], logits[2:].log_softmax(-1))


@pytest.mark.parametrize("kind", ["char", "unigram"])
def test_new_characters_are_pieces_and_old_texts_are_split_as_before(kind, tmp_path):
    tokenizer = Mu2SLAMTokenizer.train_from_iterator(TINY_TEXTS, vocab_size=120, kind=kind, num_speech_tokens=16)
    tokenizer.add_tokens(["zzz"])
    vocabulary, texts = tokenizer.get_vocab(), [*TINY_TEXTS, " a  b </s> zzz <speech_1>"]
    before = [tokenizer(text)["input_ids"] for text in texts]
    ids = tokenizer.add_characters(CHARACTERS)
    assert tokenizer.add_characters(CHARACTERS) == [] and ids == list(range(len(vocabulary), len(vocabulary) + 3))
    assert [tokenizer(text)["input_ids"] for text in texts] == before
    assert vocabulary.items() <= tokenizer.get_vocab().items()
    tokenizer.save_pretrained(tmp_path)
    text = " a\u0254\u0301 m\u025bre\u025b \u0254"
    for loaded in (tokenizer, Mu2SLAMTokenizer.from_pretrained(tmp_path)):
        encoded = loaded(text)["input_ids"]
        assert loaded.unk_token_id not in encoded and set(ids) <= set(encoded)
        assert loaded.decode(encoded, skip_special_tokens=True) == text
    for bad in ("ab", " ", "\n", "e\u0301", "\u2581"):
        with pytest.raises(ValueError, match="single characters|cannot be added"):
            tokenizer.add_characters([bad])


def test_unigram_models_grow_too():
    tokenizer = Mu2SLAMTokenizer.train_from_iterator(TINY_TEXTS, vocab_size=120, kind="unigram", num_speech_tokens=16)
    processor = Mu2SLAMProcessor(Mu2SLAMFeatureExtractor(), tokenizer, languages=["und", "en"])
    config = make_tiny_config(vocab_size=len(tokenizer), languages=["und", "en"])
    model = Mu2SLAMForConditionalGeneration(config)
    growth = add_language(model, processor, "qaa-x-home", characters="\u025b")
    assert growth.characters[0].related == ("e",) and growth.like == ("en",)


@pytest.mark.parametrize(
    ("char", "known", "related"),
    [
        ("\u00e9", "aeE", ["e"]),
        ("E", "ae", ["e"]),
        ("\ufb01", "fi", ["f", "i"]),
        ("\u0254", "ao", ["o"]),
        ("\u0190", "ae", ["e"]),
        ("\u0253", "ab", ["b"]),
        ("\u014b", "ab1\u0436", ["a", "b"]),
        ("\u0301", "a1", ["a"]),
        ("x", "1", ["1"]),
    ],
)
def test_related_characters(char, known, related):
    assert find_related(char, known)[0] == related


def test_unknown_characters_are_counted():
    tokenizer = make_tiny_pair()[1].tokenizer
    (first, second) = count_unknown_characters([("en", "a\u025bm\u025b"), ("fr", "\u0254\u025b")], tokenizer)
    assert (first.char, first.count, first.languages, second.count) == ("\u025b", 3, ("en", "fr"), 1)
    assert "U+025B LATIN SMALL LETTER OPEN E, 3 times in en, fr: 'a" in first.describe()


def test_private_codes():
    assert canonical_language("QAA-X-Home") == "qaa-x-home" and canonical_language("fr-x-old") == "fr-x-old"
    assert not same_language("qaa-x-one", "qaa-x-two") and same_language("fr-x-old", "fr")
    with pytest.raises(ValueError, match="does not support"):
        language_index("qaa-x-one", ["und", "qaa"])


def test_errors():
    model, processor = make_tiny_pair()
    with pytest.raises(ValueError, match="unknown language"):
        add_language(model, processor, "und", characters="a")
    with pytest.raises(ValueError, match="does not support"):
        add_language(model, processor, "mdw", like=["de"])
    with pytest.raises(StrictDataclassError, match="restricted_tokens has 'xx'"):
        make_tiny_config().__class__(restricted_tokens={"xx": []})


def test_the_command(tmp_path, capsys):
    save_tiny_checkpoint(tmp_path / "model")
    texts, output = tmp_path / "texts.txt", tmp_path / "grown"
    texts.write_text("\u0254a\u025b\n", encoding="utf-8")
    command = ["add-language", "--model", str(tmp_path / "model"), "--lang", "mdw", "--like", "fr"]
    assert main([*command, "--characters-from", str(texts), "--output-dir", str(output)]) == 0
    shown = capsys.readouterr().out
    assert "new language mdw, starts from fr" in shown and "must be trained" in shown
    assert "U+025B LATIN SMALL LETTER OPEN E (id" in shown and "starts from e (the letter in its name)" in shown
    model = Mu2SLAMForConditionalGeneration.from_pretrained(output)
    processor = Mu2SLAMProcessor.from_pretrained(output)
    processor.check_config(model.config)
    assert processor.languages[-1] == "mdw" and len(model.config.restricted_tokens["mdw"]) == 2


def test_a_model_that_tells_languages_by_tokens_is_refused():
    model, processor = make_tiny_pair()
    model.config.restricted_tokens = None
    model.config.decoder_prompt = "start_language"
    with pytest.raises(ValueError, match="mu2slam init --table-languages"):
        add_language(model, processor, "mdw", characters=["\u0254"])
    assert "mdw" not in processor.languages
