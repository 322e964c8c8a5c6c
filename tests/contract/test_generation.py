# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Properties of generation, in place of transformers' own mixin, which no distribution of it carries."""

import pytest
import torch
from tiny_models import LANGUAGES, NUM_SPEECH, TEXT_OFFSET, VOCABULARY, speech_batch, text_ids, tiny_config, tiny_model
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    MaxLengthCriteria,
    StoppingCriteriaList,
)

from mu2slam_hf import Mu2SLAMForConditionalGeneration

STEPS = 10
BOS, EOS = 1, 2
SPEECH_IDS = set(range(64, 64 + NUM_SPEECH))
TEXT_IDS = set(range(TEXT_OFFSET, VOCABULARY))


@pytest.fixture(scope="module")
def model() -> Mu2SLAMForConditionalGeneration:
    torch.manual_seed(0)
    config = tiny_config()
    config.decoder_config.scale_embedding = False  # a random model would else repeat its last token for ever,
    model = Mu2SLAMForConditionalGeneration(config).eval()
    with torch.no_grad():
        model.lm_head.bias[EOS] = -1.0  # often end before it began,
        model.model.encoder.embed_languages.weight *= 5  # and hardly hear of languages
    return model


@pytest.fixture(params=["speech", "text"])
def source(request) -> dict[str, torch.Tensor]:
    if request.param == "speech":
        return speech_batch([90, 41, 66])
    return {
        "input_ids": text_ids(3, 8),
        "attention_mask": torch.tensor([[1] * 8, [1] * 5 + [0] * 3, [1] * 2 + [0] * 6]),
    }


def loop(model, source, target_rows, allowed, steps=STEPS):
    """Greedy decoding written as a loop over whole prefixes, without a cache."""
    rows = len(next(iter(source.values())))
    ids = torch.full((rows, 1), BOS)
    ended = torch.zeros(rows, dtype=torch.bool)
    banned = torch.tensor([token not in allowed and token != EOS for token in range(VOCABULARY)])
    for _ in range(steps):
        logits = model(**source, decoder_input_ids=ids, decoder_language_ids=target_rows, use_cache=False).logits
        best = logits[:, -1].masked_fill(banned, -float("inf")).argmax(-1)
        ids = torch.cat([ids, torch.where(ended, 0, best)[:, None]], dim=1)
        ended |= best == EOS
        if ended.all():
            break
    return ids


@torch.no_grad()
def test_greedy_equals_a_loop(model, source):
    ids = model.generate(**source, target_lang="fr", max_new_tokens=STEPS, num_beams=1)
    assert torch.equal(ids, loop(model, source, torch.full((3,), LANGUAGES.index("fr")), TEXT_IDS))


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"num_beams": 3}])
def test_cache_kinds_agree(model, source, options):
    options = {**options, "target_lang": "es", "max_new_tokens": STEPS}
    cached = model.generate(**source, **options)
    assert torch.equal(model.generate(**source, **options, use_cache=False), cached)
    assert torch.equal(model.generate(**source, **options, cache_implementation="static"), cached)


@pytest.mark.slow
@torch.no_grad()
def test_compiled_static_cache_agrees(source):
    model = tiny_model()
    expected = model.generate(**source, target_lang="es", max_new_tokens=STEPS)
    model.forward = torch.compile(model.forward, fullgraph=True)
    actual = model.generate(**source, target_lang="es", max_new_tokens=STEPS, cache_implementation="static")
    assert torch.equal(actual, expected)


@torch.no_grad()
def test_scores_of_beams_are_those_of_the_model(model, source):
    beams, languages = 3, ["en", "fr", "es"]
    out = model.generate(
        **source,
        target_lang=languages,
        num_beams=beams,
        num_return_sequences=beams,
        max_new_tokens=STEPS,
        length_penalty=1.0,
        return_dict_in_generate=True,
        output_scores=True,
    )
    assert out.sequences.shape[0] == 3 * beams
    repeated = {name: value.repeat_interleave(beams, dim=0) for name, value in source.items()}
    rows = torch.tensor([LANGUAGES.index(code) for code in languages]).repeat_interleave(beams)
    logits = model(**repeated, decoder_input_ids=out.sequences[:, :-1], decoder_language_ids=rows).logits
    allowed = torch.tensor([token in TEXT_IDS or token == EOS for token in range(VOCABULARY)])
    log_probs = logits.log_softmax(-1).masked_fill(~allowed, -float("inf"))
    written = out.sequences[:, 1:]
    taken = log_probs.gather(-1, written[..., None])[..., 0]
    # Real tokens reach up to the first `</s>`, which counts.
    real = (written == EOS).cumsum(-1) - (written == EOS).long() == 0
    mean = taken.masked_fill(~real, 0.0).sum(-1) / real.sum(-1)
    torch.testing.assert_close(out.sequences_scores, mean, rtol=0, atol=1e-4)
    per_item = out.sequences_scores.view(3, beams)
    assert (per_item[:, :-1] >= per_item[:, 1:]).all()


