# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A language model as dual encoder: its table, padding, chunks, adapters, and sentence-transformers."""

import json

import numpy as np
import pytest
import soundfile
import torch
from helpers import REPOSITORY_ROOT
from huggingface_hub.errors import StrictDataclassError
from peft import LoraConfig, get_peft_model
from tiny_dual_encoders import (
    LANGUAGE_MODELS,
    NUM_AUDIO,
    NUM_ROWS,
    TEXTS,
    build_dual_encoder,
    build_processor,
    save_language_model,
)
from transformers import AutoModel, AutoProcessor, T5Config, T5Model, pipeline

from mu2slam_hf import SpeechTextDualEncoderConfig, SpeechTextDualEncoderModel, SpeechTextEncoder
from mu2slam_hf.checkpoints.model_types import MODEL_TYPES
from mu2slam_hf.evaluation.tasks.pair_scores import score_pairs
from mu2slam_hf.hub.bundle import build_bundle
from mu2slam_hf.hub.cards import card_template, load_card_facts, render_card
from mu2slam_hf.models.modeling_speech_text_dual_encoder import SMALL_ROWS


def make_ids(rows=5, length=11, seed=0):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, NUM_ROWS + NUM_AUDIO, (rows, length), generator=generator)
    lengths = torch.randint(4, length + 1, (rows,), generator=generator)
    lengths[0] = length
    return ids, (torch.arange(length) < lengths[:, None]).long()


@pytest.fixture(scope="module")
def wave():
    return np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)


@pytest.mark.parametrize("model_type", LANGUAGE_MODELS)
@pytest.mark.parametrize(("is_causal", "pooling"), [(True, "mean"), (False, "last"), (False, "attention")])
def test_a_row_is_the_same_alone_in_a_batch_and_beside_poisoned_padding(tmp_path, model_type, is_causal, pooling):
    model = build_dual_encoder(tmp_path, model_type, is_causal=is_causal, pooling=pooling)
    ids, mask = make_ids()
    together = model(ids, mask).pooler_output
    alone = torch.cat([model(row[:n][None]).pooler_output for row, n in zip(ids, mask.sum(1), strict=True)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
    poisoned = torch.where(mask.bool(), ids, NUM_ROWS + NUM_AUDIO - 1)
    torch.testing.assert_close(model(poisoned, mask).pooler_output, together, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model_type", LANGUAGE_MODELS)
def test_the_attention_is_causal_only_if_it_is_asked_for(tmp_path, model_type):
    ids, _ = make_ids(rows=1)
    changed = ids.clone()
    changed[0, -1] = 3
    for is_causal in (True, False):
        model = build_dual_encoder(tmp_path, model_type, is_causal=is_causal)
        states = [
            model.language_model(inputs_embeds=model.get_input_embeddings()(row.clamp(max=9))).last_hidden_state[0, 0]
            for row in (ids, changed)
        ]
        assert torch.allclose(*states, atol=1e-6) == is_causal


def test_text_rows_are_those_of_the_language_model_and_audio_rows_are_behind_all_of_them(tmp_path):
    folder = save_language_model(tmp_path / "lm")
    source = AutoModel.from_pretrained(folder, dtype=torch.float32)
    model = build_dual_encoder(tmp_path)
    assert model.config.audio_token_offset == NUM_ROWS > len(build_processor().tokenizer)
    for name, weight in source.state_dict().items():
        assert torch.equal(model.language_model.state_dict()[name], weight), name
    text = source.get_input_embeddings().weight
    assert float(model.audio_embeddings.weight.detach().std() / text.detach().std()) == pytest.approx(
        SMALL_ROWS, rel=0.1
    )
    literal = build_dual_encoder(tmp_path, text_embeddings="new", audio_embeddings="normal")
    assert not torch.equal(literal.get_input_embeddings().weight, text)
    with pytest.raises(ValueError, match=f"{NUM_ROWS} text and {NUM_AUDIO} audio rows"):
        model(torch.tensor([[NUM_ROWS + NUM_AUDIO]]))
    with pytest.raises(ValueError, match="one of keep, new"):
        build_dual_encoder(tmp_path, text_embeddings="old")


def test_dot_products_are_of_order_one_at_first(tmp_path):
    model = build_dual_encoder(tmp_path)
    ids, mask = make_ids(rows=64)
    embeddings = model(ids, mask).pooler_output
    products = embeddings @ embeddings.T
    assert 0.1 < float(products.detach()[~torch.eye(64, dtype=torch.bool)].std()) < 10


def gradients(model, ids, mask, **options):
    model.zero_grad()
    outputs = model(ids, mask, target_ids=ids.flip(1), target_attention_mask=torch.ones_like(mask), **options)
    (outputs.pooler_output.square().sum() + outputs.target_embeds.sum()).backward()
    return outputs, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_chunks_give_the_same_values_and_gradients(tmp_path):
    model = build_dual_encoder(tmp_path).train()
    ids, mask = make_ids(rows=9)
    whole, expected = gradients(model, ids, mask)
    chunked, found = gradients(model, ids, mask, max_tokens_per_chunk=25)
    torch.testing.assert_close(chunked.pooler_output, whole.pooler_output, rtol=1e-5, atol=1e-6)
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=2e-6, msg=name)


def test_chunks_with_dropout_replay_it(tmp_path, monkeypatch):
    model = build_dual_encoder(tmp_path, dropout=0.3).train()
    ids, mask = make_ids(rows=9)
    torch.manual_seed(5)
    _, found = gradients(model, ids, mask, max_tokens_per_chunk=25)
    module = "mu2slam_hf.models.modeling_speech_text_dual_encoder.checkpoint"
    monkeypatch.setattr(module, lambda function, *args, use_reentrant: function(*args))
    torch.manual_seed(5)
    _, expected = gradients(model, ids, mask, max_tokens_per_chunk=25)
    for name in expected:
        assert torch.equal(found[name], expected[name]), name


def test_memory_for_the_backward_pass_is_that_of_a_chunk(tmp_path):
    model = build_dual_encoder(tmp_path).train()
    ids, mask = make_ids(rows=32)

    def saved_bytes(**options):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.nbytes) or t, lambda t: t):
            model(ids, mask, **options)
        return sum(sizes)

    assert saved_bytes(max_tokens_per_chunk=44) < 0.2 * saved_bytes()


