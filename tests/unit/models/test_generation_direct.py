# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import peft
import pytest
import torch
from tiny_models import TEXT_OFFSET, VOCABULARY, speech_batch, tiny_config, tiny_model, writing_model
from transformers import TextStreamer
from transformers.masking_utils import create_bidirectional_mask

from mu2slam_hf import Mu2SLAMForConditionalGeneration
from mu2slam_hf.models.generation_cache import RaggedCache
from mu2slam_hf.models.generation_direct import DirectDecoder

LEARNED = {"position_embeddings_type": "learned", "max_position_embeddings": 100, "position_offset": 2}
LANGUAGES = torch.tensor([1, 3])


def build_model(dtype=torch.float32, **decoder) -> Mu2SLAMForConditionalGeneration:
    config = tiny_config()
    for name, value in decoder.items():
        setattr(config.decoder_config, name, value)
    torch.manual_seed(0)
    return Mu2SLAMForConditionalGeneration(config).to(dtype).eval()


def start(model):
    """Encoder outputs with a mask, and a cache after four tokens of both rows."""
    batch = speech_batch([90, 50])
    outputs = model.model.encoder(batch["input_features"].to(model.dtype), attention_mask=batch["attention_mask"])
    states = outputs.last_hidden_state
    outputs.attention_mask = create_bidirectional_mask(
        model.config.decoder_config, states[:, :1], outputs.attention_mask, encoder_hidden_states=states
    )
    cache = RaggedCache(model.config.decoder_config)
    cache.place([0, 0], 4, states.device)
    ids = torch.randint(TEXT_OFFSET, VOCABULARY, (2, 4), generator=torch.Generator().manual_seed(1))
    model(
        encoder_outputs=outputs,
        decoder_input_ids=ids,
        decoder_language_ids=LANGUAGES,
        past_key_values=cache,
        use_cache=True,
    )
    return outputs, cache


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "decoder",
    [
        {},
        {"position_embeddings_type": "sinusoidal_inclusive", "position_offset": 2},
        {**LEARNED, "normalize_embedding": True},
    ],
)
# The table of positions has 64 rows at first.
@pytest.mark.parametrize(
    ("starts", "length"), [([4, 4], 1), ([2, 4], 1), ([4, 4], 3), ([4, 3], 3), ([4, 4], 60), ([4, 4], 80)]
)
@torch.no_grad()
def test_logits_are_those_of_the_model(decoder, dtype, starts, length):
    model = build_model(dtype, **decoder)
    logits = []
    for is_direct in (False, True):
        outputs, cache = start(model)
        places = cache.place(starts, length, torch.device("cpu"))
        if places is None:
            places = torch.arange(starts[0], starts[0] + length)[None]
        mask = None if length == 1 and places.shape[0] == 1 else places[:, None, :, None] >= torch.arange(4 + length)
        ids = TEXT_OFFSET + torch.arange(2 * length).view(2, length) % (VOCABULARY - TEXT_OFFSET)
        if is_direct:
            direct = DirectDecoder(model)
            logits.append(
                direct.compute_logits(
                    ids,
                    places,
                    cache,
                    4 + length,
                    attention_mask=mask,
                    source_mask=outputs.attention_mask,
                    language_ids=LANGUAGES,
                    modality_ids=None,
                )
            )
        else:
            logits.append(
                model(
                    encoder_outputs=outputs,
                    decoder_input_ids=ids,
                    decoder_language_ids=LANGUAGES,
                    decoder_attention_mask=mask,
                    decoder_position_ids=places,
                    past_key_values=cache,
                    use_cache=True,
                ).logits
            )
    tolerance = 1e-4 if dtype == torch.float32 else 0.1
    torch.testing.assert_close(logits[1], logits[0], atol=tolerance, rtol=tolerance)


