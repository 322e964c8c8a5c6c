# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What makes the model trustworthy: its output depends on the recording, and on nothing that stands around it.

Tolerance is 1e-5 in float32 throughout. Padding is filled with garbage: huge, infinite or no numbers at all.
"""

import pytest
import torch
from tiny_models import NUM_SPEECH, TEXT_OFFSET, VOCABULARY, speech_batch, text_ids, tiny_model

from mu2slam_hf import Mu2SLAMForConditionalGeneration, Mu2SLAMForCTC
from mu2slam_hf.models.modules_lengths import encoder_length

TOLERANCE = 1e-5
LENGTHS = [57, 4, 130, 1, 33]
TARGET_LENGTHS = [6, 3, 11, 1, 8]
GARBAGE = [1e30, float("inf"), float("nan")]
VARIANTS = {
    "layer-rotary": {"conv_norm": "layer", "position_embeddings_type": "rotary"},
    "group-sinusoidal": {"conv_norm": "group", "position_embeddings_type": "sinusoidal"},
    "group-rotary-causal": {"conv_norm": "group", "position_embeddings_type": "rotary", "conv_causal": True},
}


@pytest.fixture(scope="module", params=VARIANTS)
def model(request) -> Mu2SLAMForConditionalGeneration:
    return tiny_model(**VARIANTS[request.param])


def assert_same(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=TOLERANCE)


def items(kind: str) -> list[dict[str, torch.Tensor]]:
    """Utterances or sentences of different length, each as a batch of one."""
    if kind == "speech":
        sources = [{"input_features": speech_batch([n], seed=n)["input_features"]} for n in LENGTHS]
    else:
        sources = [{"input_ids": text_ids(1, n, seed=n)} for n in LENGTHS]
    for row, (source, length) in enumerate(zip(sources, TARGET_LENGTHS, strict=True)):
        source["language_ids"] = torch.tensor([row % 4])
        source["decoder_input_ids"] = text_ids(1, length, seed=1000 + length)
        source["decoder_language_ids"] = torch.tensor([(row + 1) % 4])
    return sources


def padded_batch(sources: list[dict], extra: int, garbage: float) -> dict[str, torch.Tensor]:
    """The items in one batch, `extra` positions longer than needed, padding filled with garbage."""
    batch = {"language_ids": [], "decoder_language_ids": []}
    name = "input_features" if "input_features" in sources[0] else "input_ids"
    noise = torch.Generator().manual_seed(7)
    for key, mask_name in ((name, "attention_mask"), ("decoder_input_ids", "decoder_attention_mask")):
        lengths = [source[key].shape[1] for source in sources]
        longest = max(lengths) + extra
        shape = (len(sources), longest, *sources[0][key].shape[2:])
        if key == "input_features":
            values = torch.randn(shape, generator=noise) * garbage
        else:
            values = torch.randint(0, VOCABULARY, shape, generator=noise)
        mask = torch.zeros(shape[:2], dtype=torch.int64)
        for row, source in enumerate(sources):
            values[row, : lengths[row]] = source[key][0]
            mask[row, : lengths[row]] = 1
        batch |= {key: values, mask_name: mask}
    for key in ("language_ids", "decoder_language_ids"):
        batch[key] = torch.cat([source[key] for source in sources])
    return batch


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("extra", [0, 1, 50])
@pytest.mark.parametrize("kind", ["speech", "text"])
@torch.no_grad()
def test_alone_equals_in_a_batch_with_any_padding(model, kind, extra, garbage):
    sources = items(kind)
    together = model(**padded_batch(sources, extra, garbage))
    for row, source in enumerate(sources):
        alone = model(**source)
        positions, targets = alone.encoder_last_hidden_state.shape[1], alone.logits.shape[1]
        assert_same(together.logits[row, :targets], alone.logits[0])
        assert_same(together.encoder_last_hidden_state[row, :positions], alone.encoder_last_hidden_state[0])
        assert_same(together.language_logits[row], alone.language_logits[0])
        if kind == "speech":
            assert_same(together.ctc_logits[row, :positions], alone.ctc_logits[0])


@pytest.mark.parametrize("name", ["labels", "ctc_labels", "source_language_labels"])
@torch.no_grad()
def test_losses_do_not_see_padding(model, name):
    sources = items("speech")
    if name == "source_language_labels":
        labels = [torch.tensor([row % 4]) for row in range(len(sources))]
        padded = torch.cat(labels)
    else:
        # As many as the targets have, or as CTC can align to the frames of the shortest clips.
        counts = TARGET_LENGTHS if name == "labels" else [max(1, encoder_length(n) // 3) for n in LENGTHS]
        labels = [TEXT_OFFSET + torch.arange(count)[None] for count in counts]
        longest = max(counts) + 4
        padded = torch.cat([torch.nn.functional.pad(x, (0, longest - x.shape[1]), value=-100) for x in labels])
    batch = padded_batch(sources, 4, 1e30)
    together = model(**batch, **{name: padded}).loss
    alone = torch.stack([model(**s, **{name: x}).loss for s, x in zip(sources, labels, strict=True)])
    counts = torch.tensor([x.numel() for x in labels])
    assert together > 0
    assert_same(together, (alone * counts).sum() / counts.sum())


@pytest.mark.parametrize("garbage", GARBAGE)
@torch.no_grad()
def test_ctc_model_alone_equals_in_a_batch(model, garbage):
    ctc = Mu2SLAMForCTC.from_conditional_generation(model)
    sources = [{key: s[key] for key in ("input_features", "language_ids")} for s in items("speech")]
    batch = padded_batch(items("speech"), 20, garbage)
    together = ctc(**{key: batch[key] for key in ("input_features", "attention_mask", "language_ids")}).logits
    for row, source in enumerate(sources):
        alone = ctc(**source).logits
        assert_same(together[row, : alone.shape[1]], alone[0])


@pytest.mark.parametrize("garbage", GARBAGE)
def test_gradients_do_not_see_padding(model, garbage):
    sources = items("speech")
    batch = padded_batch(sources, 13, garbage)

    def gradients(run):
        model.zero_grad()
        run().backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    def score(outputs, targets, row):
        return outputs.logits[row, :targets].square().sum() * 1e-4

    def alone():
        return sum(score(model(**s), n, 0) for s, n in zip(sources, TARGET_LENGTHS, strict=True))

    def together():
        outputs = model(**batch)
        return sum(score(outputs, n, row) for row, n in enumerate(TARGET_LENGTHS))

    expected, actual = gradients(alone), gradients(together)
    assert expected.keys() == actual.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(
            actual[name], gradient, rtol=1e-3, atol=TOLERANCE, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("kind", ["speech", "text"])
@torch.no_grad()
def test_attention_backends_agree(model, kind):
    batch = padded_batch(items(kind), 5, 1e30)
    real = batch["decoder_attention_mask"].bool()
    outputs = {}
    for backend in ("eager", "sdpa"):
        model.set_attn_implementation(backend)
        outputs[backend] = model(**batch)
    model.set_attn_implementation("sdpa")
    assert_same(outputs["eager"].logits[real], outputs["sdpa"].logits[real])
    assert_same(outputs["eager"].language_logits, outputs["sdpa"].language_logits)


@torch.no_grad()
def test_half_precision_is_near(model):
    batch = padded_batch(items("speech"), 5, 1e30)
    real = batch["decoder_attention_mask"].bool()
    expected = model(**batch).logits[real].log_softmax(-1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = model(**batch).logits[real].float().log_softmax(-1)
    # bfloat16 keeps 8 bits: errors of 1e-2 relative to logits of a few units.
    torch.testing.assert_close(actual, expected, rtol=0.05, atol=0.15)


@pytest.mark.slow
@torch.no_grad()
def test_compiled_equals_eager(model):
    batch = padded_batch(items("speech"), 5, 0.0)
    real = batch["decoder_attention_mask"].bool()
    compiled = torch.compile(model, dynamic=False)
    assert_same(compiled(**batch).logits[real], model(**batch).logits[real])


def pack(model, sources: list[dict]) -> dict[str, torch.Tensor]:
    """All sources in one encoder row, with padding between and after them, and all targets in one decoder row."""
    encoder, rows = model.model.encoder, []
    for index, source in enumerate(sources, start=1):
        is_speech = "input_features" in source
        states = (
            encoder.embed_speech(source["input_features"]) if is_speech else encoder.embed_text(source["input_ids"])
        )
        length, gap = states.shape[1], 2
        rows.append(
            {
                "inputs_embeds": torch.cat([states, torch.full((1, gap, states.shape[2]), 1e4)], dim=1),
                "sequence_ids": torch.tensor([[index] * length + [0] * gap]),
                "language_ids": source["language_ids"][:, None].expand(1, length + gap),
                "modality_ids": torch.full((1, length + gap), 0 if is_speech else 1),
            }
        )
        target = source["decoder_input_ids"]
        rows[-1] |= {
            "decoder_input_ids": torch.nn.functional.pad(target, (0, gap), value=5),
            "decoder_sequence_ids": torch.tensor([[index] * target.shape[1] + [0] * gap]),
            "decoder_language_ids": source["decoder_language_ids"][:, None].expand(1, target.shape[1] + gap),
        }
    return {key: torch.cat([row[key] for row in rows], dim=1) for key in rows[0]}


@pytest.mark.parametrize("backend", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", ["speech", "text", "mixed"])
@torch.no_grad()
def test_packed_equals_padded(model, kind, backend):
    model.set_attn_implementation(backend)
    sources = items("speech")[:3] + items("text")[3:] if kind == "mixed" else items(kind)
    packed = pack(model, sources)
    outputs = model(**packed, use_cache=False)
    for index, source in enumerate(sources, start=1):
        alone = model(**source)
        encoder_positions = packed["sequence_ids"][0] == index
        decoder_positions = packed["decoder_sequence_ids"][0] == index
        assert_same(outputs.encoder_last_hidden_state[0, encoder_positions], alone.encoder_last_hidden_state[0])
        assert_same(outputs.logits[0, decoder_positions], alone.logits[0])
    model.set_attn_implementation("sdpa")


@torch.no_grad()
def test_several_targets_of_one_utterance_in_one_row(model):
    source = items("speech")[2]
    targets = {language: text_ids(1, length, seed=length) for language, length in ((1, 9), (2, 4), (3, 6))}
    sequence_ids = torch.cat([torch.full((1, t.shape[1]), i) for i, t in enumerate(targets.values(), start=1)], dim=1)
    outputs = model(
        input_features=source["input_features"],
        language_ids=source["language_ids"],
        decoder_input_ids=torch.cat(list(targets.values()), dim=1),
        decoder_sequence_ids=sequence_ids,
        decoder_source_ids=torch.ones_like(sequence_ids),
        decoder_language_ids=torch.cat([torch.full_like(t, language) for language, t in targets.items()], dim=1),
        use_cache=False,
    )
    for index, (language, target) in enumerate(targets.items(), start=1):
        alone = model(
            input_features=source["input_features"],
            language_ids=source["language_ids"],
            decoder_input_ids=target,
            decoder_language_ids=torch.tensor([language]),
        )
        assert_same(outputs.logits[0, sequence_ids[0] == index], alone.logits[0])


@torch.no_grad()
def test_cached_decoding_equals_uncached(model):
    batch = padded_batch(items("speech"), 3, 1e30)
    targets = text_ids(len(LENGTHS), 9, seed=3)
    arguments = {key: batch[key] for key in ("input_features", "attention_mask", "decoder_language_ids")}
    whole = model(**arguments, decoder_input_ids=targets).logits
    cache, encoder_outputs, steps = None, None, []
    for position in range(targets.shape[1]):
        source = (
            arguments
            if encoder_outputs is None
            else {
                "encoder_outputs": encoder_outputs,
                "attention_mask": arguments["attention_mask"],
                "decoder_language_ids": arguments["decoder_language_ids"],
            }
        )
        outputs = model(
            **source,
            decoder_input_ids=targets[:, position : position + 1],
            past_key_values=cache,
            use_cache=True,
        )
        cache, encoder_outputs = outputs.past_key_values, (outputs.encoder_last_hidden_state,)
        steps.append(outputs.logits)
    assert_same(torch.cat(steps, dim=1), whole)


def written(ids: torch.Tensor) -> list[int]:
    """A generated row up to its first `</s>`; the rest is filling (transformers' beam search fills with `</s>`)."""
    row = ids.tolist()
    return row[: row.index(2) + 1] if 2 in row else row


@pytest.mark.parametrize("kind", ["speech", "text"])
@torch.no_grad()
def test_generation_alone_equals_in_a_batch(model, kind):
    names = ("input_features", "input_ids", "attention_mask", "language_ids")
    sources = items(kind)
    batch = padded_batch(sources, 10, 1e30)
    for options in ({}, {"num_beams": 3}):
        together = model.generate(**{k: v for k, v in batch.items() if k in names}, target_lang="fr", **options)
        for row, source in enumerate(sources):
            alone = model.generate(**{k: v for k, v in source.items() if k in names}, target_lang="fr", **options)
            assert written(together[row]) == written(alone[0])


@torch.no_grad()
def test_generation_with_ctc_alone_equals_in_a_batch(model):
    names = ("input_features", "attention_mask")
    sources = items("speech")
    batch = padded_batch(sources, 10, 1e30)
    options = {"source_lang": "en", "target_lang": "en", "ctc_weight": 0.4, "num_beams": 3, "max_new_tokens": 12}
    together = model.generate(**{k: v for k, v in batch.items() if k in names}, **options)
    for row, source in enumerate(sources):
        alone = model.generate(input_features=source["input_features"], **options)
        assert written(together[row]) == written(alone[0])


@torch.no_grad()
def test_saved_and_loaded_gives_identical_outputs(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = Mu2SLAMForConditionalGeneration.from_pretrained(tmp_path).eval()
    batch = padded_batch(items("speech"), 3, 1e30)
    expected, actual = model(**batch), loaded(**batch)
    for name in ("logits", "ctc_logits", "language_logits", "encoder_last_hidden_state"):
        assert torch.equal(actual[name], expected[name]), name


@pytest.mark.parametrize("frames", range(1, 14))
@torch.no_grad()
def test_every_length_has_its_frames(model, frames):
    outputs = model(**speech_batch([frames]), decoder_input_ids=text_ids(1, 2))
    assert outputs.ctc_logits.shape == (1, encoder_length(frames), VOCABULARY)
    assert torch.isfinite(outputs.logits).all()


@torch.no_grad()
def test_ctc_never_emits_speech_or_specials(model):
    best = model(**speech_batch([400]), decoder_input_ids=text_ids(1, 2)).ctc_logits.topk(VOCABULARY - TEXT_OFFSET)
    ids = set(best.indices.flatten().tolist())
    assert not ids & set(range(64, 64 + NUM_SPEECH))
    assert not ids & {1, 2, 4, 5, 63}