def test_no_text_becomes_an_audio_token_and_the_prefix_names_language_and_modality():
    processor = build_processor()
    batch = processor(text=TEXTS, language=["en", "Spanish", "en", None])
    assert int(batch["input_ids"].max()) < NUM_ROWS
    decoded = processor.tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True)
    assert decoded[0] == "[English Text] where is the station"
    assert decoded[1].startswith("[Spanish Text] d")
    assert decoded[3].startswith("[Text] good")
    assert (batch["input_ids"][:, 0] != 0).all()  # on the right


def test_speech_is_a_prefix_and_ids_from_the_offset_on(wave, tmp_path):
    processor = build_processor()
    soundfile.write(tmp_path / "a.opus", wave, 16_000, format="OGG", subtype="OPUS")
    ids = processor(audio=wave, sampling_rate=16_000, language="en")["input_ids"][0]
    audio = ids[ids >= NUM_ROWS]
    assert len(audio) == 25 and int(audio.max()) < NUM_ROWS + NUM_AUDIO
    assert processor.tokenizer.decode(ids[ids < NUM_ROWS], skip_special_tokens=True) == "[English Speech] "
    assert (audio - NUM_ROWS).tolist() == processor.tokenize_speech(wave, 16_000)[0]
    assert processor(audio=[str(tmp_path / "a.opus")])["input_ids"].shape[1] > 25
    with pytest.raises(ValueError, match="is the name of a file"):
        processor(text=[str(tmp_path / "a.opus")])


def test_errors_of_the_processor(wave):
    processor = build_processor(max_text_tokens=2)
    for arguments in ({}, {"audio": wave, "text": "a"}):
        with pytest.raises(ValueError, match="exactly one"):
            processor(**arguments)
    with pytest.raises(ValueError, match="is empty"):
        processor(text=["a", " "])
    with pytest.raises(ValueError, match=r"unknown language 'englsh'.*English"):
        processor(text="a", language="englsh")
    assert processor(text="where is the station").input_ids.shape == processor(text="where is").input_ids.shape
    processor.speech_tokenizer = None
    with pytest.raises(ValueError, match="no speech tokenizer"):
        processor(audio=wave)
    with pytest.raises(ValueError, match="number of rows"):
        type(processor)(processor.feature_extractor, processor.tokenizer, audio_token_offset=7)