def test_it_is_used_from_the_second_step_on(monkeypatch):
    model, calls = tiny_model(), []
    original = DirectDecoder.compute_logits
    monkeypatch.setattr(DirectDecoder, "compute_logits", lambda *a, **k: calls.append(1) or original(*a, **k))
    options = {"source_lang": "en", "max_new_tokens": 6, "min_new_tokens": 6, "ctc_draft": False}
    model.generate(**speech_batch([60]), **options)
    with_processor = len(calls)
    options.pop("min_new_tokens")
    ids = model.generate(**speech_batch([60]), **options)
    # A minimum length is a processor that only transformers' own search knows.
    assert with_processor == 0 and len(calls) == ids.shape[1] - 2


@pytest.mark.parametrize(
    "options",
    [
        {"source_lang": ["en", "fr", "es"], "ctc_weight": 0.4},
        {"source_lang": "en", "target_lang": "fr", "num_return_sequences": 2, "length_penalty": 0.3},
        {"source_lang": "es", "min_new_tokens": 9, "repetition_penalty": 1.5},
        {"target_lang": "en", "target_modality": "speech"},
    ],
)
def test_beams_are_those_of_the_model(monkeypatch, options):
    model, batch, calls = writing_model(7, 0.3), speech_batch([190, 41, 120], garbage=1e9), []
    options |= {"num_beams": 3, "return_dict_in_generate": True, "output_scores": True, "max_new_tokens": 25}
    monkeypatch.setattr(DirectDecoder, "supports", staticmethod(lambda _: False))
    expected = model.generate(**batch, **options)
    monkeypatch.undo()
    original = DirectDecoder.compute_logits
    monkeypatch.setattr(DirectDecoder, "compute_logits", lambda *a, **k: calls.append(1) or original(*a, **k))
    found = model.generate(**batch, **options)
    assert len(calls) == len(found.scores) - 1 > 2
    assert torch.equal(found.sequences, expected.sequences)
    torch.testing.assert_close(found.sequences_scores, expected.sequences_scores)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"num_beam_groups": 2, "diversity_penalty": 0.5}, "trust_remote_code"),
        ({"streamer": TextStreamer(None)}, "streamer"),
    ],
)
def test_what_beam_search_does_not_have_is_refused_as_by_transformers(options, error):
    with pytest.raises(ValueError, match=error):
        tiny_model().generate(**speech_batch([60]), num_beams=2, max_new_tokens=3, **options)


def test_recorded_states_are_those_of_the_model():
    options = {"num_beams": 2, "max_new_tokens": 3, "min_new_tokens": 3, "return_dict_in_generate": True}
    outputs = tiny_model().generate(**speech_batch([60]), **options, output_hidden_states=True)
    assert len(outputs.decoder_hidden_states) == 3 and len(outputs.decoder_hidden_states[2]) == 3


def test_what_it_cannot_replace():
    model = tiny_model()
    assert not DirectDecoder.supports(model)  # gradients
    with torch.no_grad():
        assert DirectDecoder.supports(model)
        assert not DirectDecoder.supports(model.train())
        model.eval()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert not DirectDecoder.supports(model)
        for module in (model, model.model.decoder, model.model.decoder.layers[1].self_attn.q_proj):
            handle = module.register_forward_hook(lambda *_: None)
            assert not DirectDecoder.supports(model)
            handle.remove()
            module.forward = module.forward
            assert not DirectDecoder.supports(model)
            del module.forward
        assert DirectDecoder.supports(model)
        model.set_attn_implementation("eager")
        assert not DirectDecoder.supports(model)


def test_replaced_layers_are_not_bypassed():
    for name in ("v_proj", "lm_head", "embed_tokens"):
        model = tiny_model()
        peft.inject_adapter_in_model(peft.LoraConfig(target_modules=[name]), model)
        with torch.no_grad():
            assert not DirectDecoder.supports(model)

    class Other(Mu2SLAMForConditionalGeneration):
        def forward(self, *args, **kwargs):
            return super().forward(*args, **kwargs)

    with torch.no_grad():
        assert not DirectDecoder.supports(Other(tiny_config()).eval())
