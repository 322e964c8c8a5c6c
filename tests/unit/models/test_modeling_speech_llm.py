# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A speech encoder, an audio adapter and a text model: parity with the text model, padding, sizes, frozen parts."""

import math

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_speech_llm import KINDS, make_speech_llm, make_speech_model, make_text_model, make_text_tokenizer
from torch import nn
from transformers import LlamaConfig, MT5Config

from mu2slam_hf import ConformerEncoderConfig, SpeechLLMConfig, SpeechLLMForConditionalGeneration, build_speech_llm
from mu2slam_hf.models.modeling_speech_llm import AudioAdapter
from mu2slam_hf.models.modules_lengths import audio_embedding_length
from mu2slam_hf.models.modules_pooling import LayerAverage
from mu2slam_hf.recipes.runs.speech_llm import find_lora_targets

SPEECH = ("mslam", "w2v_bert", "wav2vec2", "whisper")


def make_waves(*lengths: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [0.1 * torch.randn(length, generator=generator) for length in lengths]


def embed_by_hand(model, inputs):
    """Prompts with audio embeddings, put together row by row."""
    name = model.speech_input_name
    states, table = [], model.language_model.get_input_embeddings()
    for speech, mask in zip(inputs[name], inputs[f"{name}_mask"], strict=True):
        mask = mask[None] if name == "input_features" and speech.shape[0] == 80 else mask[None, : mask.sum()]
        speech = speech[None] if speech.shape[0] == 80 else speech[None, : mask.shape[1]]
        layers = model.encoder.compute_layers(speech, mask)[1:]
        average = sum(
            weight * layer for weight, layer in zip(model.audio_adapter.layer_average.weight, layers, strict=True)
        ) / len(layers)
        if mask.sum() < mask.shape[1]:  # Whisper: frames after the recording
            average = average[:, : (int(mask.sum()) + 1) // 2]
        first, second = model.audio_adapter.convolutions
        states.append(second(nn.functional.gelu(first(average.transpose(1, 2)))).transpose(1, 2)[0])
    rows = []
    for ids, audio in zip(inputs["input_ids"], states, strict=True):
        is_audio = ids == model.config.audio_token_id
        embeds = table(ids.masked_fill(is_audio, 0)).clone()
        embeds[is_audio] = audio
        rows.append(embeds)
    return torch.stack(rows)


@pytest.mark.parametrize("speech", SPEECH)
@pytest.mark.parametrize("kind", KINDS)
def test_forward_and_generation_are_those_of_the_text_model(kind, speech):
    model, processor = make_speech_llm(kind, speech)
    text_model = make_text_model(kind)
    text_model.load_state_dict(model.language_model.state_dict())
    inputs = processor(make_waves(12000, 9000), task="ast", target_lang="en", sampling_rate=16000)
    embeds = embed_by_hand(model, inputs)
    shared = {"inputs_embeds": embeds, "attention_mask": inputs["attention_mask"]}
    decoder = {"decoder_input_ids": torch.tensor([[0, 5, 6], [0, 7, 8]])} if kind == "mt5" else {}
    torch.testing.assert_close(
        model(**inputs, **decoder).logits, text_model(**shared, **decoder).logits, rtol=1e-5, atol=2e-5
    )
    for options in ({"num_beams": 1}, {"num_beams": 3, "length_penalty": 0.5}):
        options |= {"max_new_tokens": 6, "do_sample": False}
        assert torch.equal(model.generate(**inputs, **options), text_model.generate(**shared, **options))


@pytest.mark.parametrize("kind", KINDS)
def test_without_audio_it_is_the_text_model(kind):
    model, processor = make_speech_llm(kind)
    inputs = processor(text=["the cat", "a longer text than that"])
    decoder = {"decoder_input_ids": torch.tensor([[0, 5], [0, 7]])} if kind == "mt5" else {}
    assert torch.equal(model(**inputs, **decoder).logits, model.language_model(**inputs, **decoder).logits)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_the_adapter_are_those_of_a_graph_made_by_hand(kind):
    model, processor = make_speech_llm(kind)
    inputs = processor(make_waves(12000, 9000), task="asr", source_lang="fr", text_target=["le chat", "sur"])
    gradients = []
    for embeds in (None, embed_by_hand(model, inputs)):
        model.zero_grad()
        if embeds is None:
            model(**inputs).loss.backward()
        else:
            rest = {name: inputs[name] for name in ("attention_mask", "labels")}
            model.language_model(inputs_embeds=embeds, **rest).loss.backward()
        gradients.append([parameter.grad.clone() for parameter in model.audio_adapter.parameters()])
    for ours, expected in zip(*gradients, strict=True):
        assert expected.abs().sum() > 0
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
    outside = [
        name for name, item in model.named_parameters() if item.grad is not None and "audio_adapter" not in name
    ]
    assert not outside


@pytest.mark.parametrize("speech", ("mslam", "w2v_bert", "wav2vec2"))
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_equals_single_rows_whatever_the_padding_holds(kind, speech):
    model, processor = make_speech_llm(kind, speech)
    waves, targets = make_waves(12000, 3000, 7777), ["the mat", "cat", "le tapis sur"]
    batch = processor(waves, task="asr", source_lang="en", text_target=targets)
    name = model.speech_input_name
    noise = 1e4 * torch.randn(batch[name].shape, generator=torch.Generator().manual_seed(1))
    mask = batch[f"{name}_mask"].bool()
    batch[name] = torch.where(mask[..., None] if batch[name].ndim == 3 else mask, batch[name], noise)
    together = model(**batch).logits
    options = {"max_new_tokens": 5, "num_beams": 2}
    written = model.generate(**processor_prompts(batch, processor, waves, name), **options)
    for row, (wave, target) in enumerate(zip(waves, targets, strict=True)):
        alone = processor([wave], task="asr", source_lang="en", text_target=[target])
        logits = model(**alone).logits[0]
        own = together[row, -len(logits) :] if kind == "llama" else together[row, : len(logits)]
        torch.testing.assert_close(own, logits, rtol=0, atol=1e-4)
        prompt = processor([wave], task="asr", source_lang="en")
        ids = model.generate(**prompt, **options)[0]
        assert written[row][: len(ids)].tolist() == ids.tolist()


def processor_prompts(batch, processor, waves, name):
    """Prompts without targets, with the poisoned features of a batch."""
    return {**processor(waves, task="asr", source_lang="en"), name: batch[name]}


def test_rows_with_and_without_audio_in_one_batch():
    model, processor = make_speech_llm("llama")
    (wave,) = make_waves(8000)
    audio = processor([wave], text="before <|audio|> after")
    ids = [processor.build_ids("the cat"), audio["input_ids"][0].tolist(), processor.build_ids("a mat")]
    batch = processor.pad_rows(ids)
    speech = {name: audio[name] for name in ("input_features", "input_features_mask")}
    logits = model(**batch, **speech).logits
    torch.testing.assert_close(logits[1], model(**audio).logits[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(logits[0, -len(ids[0]) :], model(torch.tensor([ids[0]])).logits[0], rtol=0, atol=1e-5)


def test_numbers_of_placeholders_and_embeddings_must_agree():
    model, processor = make_speech_llm()
    inputs = processor(make_waves(8000, 8000), task="ast", target_lang="en")
    inputs["input_ids"][1, 0] = 5
    with pytest.raises(ValueError, match=r"Prompt 1 has .* 6 times, but its recording has 7"):
        model(**inputs, decoder_input_ids=torch.zeros(2, 1, dtype=torch.int64))
    with pytest.raises(ValueError, match="each of the 2 prompts .* got 0 recordings"):
        model(inputs["input_ids"], decoder_input_ids=torch.zeros(2, 1, dtype=torch.int64))


def test_a_text_model_of_t5_in_float16_is_refused():
    model, processor = make_speech_llm()
    inputs = processor(make_waves(8000), task="ast", target_lang="en")
    with pytest.raises(ValueError, match="overflows in float16.*bfloat16"):
        model.half().generate(**inputs)


# ---- sizes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "expected"), [(2048, 18_878_464), (4096, 62_922_752)])
def test_parameters_of_the_papers_adapters(width, expected):
    config = SpeechLLMConfig(encoder_config=ConformerEncoderConfig(), text_config=MT5Config(d_model=width))
    with torch.device("meta"):
        adapter = AudioAdapter(config)
    assert sum(parameter.numel() for parameter in adapter.convolutions.parameters()) == expected
    assert adapter.layer_average.weight.numel() == 24


@pytest.mark.parametrize(("width", "heads", "ff", "expected"), [(2048, 32, 5120, 9_437_184)])
def test_parameters_of_the_papers_lora(width, heads, ff, expected):
    text = MT5Config(d_model=width, num_heads=heads, d_kv=64, d_ff=ff, num_layers=24, num_decoder_layers=24)
    config = SpeechLLMConfig(encoder_config=ConformerEncoderConfig(), text_config=text)
    with torch.device("meta"):
        model = SpeechLLMForConditionalGeneration(config)
        lora = LoraConfig(r=16, lora_alpha=10, target_modules=find_lora_targets(model))
        adapted = get_peft_model(model, lora)
    numbers = {name: item.numel() for name, item in adapted.named_parameters()}
    trained = sum(number for name, number in numbers.items() if "lora_" in name)
    assert trained == expected
    trained += sum(number for name, number in numbers.items() if ".audio_adapter." in name)
    assert trained < 0.01 * sum(numbers.values()), "the folder of a run is below 1 % of its base"


def test_lora_of_a_causal_text_model_leaves_the_encoder_alone():
    model, _ = make_speech_llm("llama")
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=find_lora_targets(model)))
    names = {name.split(".lora_")[0] for name, _ in adapted.named_parameters() if "lora_" in name}
    assert len(names) == 4 and all("language_model" in name and name.endswith(("q_proj", "v_proj")) for name in names)


@pytest.mark.parametrize("speech", SPEECH)
def test_numbers_of_embeddings_for_all_lengths(speech):
    model, processor = make_speech_llm("mt5", speech)
    for length in (*range(600, 8000, 370), 7999, 8000, 8001):
        inputs = processor([torch.ones(length) * 0.1], task="ast", target_lang="en")
        embeds = model.get_audio_features(**inputs).pooler_output
        assert len(embeds) == (inputs["input_ids"] == model.config.audio_token_id).sum(), length


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_lengths_are_those_of_the_convolutions(stride):
    config = SpeechLLMConfig(
        encoder_config=ConformerEncoderConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2),
        text_config=LlamaConfig(hidden_size=4, num_attention_heads=2, vocab_size=10, pad_token_id=0),
        adapter_stride=stride,
    )
    adapter = AudioAdapter(config)
    for num_inputs in range(1, 201):
        num_frames = audio_embedding_length(num_inputs, {**config.audio_lengths, "stride": 1})
        states = adapter([torch.zeros(1, num_frames, 8)], torch.tensor([num_frames]))
        assert states.shape[1] == audio_embedding_length(num_inputs, config.audio_lengths)
        assert states.shape[1] == math.ceil(math.ceil(num_inputs / 4) / stride)


def test_the_layer_average_begins_as_the_mean_and_learns_its_scale():
    layers = [torch.randn(2, 5, 3) for _ in range(4)]
    average = LayerAverage(4, "none")
    torch.testing.assert_close(average(layers), torch.stack(layers).mean(0))
    average.weight.data *= 3
    torch.testing.assert_close(average(layers), 3 * torch.stack(layers).mean(0))


# ---- frozen parts, saving -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_adapter_is_trained_and_frozen_parts_stay_in_evaluation_mode(kind, tmp_path):
    model, _ = make_speech_llm(kind)
    model.save_pretrained(tmp_path)
    for each in (model, SpeechLLMForConditionalGeneration.from_pretrained(tmp_path)):
        trained = {name.split(".")[0] for name, item in each.named_parameters() if item.requires_grad}
        assert trained == {"audio_adapter"}
        each.train()
        modes = {part: getattr(each, part).training for part in ("encoder", "language_model", "audio_adapter")}
        assert modes == {"encoder": False, "language_model": False, "audio_adapter": True}
        assert not any(module.training for module in each.language_model.modules())
    adapted = get_peft_model(model, LoraConfig(target_modules=find_lora_targets(model), lora_dropout=0.5)).train()
    dropouts = [module for name, module in adapted.named_modules() if name.endswith("lora_dropout.default")]
    assert dropouts and all(module.training for module in dropouts)
    model.language_model.requires_grad_(True)
    assert model.train().language_model.training


@pytest.mark.parametrize("kind", KINDS)
def test_saving_keeps_all_weights_and_the_settings_of_generation(kind, tmp_path):
    model, processor = make_speech_llm(kind)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    loaded = SpeechLLMForConditionalGeneration.from_pretrained(tmp_path)
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    if kind == "mt5":
        table, head = loaded.language_model.shared.weight, loaded.language_model.lm_head.weight
        assert not torch.equal(table, head)
    assert loaded.generation_config.chunk_length_s == 30.0
    again = type(processor).from_pretrained(tmp_path)
    again.check_config(loaded.config)
    inputs = [each(make_waves(8000), task="asr", source_lang="ca") for each in (processor, again)]
    assert torch.equal(model.generate(**inputs[0]), loaded.generate(**inputs[1]))


# ---- building -------------------------------------------------------------------------------------------------------


def test_the_encoder_returns_what_the_speech_model_returns():
    for kind in ("mslam", "w2v_bert", "wav2vec2", "whisper"):
        source, extractor = make_speech_model(kind)
        model, processor = make_speech_llm("mt5", kind)
        inputs = processor(make_waves(8000), task="ast", target_lang="en")
        name = model.speech_input_name
        layers = model.encoder.compute_layers(inputs[name], inputs[f"{name}_mask"])
        part = source.get_encoder() if kind == "whisper" else source
        expected = part(inputs[name], output_hidden_states=True).hidden_states
        assert len(layers) == len(expected) == 4
        for ours, theirs in zip(layers, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5)


def test_speech_of_mu2slam_is_of_unknown_language():
    from helpers import make_tiny_pair

    source, source_processor = make_tiny_pair()
    shared = {"tokenizer": make_text_tokenizer("llama"), "feature_extractor": source_processor.feature_extractor}
    model, processor = build_speech_llm(source, make_text_model("llama"), languages=["en"], **shared)
    inputs = processor(make_waves(8000), task="asr", source_lang="en")
    layers = model.encoder.compute_layers(inputs["input_features"], inputs["input_features_mask"])
    expected = source.get_encoder()(inputs["input_features"], output_hidden_states=True).hidden_states
    for ours, theirs in zip(layers, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_what_cannot_be_built_is_refused():
    speech, extractor = make_speech_model()
    text, tokenizer = make_text_model("llama"), make_text_tokenizer("llama")
    shared = {"feature_extractor": extractor, "tokenizer": tokenizer}
    with pytest.raises(ValueError, match="expected a speech model of type mu2slam.*; got 'llama'"):
        build_speech_llm(text, text, **shared)
    with pytest.raises(ValueError, match="pass its tokenizer"):
        build_speech_llm(speech, text, feature_extractor=extractor)
    with pytest.raises(ValueError, match="pass its feature extractor"):
        build_speech_llm(speech, text, tokenizer=tokenizer)
    with pytest.raises(ValueError, match="a text model that generates"):
        build_speech_llm(speech, text.model, **shared)
    speech.config.add_speech_projection = True
    with pytest.raises(ValueError, match="projection between its stacks.*add_speech_projection: false"):
        build_speech_llm(speech, text, **shared)
    tokenizer.pad_token = tokenizer.eos_token = None
    speech.config.add_speech_projection = False
    with pytest.raises(ValueError, match="neither an id of padding"):
        build_speech_llm(speech, text, **shared)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layer_average": "mean"}, "layer_average must be one of linear, softmax, last"),
        ({"adapter_kernel_size": 4}, "adapter_kernel_size must be odd"),
        ({"encoder_config": {"model_type": "llama"}}, "encoder_config.model_type must be one of"),
        ({"text_config": {"model_type": "wav2vec2", "vocab_size": 3, "pad_token_id": None}}, "pad_token_id"),
    ],
)
def test_configurations_that_cannot_be_built(values, message):
    with pytest.raises(Exception, match=message):
        SpeechLLMConfig(**{"text_config": LlamaConfig(pad_token_id=0), **values})