def test_a_processor_refuses_another_model():
    processor = build_processor()
    options = {"text_config": {"model_type": "llama", "vocab_size": NUM_ROWS}}
    processor.check_config(SpeechTextDualEncoderConfig(num_audio_tokens=NUM_AUDIO, **options))
    with pytest.raises(ValueError, match="has 16 entries and the model 8"):
        processor.check_config(SpeechTextDualEncoderConfig(num_audio_tokens=8, **options))
    with pytest.raises(ValueError, match="audio_token_offset is 7"):
        processor.check_config(SpeechTextDualEncoderConfig(num_audio_tokens=8, audio_token_offset=7, **options))


def test_models_that_cannot_be_dual_encoders_are_refused(tmp_path):
    T5Model(T5Config(d_model=8, d_ff=8, num_layers=1, num_heads=2, vocab_size=20)).save_pretrained(tmp_path / "t5")
    with pytest.raises(ValueError, match="is an encoder-decoder"):
        SpeechTextDualEncoderModel.from_language_model(str(tmp_path / "t5"))
    with pytest.raises(StrictDataclassError, match="is that of an encoder-decoder"):
        SpeechTextDualEncoderConfig(text_config={"model_type": "t5"})


def test_rows_that_the_language_model_cannot_read_are_refused(tmp_path):
    model = build_dual_encoder(tmp_path, "gpt2")
    with pytest.raises(ValueError, match="513 positions, but the language model reads 512"):
        model(torch.ones(1, 513, dtype=torch.long))


def test_pooling_and_projection_stay_in_float32(tmp_path):
    model = build_dual_encoder(tmp_path).to(torch.bfloat16)
    assert model.language_model.dtype == torch.bfloat16 and model.projection.linear.weight.dtype == torch.float32
    assert model(make_ids()[0]).pooler_output.dtype == torch.float32


def test_adapters_leave_the_language_model_bit_identical(tmp_path):
    model = build_dual_encoder(tmp_path)
    before = {name: p.clone() for name, p in model.language_model.state_dict().items()}
    config = LoraConfig(target_modules=["q_proj"], modules_to_save=["audio_embeddings", "projection"])
    adapted = get_peft_model(model, config).train()
    optimizer = torch.optim.Adam([p for p in adapted.parameters() if p.requires_grad], lr=0.1)
    ids, mask = make_ids()
    for _ in range(2):
        adapted(ids, mask).pooler_output.square().sum().backward()
        optimizer.step()
    trained = adapted(ids, mask).pooler_output
    assert not torch.allclose(trained, model(ids, mask).pooler_output * 0)
    with adapted.disable_adapter():
        after = {n.replace(".base_layer", ""): p for n, p in model.language_model.state_dict().items()}
    assert all(torch.equal(after[name], value) for name, value in before.items())
    adapted.save_pretrained(tmp_path / "adapter")
    assert "language_model.embed_tokens" not in (tmp_path / "adapter" / "adapter_config.json").read_text()


def test_a_saved_folder_loads_by_the_auto_classes(tmp_path, wave):
    model, processor = build_dual_encoder(tmp_path, normalize=True, speech_languages=["en"]), build_processor()
    model.save_pretrained(tmp_path / "de")
    processor.save_pretrained(tmp_path / "de")
    loaded, reader = AutoModel.from_pretrained(tmp_path / "de"), AutoProcessor.from_pretrained(tmp_path / "de")
    inputs = processor(audio=wave, sampling_rate=16_000)
    assert torch.equal(reader(audio=wave, sampling_rate=16_000)["input_ids"], inputs["input_ids"])
    torch.testing.assert_close(loaded(**inputs).pooler_output, model(**inputs).pooler_output)
    assert loaded.config.speech_languages == ["en"]
    assert float(loaded(**inputs).pooler_output.norm()) == pytest.approx(1.0)


