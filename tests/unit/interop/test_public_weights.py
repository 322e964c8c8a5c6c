# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Models from a public speech encoder and a public text model: same outputs, same pieces, nothing partially loaded."""

import numpy as np
import pytest
import torch
from imported_encoders import make_source, make_speech
from public_text_models import FORMATS, TEXTS, make_text_model, make_tokenizer
from transformers import MT5Config, MT5ForConditionalGeneration, WhisperConfig
from transformers.modeling_outputs import BaseModelOutput

from mu2slam_hf import Mu2SLAMForConditionalGeneration, Mu2SLAMForCTC, Mu2SLAMProcessor, build_from_speech_and_text
from mu2slam_hf.cli import main
from mu2slam_hf.data.collation.supervised import PackedTarget, pack_targets
from mu2slam_hf.interop.layer_choice import choose_layers
from mu2slam_hf.interop.text_decoder_formats import find_text_format
from mu2slam_hf.interop.text_decoders import load_text_decoder
from mu2slam_hf.interop.text_tokenizers import NEW_ROW, convert_tokenizer, find_languages

SPEECH = {"bert": "relative_key", "conformer": "rotary-layer"}
TARGET = {"m2m_100": "fra_Latn", "mbart": "fr_XX"}


@pytest.fixture(scope="module")
def tokenizers():
    return {kind: make_tokenizer(kind) for kind in FORMATS}


def build(kind, tokenizer, speech="bert", tie=True, width=32, text_options=None, **options):
    # As in NLLB-200, the table has more rows than the tokenizer has ids.
    text = make_text_model(kind, len(tokenizer) + 2, width, tie, **(text_options or {}))
    source = make_source(speech, SPEECH[speech])
    options = {"tokenizer": tokenizer, "num_speech_tokens": 16, **options}
    return source, text, *build_from_speech_and_text(source, text, **options)


def decode_with(text, model, converted_ids, rows, width=32):
    """Logits of both decoders for the same encoder states, those of the source in the order of our ids."""
    states = torch.randn(rows.shape[0], 5, width, generator=torch.Generator().manual_seed(3))
    mask = torch.ones(rows.shape[0], 5, dtype=torch.int64)
    mask[-1, 3:] = 0
    outputs = BaseModelOutput(last_hidden_state=states)
    with torch.no_grad():
        theirs = text(encoder_outputs=outputs, attention_mask=mask, decoder_input_ids=converted_ids[rows]).logits
        ours = model(encoder_outputs=outputs, attention_mask=mask, decoder_input_ids=rows).logits
    real = converted_ids != NEW_ROW
    return ours[..., real], theirs[..., converted_ids[real]]