@torch.no_grad()
def test_sampling_is_reproducible(model, source):
    options = {"target_lang": "en", "do_sample": True, "max_new_tokens": STEPS, "num_return_sequences": 4}

    def sample(seed):
        torch.manual_seed(seed)
        return model.generate(**source, **options)

    first = sample(1)
    assert first.shape[0] == 12
    assert torch.equal(first, sample(1))
    assert first.shape != sample(2).shape or not torch.equal(first, sample(2))
    assert set(first.flatten().tolist()) <= TEXT_IDS | {0, BOS, EOS}
    assert len({tuple(row) for row in first.tolist()}) > 3


@torch.no_grad()
def test_shapes_of_what_generation_reports(model, source):
    out = model.generate(
        **source,
        target_lang="en",
        max_new_tokens=4,
        min_new_tokens=4,
        return_dict_in_generate=True,
        output_scores=True,
        output_logits=True,
        output_hidden_states=True,
    )
    rows, width, layers = 3, 64, 2
    positions = out.encoder_hidden_states[0].shape[1]
    assert len(out.scores) == len(out.logits) == len(out.decoder_hidden_states) == 4
    assert all(step.shape == (rows, VOCABULARY) for step in (*out.scores, *out.logits))
    assert [state.shape for state in out.encoder_hidden_states] == [(rows, positions, width)] * (layers + 1)
    for step in out.decoder_hidden_states:
        assert [state.shape for state in step] == [(rows, 1, width)] * (layers + 1)
    # Greedy: what was written is the best of the scores, which are the logits without what is ruled out.
    assert torch.equal(torch.stack([step.argmax(-1) for step in out.scores], dim=1), out.sequences[:, 1:])


@torch.no_grad()
def test_attentions_that_generation_reports(source):
    model = tiny_model()
    model.set_attn_implementation("eager")
    options = {"target_lang": "en", "max_new_tokens": 3, "min_new_tokens": 3, "num_beams": 2}
    out = model.generate(**source, **options, return_dict_in_generate=True, output_attentions=True)
    positions = out.encoder_attentions[0].shape[-1]
    assert all(weights.shape == (3, 4, positions, positions) for weights in out.encoder_attentions)
    for step, (own, cross) in enumerate(zip(out.decoder_attentions, out.cross_attentions, strict=True)):
        assert all(weights.shape == (6, 4, 1, step + 1) for weights in own)
        assert all(weights.shape == (6, 4, 1, positions) for weights in cross)


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"do_sample": True, "temperature": 5.0}])
def test_only_the_target_modality_is_written(model, source, options):
    options = {**options, "target_lang": "fr", "max_new_tokens": 30}
    speech = model.generate(**source, **options, target_modality="speech")
    assert torch.equal(speech[:, 0], torch.full((3,), BOS))
    ended = speech.new_zeros(3).bool()
    for column in speech[:, 1:].T:
        assert all(token in SPEECH_IDS | {EOS} or done for token, done in zip(column.tolist(), ended, strict=True))
        ended |= column == EOS
    assert set(speech.flatten().tolist()) & SPEECH_IDS
    text = model.generate(**source, **options)
    assert set(text.flatten().tolist()) <= TEXT_IDS | {0, BOS, EOS}


@torch.no_grad()
def test_modality_follows_from_the_task(model):
    ids = model.generate(input_ids=text_ids(1, 5), target_lang="fr", task="tts", max_new_tokens=5)
    assert set(ids[0, 1:].tolist()) <= SPEECH_IDS | {EOS}