def test_sentence_transformers_gives_our_embeddings(tmp_path, wave):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model, processor = build_dual_encoder(tmp_path), build_processor()
    model.save_pretrained(tmp_path / "de")
    processor.save_pretrained(tmp_path / "de")
    assert json.loads((tmp_path / "de" / "modules.json").read_text())[0]["path"] == ""
    encoder = sentence_transformers.SentenceTransformer(str(tmp_path / "de"), device="cpu")
    assert encoder.get_embedding_dimension() == model.config.projection_dim
    assert encoder.similarity_fn_name == "dot"

    def ours(**inputs):
        with torch.no_grad():
            return model(**processor(**inputs)).pooler_output.numpy()

    texts = [text for text in TEXTS if "<" not in text]
    np.testing.assert_allclose(encoder.encode(texts), ours(text=texts), rtol=1e-5, atol=1e-5)
    english = {"text": {"language": "en"}, "audio": {"language": "en"}}
    np.testing.assert_allclose(
        encoder.encode(texts, processing_kwargs=english), ours(text=texts, language="en"), rtol=1e-5, atol=1e-5
    )
    soundfile.write(tmp_path / "clip.wav", wave, 16_000)
    soundfile.write(tmp_path / "clip.opus", wave, 16_000, format="OGG", subtype="OPUS")
    expected = ours(audio=[{"array": wave, "sampling_rate": 16_000}], language="en")
    array = [{"audio": {"array": wave, "sampling_rate": 16_000}}]
    np.testing.assert_allclose(encoder.encode(array, processing_kwargs=english), expected, rtol=1e-5, atol=1e-5)
    wav = str(tmp_path / "clip.wav")
    for spelled in (wav, {"audio": wav}):
        found = encoder.encode([spelled], processing_kwargs=english)
        np.testing.assert_allclose(found, ours(audio=[wav], language="en"), rtol=1e-4, atol=1e-4)
    opus = str(tmp_path / "clip.opus")
    np.testing.assert_allclose(encoder.encode([{"audio": opus}]), ours(audio=[{"path": opus}]), rtol=1e-3, atol=1e-3)
    # Without a mapping it would be read as a text.
    with pytest.raises(ValueError, match="is the name of a file"):
        encoder.encode([opus])


def test_the_pipeline_gives_the_embedding(saved, wave):
    folder, model, processor = saved
    extract = pipeline("feature-extraction", model=str(folder))
    for source, inputs in (
        ("good morning", {"text": "good morning"}),
        (wave, {"audio": wave, "sampling_rate": 16_000}),
    ):
        with torch.no_grad():
            expected = model(**processor(**inputs, language="en")).pooler_output
        item = source if isinstance(source, str) else {"array": source, "sampling_rate": 16_000}
        found = extract(item, language="en", return_tensors=True)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_an_upload_loads_without_the_package(saved, tmp_path):
    _, model, processor = saved
    metadata = "language: en\nlibrary_name: transformers\nlicense: mit\npipeline_tag: feature-extraction"
    bundle = build_bundle(tmp_path / "bundle", model, processor, card=f"---\n{metadata}\n---\n# x\n")
    config = json.loads((bundle / "config.json").read_text())
    assert config["auto_map"]["AutoModel"] == "modeling_speech_text_dual_encoder.SpeechTextDualEncoderModel"
    assert (bundle / "modules.json").is_file() and (bundle / "speech_tokenizer").is_dir()


def test_a_card_shows_how_a_dual_encoder_is_used(saved):
    _, model, _ = saved
    model_type = MODEL_TYPES["speech_text_dual_encoder"]
    facts = load_card_facts(REPOSITORY_ROOT / "model_cards" / "default.yaml")
    card = render_card(card_template(), facts, model=model, model_type=model_type, has_code=True, languages=["en"])
    assert "mu2slam search index" in card and "pipeline_tag: feature-extraction" in card
    assert "pooler_output" in card and "AutoModelForSpeechSeq2Seq" not in card
    assert "sentence-transformers" in card


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    model, processor = build_dual_encoder(folder), build_processor()
    model.save_pretrained(folder / "de")
    processor.save_pretrained(folder / "de")
    return folder / "de", model, processor


def test_the_dot_product_knows_the_languages(saved, wave):
    _, model, processor = saved
    options = {"scores": ["dot"], "text_languages": ["en", "es"]}
    audio, texts = [wave, wave[:8000]], ["good morning", "buenos"]
    right = score_pairs(model, processor, audio, texts, audio_languages=["en", "es"], **options)["dot"]
    with torch.no_grad():
        speech = model(**processor(audio=audio, sampling_rate=16_000, language=["en", "es"])).pooler_output
        text = model(**processor(text=texts, language=["en", "es"])).pooler_output
    torch.testing.assert_close(right.float(), speech @ text.T, rtol=1e-4, atol=1e-4)
    for other in (["es", "en"], None):
        assert not torch.equal(
            score_pairs(model, processor, audio, texts, audio_languages=other, **options)["dot"], right
        )
    with pytest.raises(ValueError, match="leave the layer out"):
        SpeechTextEncoder(model, processor, layer=1).encode_text(texts)