@pytest.mark.parametrize("speech", SPEECH)
@pytest.mark.parametrize("tie", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("kind", FORMATS)
def test_outputs_are_those_of_the_sources(kind, tie, speech, tokenizers):
    source, text, model, processor = build(kind, tokenizers[kind], speech, tie)
    converted = convert_tokenizer(tokenizers[kind], 16)
    ids = torch.from_numpy(converted.source_ids)
    generator = torch.Generator().manual_seed(5)
    rows = torch.randint(model.config.text_token_offset, model.config.vocab_size - 1, (2, 9), generator=generator)
    ours, theirs = decode_with(text, model, ids, rows)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert model.config.tie_word_embeddings == tie and model.model.encoder.output_projection is None
    inputs = make_speech(speech, 12)
    with torch.no_grad():
        encoded, expected = model.get_encoder()(**inputs), source(**inputs)
    torch.testing.assert_close(encoded.last_hidden_state, expected.last_hidden_state, atol=1e-5, rtol=1e-5)
    # Text input reads the embeddings of the text model.
    table = text.model.encoder.embed_tokens.weight
    embeds = model.get_input_embeddings().weight[model.config.text_token_offset]
    assert torch.equal(embeds, table[converted.source_ids[model.config.text_token_offset]])
    assert processor.languages == model.config.languages


@pytest.mark.parametrize(("given", "kept"), [(2, [0, 4]), ([1, 3], [1, 3]), (1, [4]), (3, [0, 2, 4])])
@pytest.mark.parametrize("kind", FORMATS)
def test_layers_are_chosen(kind, given, kept, tokenizers):
    assert choose_layers(given, 5, "decoder_layers") == kept
    options = {"text_options": {"layers": 5}, "decoder_layers": given, "encoder_layers": [0, 2]}
    source, text, model, _ = build(kind, tokenizers[kind], **options)
    text.model.decoder.layers = torch.nn.ModuleList(text.model.decoder.layers[index] for index in kept)
    for place, layer in enumerate(text.model.decoder.layers):
        layer.self_attn.layer_idx = layer.encoder_attn.layer_idx = place
    ids = torch.from_numpy(convert_tokenizer(tokenizers[kind], 16).source_ids)
    rows = torch.tensor([[2, *range(90, 97)]])
    torch.testing.assert_close(*decode_with(text, model, ids, rows), atol=1e-5, rtol=1e-5)
    del source.encoder.layers[1]
    inputs = make_speech("bert", 12)
    with torch.no_grad():
        encoded, expected = model.get_encoder()(**inputs), source(**inputs)
    torch.testing.assert_close(encoded.last_hidden_state, expected.last_hidden_state, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("wanted", [0, 6, [], [3, 1], [5], [1, 1]])
def test_layers_that_do_not_exist(wanted):
    with pytest.raises(ValueError, match="decoder_layers must be"):
        choose_layers(wanted, 5, "decoder_layers")


@pytest.mark.parametrize("kind", FORMATS)
def test_generation_is_that_of_the_source(kind, tokenizers):
    tokenizer = tokenizers[kind]
    # A softmax of its own: with a shared table, random weights repeat the last token.
    _, text, model, processor = build(kind, tokenizer, tie=False)
    converted = convert_tokenizer(tokenizer, 16)
    states = torch.randn(2, 6, 32, generator=torch.Generator().manual_seed(7)) * 3
    outputs = BaseModelOutput(last_hidden_state=states)
    # Ids that our `generate` never proposes in a text, and the rows without a token.
    never = [tokenizer.convert_tokens_to_ids(token) for token in ("<s>", "<pad>", "<unk>", "<mask>")]
    never += [len(tokenizer), len(tokenizer) + 1]
    options = {"num_beams": 1, "do_sample": False, "max_new_tokens": 12}
    theirs = text.generate(
        encoder_outputs=outputs,
        forced_bos_token_id=tokenizer.convert_tokens_to_ids(TARGET[kind]),
        suppress_tokens=never,
        forced_eos_token_id=None,
        **{**options, "max_new_tokens": 13},
    )
    ours = model.generate(encoder_outputs=outputs, target_lang="fr", max_repeats=None, **options)
    padded = converted.source_ids[ours.numpy()]
    assert ours[0, :2].tolist() == model.config.build_prompt(model.config.languages.index("fr"))
    assert padded.tolist() == theirs[:, : padded.shape[1]].tolist()
    assert len(np.unique(padded)) > 3
    decoded = processor.batch_decode(ours, skip_special_tokens=True)
    assert not any("language_" in one for one in decoded)


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("kind", FORMATS)
def test_beam_search_is_that_of_the_source_over_the_same_tokens(kind, length_penalty, tokenizers):
    """Probabilities of both over the tokens of texts; the language as prefix, which does not count in the length."""
    tokenizer = tokenizers[kind]
    _, text, model, _ = build(kind, tokenizer, tie=False)
    converted = convert_tokenizer(tokenizer, 16)
    outputs = BaseModelOutput(last_hidden_state=torch.randn(3, 6, 32, generator=torch.Generator().manual_seed(7)) * 3)
    never = [tokenizer.convert_tokens_to_ids(token) for token in ("<s>", "<pad>", "<unk>", "<mask>")]
    never += [len(tokenizer), len(tokenizer) + 1]
    options = {"num_beams": 4, "do_sample": False, "max_new_tokens": 12, "length_penalty": length_penalty}
    options["renormalize_logits"] = True
    prefix = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(TARGET[kind])]
    theirs = text.generate(
        encoder_outputs=BaseModelOutput(last_hidden_state=outputs.last_hidden_state.clone()),
        decoder_input_ids=torch.tensor([prefix] * 3),
        suppress_tokens=never,
        forced_bos_token_id=None,
        forced_eos_token_id=None,
        **options,
    )
    ours = model.generate(encoder_outputs=outputs, target_lang="fr", max_repeats=None, **options)
    assert converted.source_ids[ours.numpy()].tolist() == theirs.tolist()


def test_the_language_alone_begins_the_output(tokenizers):
    _, text, model, _ = build("mbart", tokenizers["mbart"], decoder_prompt="language")
    converted = convert_tokenizer(tokenizers["mbart"], 16)
    language = tokenizers["mbart"].convert_tokens_to_ids("fr_XX")
    outputs = BaseModelOutput(last_hidden_state=torch.randn(2, 6, 32) * 3)
    never = [0, 1, 3, tokenizers["mbart"].convert_tokens_to_ids("<mask>"), len(converted.source_ids) - 16 - 59 - 1]
    never += [len(tokenizers["mbart"]), len(tokenizers["mbart"]) + 1]
    options = {"num_beams": 1, "max_new_tokens": 10, "do_sample": False}
    theirs = text.generate(
        encoder_outputs=outputs,
        decoder_start_token_id=language,
        suppress_tokens=never,
        forced_eos_token_id=None,
        **options,
    )
    ours = model.generate(encoder_outputs=outputs, target_lang=["fr", "fr"], **options)
    assert converted.source_ids[ours.numpy()].tolist() == theirs.tolist()


@pytest.mark.parametrize("kind", FORMATS)
def test_training_reads_what_generation_reads(kind, tokenizers):
    """The loss of labels, the packed rows of the collator and a whole input by hand have the same targets."""
    _, _, model, _ = build(kind, tokenizers[kind])
    config, row = model.config, model.config.languages.index("fr")
    target = [100, 101, 102]
    inputs = make_speech("bert", 12)
    prompt = config.build_prompt(row)
    packed = pack_targets(
        [[PackedTarget(target, language_id=row, task_id=0, prompt=prompt)]], eos_token_id=2, pad_token_id=0
    )
    assert packed["decoder_input_ids"].tolist() == [[2, config.language_token_ids[row], *target]]
    assert packed["labels"].tolist() == [[-100, *target, 2]]
    labels = torch.tensor([[*target, 2]])
    with torch.no_grad():
        given = model(**inputs, labels=labels, decoder_language_ids=torch.tensor([row]))
        by_hand = model(**inputs, decoder_input_ids=packed["decoder_input_ids"])
    torch.testing.assert_close(given.logits, by_hand.logits[:, 1:])
    expected = torch.nn.functional.cross_entropy(by_hand.logits[0, 1:], labels[0])
    torch.testing.assert_close(given.loss, expected)


@pytest.mark.parametrize("kind", FORMATS)
def test_other_widths_are_projected(kind, tokenizers, tmp_path):
    source, text, model, _ = build(kind, tokenizers[kind], width=48, languages=["en", "fr"])
    assert model.config.d_model == 48 and model.config.encoder_config.hidden_size == 32
    inputs = make_speech("bert", 12)
    with torch.no_grad():
        encoded = model.get_encoder()(**inputs, output_hidden_states=True)
        expected = source(**inputs).last_hidden_state
        from_text = model.get_encoder()(input_ids=torch.tensor([[90, 91, 2]])).last_hidden_state
    torch.testing.assert_close(encoded.hidden_states[-1], expected, atol=1e-5, rtol=1e-5)
    projected = model.model.encoder.output_projection(expected)
    torch.testing.assert_close(encoded.last_hidden_state, projected, atol=1e-5, rtol=1e-5)
    assert from_text.shape == (1, 3, 48)
    ids = torch.from_numpy(convert_tokenizer(tokenizers[kind], 16, ["en", "fr"]).source_ids)
    rows = torch.tensor([[2, *range(90, 97)]])
    torch.testing.assert_close(*decode_with(text, model, ids, rows, width=48), atol=1e-5, rtol=1e-5)
    model.save_pretrained(tmp_path)
    ctc = Mu2SLAMForCTC.from_pretrained(tmp_path)
    with torch.no_grad():
        again = Mu2SLAMForConditionalGeneration.from_pretrained(tmp_path)(**inputs, decoder_input_ids=rows)
        torch.testing.assert_close(ctc(**inputs).logits, again.ctc_logits)
        torch.testing.assert_close(again.logits, model(**inputs, decoder_input_ids=rows).logits)
    model.train()(input_ids=rows, labels=rows).loss.backward()
    for projection in (model.model.encoder.input_projection, model.model.encoder.output_projection):
        assert projection.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", FORMATS)
def test_pieces_are_those_of_the_source(kind, tokenizers, tmp_path):
    theirs = tokenizers[kind]
    converted = convert_tokenizer(theirs, 16)
    converted.tokenizer.save_pretrained(tmp_path)
    for ours in (converted.tokenizer, type(converted.tokenizer).from_pretrained(tmp_path)):
        for text in [*TEXTS, "", " two  spaces ", "the \u00e9l\u00e8ve \u4e2d sat", "cat.\tdog\nmat"]:
            ids = ours(text, add_special_tokens=False)["input_ids"]
            assert converted.source_ids[ids].tolist() == theirs(text, add_special_tokens=False)["input_ids"], text
            assert ours(text)["input_ids"] == [*ids, ours.eos_token_id]
            assert ours.decode(ids) == theirs.decode(converted.source_ids[ids].tolist())
        # Names of special tokens in a text are text.
        for name in ("</s>", "<mask>", "<speech_3>", TARGET[kind], "<language_fr>"):
            ids = ours(name, add_special_tokens=False)["input_ids"]
            assert len(ids) > 1 and min(ids) >= ours.unk_token_id
    assert sorted(i for i in converted.source_ids if i != NEW_ROW) == list(range(len(theirs)))
    assert ours.num_speech_tokens == 16 and ours.text_token_offset == 80


def test_languages_of_the_table(tokenizers):
    converted = convert_tokenizer(tokenizers["m2m_100"], 16, ["en", "mdw", "pt-BR", "zh"])
    assert converted.languages == ["und", "en", "mdw", "pt-BR", "zh"]
    theirs = converted.source_ids[converted.language_token_ids].tolist()
    ids = tokenizers["m2m_100"].convert_tokens_to_ids
    assert theirs == [NEW_ROW, ids("eng_Latn"), NEW_ROW, ids("por_Latn"), ids("zho_Hans")]
    found = find_languages(["eng_Latn", "aka_Latn", "twi_Latn", "zho_Hant", "zho_Hans", "arb_Arab", "en", "<s>"])
    assert list(found.values()) == ["en", "ak", "zh-Hant", "zh", "ar"]
    assert find_languages(["en_XX", "tl_XX", "zh_CN"]) == {"en_XX": "en", "tl_XX": "fil", "zh_CN": "zh"}
    model = build("m2m_100", tokenizers["m2m_100"], languages=["en", "fr", "mdw"])[2]
    rows = model.get_input_embeddings().weight[model.config.language_token_ids]
    torch.testing.assert_close(rows[3], rows[1:3].mean(0))


def test_a_large_vocabulary_is_converted():
    """As large as that of NLLB; without a loop over its pieces in the square of their number."""
    from transformers import NllbTokenizer

    words = [f"w{index:06d}" for index in range(256_000)]
    vocab = {name: index for index, name in enumerate(["<s>", "<pad>", "</s>", "<unk>", *words])}
    converted = convert_tokenizer(NllbTokenizer(vocab=vocab, merges=[]))
    assert len(converted.source_ids) == 64 - 5 + 1024 + len(vocab) + 202 + 2


def test_models_that_cannot_be_imported(tokenizers):
    small = MT5Config(vocab_size=40, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    source = make_source("bert", "relative_key")
    with pytest.raises(ValueError, match="'mt5' cannot be imported: .* relative position buckets"):
        build_from_speech_and_text(source, MT5ForConditionalGeneration(small))
    with pytest.raises(ValueError, match="'whisper' cannot be imported: its decoder is trained on speech"):
        find_text_format(WhisperConfig(), "x")
    with pytest.raises(ValueError, match="expected a text model of type m2m_100 or mbart, got 'wav2vec2-bert'"):
        build_from_speech_and_text(source, source)
    text = make_text_model("m2m_100", 300)
    with pytest.raises(ValueError, match="expected an encoder of type wav2vec2-bert or wav2vec2-conformer"):
        build_from_speech_and_text(text, text)
    with pytest.raises(ValueError, match="pass its tokenizer"):
        build_from_speech_and_text(source, text)
    with pytest.raises(ValueError, match="rows, but the tokenizer has ids up to"):
        build_from_speech_and_text(source, text.__class__(text.config), tokenizer=make_tokenizer("m2m_100"))
    with pytest.raises(ValueError, match="expected a tokenizer of class NllbTokenizer"):
        convert_tokenizer(convert_tokenizer(tokenizers["mbart"], 4).tokenizer)


def test_no_weight_is_left_over(tokenizers):
    text = make_text_model("mbart", len(tokenizers["mbart"]))
    text.model.decoder.extra = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"unexpected weights model\.decoder\.extra\.weight"):
        load_text_decoder(text)
    del text.model.decoder.extra, text.model.decoder.layers[1].fc1
    converted = convert_tokenizer(tokenizers["mbart"], 16)
    model = build("mbart", tokenizers["mbart"])[2]
    with pytest.raises(ValueError, match=r"missing weights: model\.decoder\.layers\.1\.up_proj\.weight"):
        load_text_decoder(text).load_into(model, converted)


def test_longer_than_the_learned_positions(tokenizers):
    _, _, model, _ = build("mbart", tokenizers["mbart"])
    inputs = make_speech("bert", 60)
    with pytest.raises(ValueError, match="learned positions for 40 tokens, got a target of 41"):
        model(**inputs, decoder_input_ids=torch.full((1, 41), 90))
    assert model.generate(**inputs, target_lang="fr").shape[1] <= 40


def test_the_command_writes_a_model(tokenizers, tmp_path, capsys):
    source, text = (
        make_source("bert", "relative_key"),
        make_text_model("m2m_100", len(tokenizers["m2m_100"]), layers=4),
    )
    source.save_pretrained(tmp_path / "speech")
    text.save_pretrained(tmp_path / "text")
    tokenizers["m2m_100"].save_pretrained(tmp_path / "text")
    folders = [
        "--speech-model",
        str(tmp_path / "speech"),
        "--text-model",
        str(tmp_path / "text"),
        "-o",
        str(tmp_path / "model"),
    ]
    options = ["--decoder-layers", "2", "--table-languages", "en,fr,mdw", "--num-speech-tokens", "16"]
    capsys.readouterr()
    assert main(["init", *map(str, folders), *options]) == 0
    printed = capsys.readouterr()
    assert "3 encoder layers, 2 decoder layers" in printed.out and "Writing model shards" not in printed.err
    model = Mu2SLAMForConditionalGeneration.from_pretrained(tmp_path / "model")
    processor = Mu2SLAMProcessor.from_pretrained(tmp_path / "model")
    processor.check_config(model.config)
    inputs = processor(np.zeros(8000, dtype=np.float32), sampling_rate=16000, source_lang="mdw")
    assert model.generate(**inputs, target_lang="fr", max_new_tokens=4).shape[0] == 1
    again = Mu2SLAMForConditionalGeneration.from_speech_and_text_pretrained(
        str(tmp_path / "speech"), str(tmp_path / "text"), decoder_layers=[0, 3], languages=["en"]
    )
    first = model.state_dict()["model.decoder.layers.1.up_proj.weight"]
    assert torch.equal(again.state_dict()["model.decoder.layers.1.up_proj.weight"], first)
    assert main(["init", *map(str, folders), "--decoder-layers", "9"]) == 1
    assert "is not an empty folder" in capsys.readouterr().err
    other = ["--output-dir", str(tmp_path / "other")]
    assert main(["init", *map(str, folders), *other, "--decoder-layers", "9"]) == 1
    assert "decoder_layers must be between 1 and 4" in capsys.readouterr().err