@torch.no_grad()
def test_rows_end_and_are_filled(model, source):
    class EndFirstRowThird(LogitsProcessor):
        """Makes the first row end with its third token, all others never."""

        def __call__(self, input_ids, scores):
            scores = scores.clone()
            scores[:, EOS] = -float("inf")
            if input_ids.shape[1] == 3:
                scores[0] = -float("inf")
                scores[0, EOS] = 0.0
            return scores

    processors = LogitsProcessorList([EndFirstRowThird()])
    ids = model.generate(**source, target_lang="en", max_new_tokens=6, logits_processor=processors)
    assert ids[0, 3] == EOS and (ids[0, 4:] == 0).all() and (ids[1:] != EOS).all()
    assert ids.shape == (3, 7)
    stop = StoppingCriteriaList([MaxLengthCriteria(3)])
    assert model.generate(**source, target_lang="en", stopping_criteria=stop).shape[1] <= 3


@torch.no_grad()
def test_length_is_bounded_by_the_source_and_not_by_a_default(source):
    model = tiny_model()
    with torch.no_grad():
        model.lm_head.bias[EOS] = -1e4
    positions = model.get_encoder()(**source).attention_mask.sum(-1)
    ids = model.generate(**source, target_lang="en")
    limits = (1.5 * positions).long() + 32
    for row, limit in zip(ids, limits, strict=True):
        assert row[1 : limit + 1].tolist().index(EOS) == limit - 1 and (row[limit + 1 :] == 0).all()
    assert model.generate(**source, target_lang="en", max_new_tokens=50).shape[1] == 51


@torch.no_grad()
def test_an_earlier_output_of_the_encoder_may_be_the_source(model, source):
    encoder_outputs = model.get_encoder()(**source)
    options = {"decoder_language_ids": torch.tensor([1, 2, 3]), "max_new_tokens": STEPS}
    expected = model.generate(**source, **options)
    assert torch.equal(model.generate(encoder_outputs=encoder_outputs, **options), expected)


@torch.no_grad()
def test_features_may_be_the_first_argument(model):
    batch = speech_batch([50])
    expected = model.generate(**batch, target_lang="en", max_new_tokens=STEPS)
    assert torch.equal(model.generate(batch["input_features"], target_lang="en", max_new_tokens=STEPS), expected)


@torch.no_grad()
def test_exactly_one_source(model):
    features, ids = speech_batch([50])["input_features"], text_ids(1, 4)
    with pytest.raises(ValueError, match="exactly one source"):
        model.generate(input_features=features, input_ids=ids, target_lang="en")
    with pytest.raises(ValueError, match="exactly one source"):
        model.generate(target_lang="en")
    with pytest.raises(ValueError, match="given twice"):
        model.generate(features, input_features=features, target_lang="en")
    with pytest.raises(ValueError, match="exactly one source"):
        model(input_features=features, input_ids=ids, decoder_input_ids=ids)
    # The source text is never taken for the beginning of the target.
    assert model.generate(input_ids=ids, target_lang="en", max_new_tokens=2)[0, 0] == BOS


@torch.no_grad()
def test_languages_by_code_by_item_and_by_default(model, source):
    options = {"max_new_tokens": STEPS}
    by_row = {
        code: model.generate(**source, decoder_language_ids=torch.full((3,), row), **options)
        for row, code in enumerate(LANGUAGES)
        if row
    }
    assert len({str(ids.tolist()) for ids in by_row.values()}) == 3
    for code, ids in by_row.items():
        assert torch.equal(model.generate(**source, target_lang=code, **options), ids)
    mixed = model.generate(**source, target_lang=["en", "es", "fr"], num_beams=1, **options)
    for row, code in enumerate(["en", "es", "fr"]):
        assert written(mixed[row]) == written(by_row[code][row])
    # A regional code falls back to its language; the source given is the default target.
    assert torch.equal(model.generate(**source, target_lang="fr-CA", **options), by_row["fr"])
    assert torch.equal(
        model.generate(**source, source_lang="es", **options),
        model.generate(**source, source_lang="es", target_lang="es", **options),
    )


@torch.no_grad()
def test_default_target_is_the_language_guessed(model, source):
    guessed = []
    for row in range(3):
        real = int(source["attention_mask"][row].sum())
        item = {name: value[row : row + 1, :real] for name, value in source.items()}
        states = model.get_encoder()(**item).last_hidden_state
        guessed.append(int(model.language_head(states.mean(1))[0, 1:].argmax()) + 1)
    expected = model.generate(**source, decoder_language_ids=torch.tensor(guessed), max_new_tokens=STEPS)
    assert torch.equal(model.generate(**source, max_new_tokens=STEPS), expected)


def written(ids: torch.Tensor) -> list[int]:
    """A row up to its first `</s>`."""
    row = ids.tolist()
    return row[: row.index(EOS) + 1] if EOS in row else row


@torch.no_grad()
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_lang": "klingon"}, "klingon"),
        ({"target_lang": "frr"}, "fr"),
        ({"source_lang": "de"}, "de"),
        ({"target_lang": ["en", "fr"]}, "2 languages for a batch of 3"),
        ({"target_lang": "en", "task": "mt"}, "speech"),
        ({"source_lang": "en", "target_lang": "fr", "task": "asr"}, "ast"),
        ({"source_lang": "en", "target_lang": "en", "task": "ast"}, "asr"),
        ({"target_lang": "en", "task": "transcribe"}, "unknown task"),
        ({"target_lang": "en", "target_modality": "video"}, "target_modality"),
        ({"target_lang": "en", "target_modality": "speech", "task": "asr"}, "target_modality|speech"),
        ({"target_lang": "en", "ctc_weight": 1.5}, "ctc_weight"),
        ({"target_lang": "en", "tarket_lang": "fr"}, "tarket_lang"),
    ],
)
def test_wrong_arguments_are_refused(model, options, message):
    with pytest.raises(ValueError, match=message):
        model.generate(**speech_batch([40, 30, 20]), **options)


@torch.no_grad()
@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_joint_scores_are_the_weighted_sum_of_decoder_and_ctc(model, weight):
    batch, beams = speech_batch([120, 75]), 4
    out = model.generate(
        **batch,
        source_lang="en",
        target_lang="en",
        ctc_weight=weight,
        num_beams=beams,
        num_return_sequences=beams,
        length_penalty=0.0,  # the sum, not the mean
        return_dict_in_generate=True,
        output_scores=True,
    )
    repeated = {name: value.repeat_interleave(beams, dim=0) for name, value in batch.items()}
    english = torch.ones(2 * beams, dtype=torch.int64)
    inputs = {"decoder_input_ids": out.sequences[:, :-1], "language_ids": english, "decoder_language_ids": english}
    outputs = model(**repeated, **inputs)
    allowed = torch.tensor([token in TEXT_IDS or token == EOS for token in range(VOCABULARY)])
    log_probs = outputs.logits.masked_fill(~allowed, -float("inf")).log_softmax(-1)
    frames = outputs.encoder_attention_mask.sum(-1)
    for row, ids in enumerate(out.sequences):
        tokens = written(ids)[1:]
        assert tokens[-1] == EOS
        decoder = sum(log_probs[row, step, token] for step, token in enumerate(tokens))
        text, steps = torch.tensor(tokens[:-1])[None], outputs.ctc_logits[row, : frames[row], None].log_softmax(-1)
        lengths = frames[row : row + 1], torch.tensor([text.shape[1]])
        ctc = -torch.nn.functional.ctc_loss(steps.double(), text, *lengths, reduction="sum")
        expected = (1 - weight) * decoder + weight * ctc
        torch.testing.assert_close(out.sequences_scores[row], expected.float(), rtol=1e-4, atol=1e-3)


@torch.no_grad()
def test_ctc_weight_in_the_generation_config_is_kept(model, tmp_path):
    batch = speech_batch([80, 60])
    options = {"source_lang": "en", "max_new_tokens": STEPS, "num_beams": 2}
    asked = model.generate(**batch, ctc_weight=0.5, **options)
    copy = Mu2SLAMForConditionalGeneration(model.config).eval()
    copy.load_state_dict(model.state_dict())
    copy.generation_config.ctc_weight = 0.5
    copy.save_pretrained(tmp_path)
    loaded = Mu2SLAMForConditionalGeneration.from_pretrained(tmp_path).eval()
    assert GenerationConfig.from_pretrained(tmp_path).ctc_weight == 0.5
    assert torch.equal(loaded.generate(**batch, **options), asked)
    # A translation does not listen to the transcript.
    assert torch.equal(
        loaded.generate(**batch, target_lang="fr", **options),
        model.generate(**batch, target_lang="fr", ctc_weight=0.0, **options),
    )
