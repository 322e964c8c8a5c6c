# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch
from maestro_batches import make_maestro, make_maestro_batch
from mslam_batches import FRONTENDS, make_model
from torch.nn.functional import layer_norm

from mu2slam_hf.models.modeling_maestro_pretraining import MAESTRO_LOSSES, align_labels
from mu2slam_hf.models.modules_lengths import encoder_length
from mu2slam_hf.models.modules_speech_masking import counter_noise, counter_spans
from mu2slam_hf.models.modules_text_resampling import resample
from mu2slam_hf.models.modules_transducer import transducer_sum

INDEX = {name: index for index, name in enumerate(MAESTRO_LOSSES)}


def run(model, batch, **options):
    with torch.no_grad():
        return model(**batch, **options)


def one_hot(name: str) -> torch.Tensor:
    return torch.eye(len(MAESTRO_LOSSES))[INDEX[name]]


@pytest.mark.parametrize("pack", [False, True])
def test_losses_of_pairs_and_texts_are_written_out(pack):
    """Item by item, with nothing but the modules of the encoder and loops over tokens and frames."""
    model = make_maestro()
    batch = make_maestro_batch(model.config, "sctc", garbage=50.0, extra=3)
    outputs = run(model, batch, pack_sequences=pack)
    encoder, front, expected = model.model, model.model.text_frontend, dict.fromkeys(MAESTRO_LOSSES, 0.0)
    with torch.no_grad():
        pairs = zip(batch["pair_speech_rows"], batch["pair_text_rows"], strict=True)
        for number, (speech_row, text_row) in enumerate(pairs):
            length = int(batch["attention_mask"][speech_row].sum())
            frames = encoder_length(length)
            ids = batch["text_ids"][text_row, : int(batch["text_attention_mask"][text_row].sum())][None]
            speech = encoder.run_speech_layers(
                encoder.embed_speech(batch["input_features"][speech_row, None, :length])
            )
            speech = speech.last_hidden_state
            shared = encoder.run_shared_layers(encoder.speech_projection(speech)).last_hidden_state
            mask = torch.ones(1, frames, dtype=torch.bool)
            expected["rnnt"] += float(transducer_sum(model.transducer, shared, mask, ids)[0])
            durations = align_labels(model.transducer, shared, mask, ids)
            assert durations.sum() == frames
            assert outputs.durations[number, : ids.shape[1]].tolist() == durations[0].tolist()
            real = torch.ones_like(ids, dtype=torch.bool)
            tokens = front.encode(encoder.embed_text(ids), real)
            predicted = front.duration_predictor(tokens, real)[0]
            for value, duration in zip(predicted.tolist(), durations[0].tolist(), strict=True):
                expected["duration"] += (value - torch.tensor(1.0 + duration).log().item()) ** 2
            refined = front.refiner(resample(tokens, durations).states).last_hidden_state[0]
            for own, other in zip(refined, speech[0], strict=True):
                expected["matching"] += float((layer_norm(own, (16,)) - layer_norm(other, (16,))).square().mean())
        (alone,) = set(range(len(batch["text_ids"]))) - set(batch["pair_text_rows"].tolist())
        ids = batch["text_ids"][alone, : int(batch["text_attention_mask"][alone].sum())][None]
        real, seed = torch.ones_like(ids, dtype=torch.bool), batch["text_seed"][alone, None]
        tokens = front.encode(encoder.embed_text(ids), real)
        durations, _ = front.duration_predictor.to_durations(front.duration_predictor(tokens, real), real)
        text = front.refine(tokens, durations).states
        spans = counter_spans(seed, torch.tensor([text.shape[1]]), text.shape[1], 0.3, 2)
        assert spans.any() and not spans.all()
        for frame in spans[0].nonzero()[:, 0].tolist():
            text[0, frame] = 0.1 * counter_noise(seed, torch.tensor([frame]), 16)[0]
        shared = encoder.run_shared_layers(encoder.speech_projection(text)).last_hidden_state
        mask = torch.ones(text.shape[:2], dtype=torch.bool)
        expected["aligned_mlm"] = float(transducer_sum(model.transducer, shared, mask, ids)[0])
    for name in ("rnnt", "duration", "matching", "aligned_mlm"):
        assert float(outputs.loss_sums[INDEX[name]]) == pytest.approx(expected[name], rel=2e-4), name


def test_losses_of_speech_are_those_of_mslam():
    """With the same weights, an mSLAM has the same losses on speech alone, and CTC on pairs."""
    model, mslam = make_maestro(), make_model(seed=1)
    mslam.load_state_dict(
        {**mslam.state_dict(), **{k: v for k, v in model.state_dict().items() if k in mslam.state_dict()}}
    )
    batch = make_maestro_batch(model.config, "ssc")
    ours = run(model, batch).named_losses()
    text_labels = torch.full_like(batch["text_ids"], -100)
    theirs = run(mslam, {**{k: v for k, v in batch.items() if k != "text_seed"}, "text_labels": text_labels})
    for name in ("contrastive", "diversity", "speech_mlm", "ctc"):
        assert ours[name] == pytest.approx(theirs.named_losses()[name], rel=1e-4), name


@pytest.mark.parametrize("frontend", FRONTENDS)
@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_every_parameter_has_a_gradient_in_a_batch_of_each_kind(frontend, decay):
    for kinds in ("s", "t", "c", "stc"):
        model = make_maestro(encoder=FRONTENDS[frontend], alignment_ema_decay=decay).train()
        batch = make_maestro_batch(model.config, kinds)
        if kinds == "t":
            assert not batch["pair_text_rows"].numel()
        outputs = model(**batch)
        outputs.loss.backward()
        assert torch.isfinite(outputs.loss)
        for name, parameter in model.named_parameters():
            if name.startswith("average."):
                assert parameter.grad is None and not parameter.requires_grad
            else:
                assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        present = {name for name, count in zip(MAESTRO_LOSSES, outputs.loss_counts.tolist(), strict=True) if count}
        by_kind = {"s": {"contrastive", "diversity", "speech_mlm"}, "t": {"aligned_mlm"}}
        by_kind["c"] = {"rnnt", "ctc", "matching", "duration"}
        assert present == set().union(*(by_kind[kind] for kind in kinds))
        for name, total in zip(MAESTRO_LOSSES, outputs.loss_sums.tolist(), strict=True):
            assert (total != 0) == (name in present), (kinds, name)


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_batches_add_up(decay):
    """The sums of a batch with garbage in its padding are those of its parts."""
    model = make_maestro(alignment_ema_decay=decay)
    whole = make_maestro_batch(model.config, "stcstc", garbage=50.0, extra=2)
    total = run(model, whole)
    sums, counts = torch.zeros(len(MAESTRO_LOSSES)), torch.zeros(len(MAESTRO_LOSSES))
    pairs = dict(zip(whole["pair_speech_rows"].tolist(), whole["pair_text_rows"].tolist(), strict=True))
    speech_keys = (
        "input_features",
        "attention_mask",
        "mask_time_indices",
        "negative_frames",
        "noise_seed",
        "ctc_labels",
    )
    text_keys = ("text_ids", "text_attention_mask", "text_seed")
    silent = make_maestro_batch(model.config, "t")
    empty = make_maestro_batch(model.config, "s")
    for row in range(len(whole["input_features"])):
        texts = [pairs[row]] if row in pairs else []
        part = {key: whole[key][row : row + 1] for key in speech_keys}
        part |= {key: whole[key][texts] if texts else empty[key] for key in text_keys}
        part |= {key: torch.zeros(len(texts), dtype=torch.int64) for key in ("pair_speech_rows", "pair_text_rows")}
        outputs = run(model, part)
        sums, counts = sums + outputs.loss_sums, counts + outputs.loss_counts
    for row in set(range(len(whole["text_ids"]))) - set(pairs.values()):
        outputs = run(model, {**silent, **{key: whole[key][row : row + 1] for key in text_keys}})
        sums, counts = sums + outputs.loss_sums, counts + outputs.loss_counts
    assert counts.tolist() == total.loss_counts.tolist()
    # The diversity of codes is that of a batch.
    kept = [index for name, index in INDEX.items() if name != "diversity"]
    torch.testing.assert_close(sums[kept], total.loss_sums[kept], rtol=2e-4, atol=2e-4)


def gradients_of(model, batch, name: str) -> dict[str, torch.Tensor]:
    model.zero_grad()
    model(**batch, loss_weights=one_hot(name)).loss.backward()
    return {key: parameter.grad for key, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("stops", [True, False])
def test_matching_trains_text_only(stops):
    model = make_maestro(matching_stop_gradient=stops).train()
    gradients = gradients_of(model, make_maestro_batch(model.config, "cc"), "matching")
    speech = [value for name, value in gradients.items() if name.startswith("model.conformer.layers.0.")]
    assert any(value.any() for value in speech) == (not stops)
    assert gradients["model.text_frontend.refiner.layers.0.feed_forward1.up_proj.weight"].any()
    assert gradients["model.text_frontend.encoder.layers.0.feed_forward1.up_proj.weight"].any()


def test_matching_does_not_pay_for_shrinking():
    """The scale of refined text does not change it."""
    model, losses = make_maestro(), []
    batch = make_maestro_batch(model.config, "c")
    for scale in (1.0, 0.1):

        def shrink(module, inputs, output, scale=scale):
            output.last_hidden_state = scale * output.last_hidden_state
            return output

        handle = model.model.text_frontend.refiner.register_forward_hook(shrink)
        losses.append(run(model, batch).named_losses()["matching"])
        handle.remove()
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)


def test_what_is_masked_of_a_text_is_not_read():
    """Other content in the masked frames leaves the loss as it is, to the bit; in others it does not."""
    model = make_maestro()
    batch = make_maestro_batch(model.config, "t")
    with torch.no_grad():
        outputs = model.model(input_ids=batch["text_ids"], attention_mask=batch["text_attention_mask"])
    length = int(outputs.attention_mask.sum())
    spans = counter_spans(batch["text_seed"], torch.tensor([length]), length, 0.3, 2)
    assert spans.any() and not spans.all()

    def add_to(where):
        def change(module, inputs, output):
            output.last_hidden_state = torch.where(where[..., None], 100.0, output.last_hidden_state)
            return output

        handle = model.model.text_frontend.refiner.register_forward_hook(change)
        loss = run(model, batch).loss_sums[INDEX["aligned_mlm"]]
        handle.remove()
        return loss

    expected = run(model, batch).loss_sums[INDEX["aligned_mlm"]]
    assert torch.equal(add_to(spans), expected)
    assert not torch.equal(add_to(~spans), expected)


def test_skipped_losses_are_not_computed():
    model = make_maestro()
    batch = make_maestro_batch(model.config, "stc")
    full = model(**batch)
    calls = []
    handle = model.model.text_frontend.refiner.register_forward_hook(lambda *_: calls.append(1))
    for skipped, num_refined in (
        (("matching", "duration", "aligned_mlm"), 0),
        (("matching", "duration"), 1),
        (("aligned_mlm",), 1),
        (("matching",), 2),
    ):
        calls.clear()
        model.zero_grad()
        outputs = model(**batch, skipped_losses=skipped)
        outputs.loss.backward()
        assert len(calls) == num_refined, skipped
        assert all(parameter.grad is not None for parameter in model.parameters())
        for name, index in INDEX.items():
            if name in skipped:
                assert outputs.loss_sums[index] == 0 and outputs.loss_counts[index] == 0
            elif name != "diversity":
                torch.testing.assert_close(outputs.loss_sums[index], full.loss_sums[index], rtol=1e-4, atol=1e-4)
    handle.remove()


def test_the_average_aligns_and_predicts():
    model = make_maestro(alignment_ema_decay=0.75)
    batch = make_maestro_batch(model.config, "tc")
    model.start_average()
    own, averaged = model.model.state_dict(), model.average.model.state_dict()
    assert all(torch.equal(own[name], averaged[name]) for name in own)
    before, durations = {name: value.clone() for name, value in averaged.items()}, run(model, batch).durations
    with torch.no_grad():
        for parameter in [*model.model.parameters(), *model.transducer.parameters()]:
            parameter.add_(torch.randn_like(parameter))
    # The weights have changed, the average has not.
    assert torch.equal(run(model, batch).durations, durations)
    model.update_average()
    name = "conformer.layers.0.feed_forward1.up_proj.weight"
    expected = 0.75 * before[name] + 0.25 * model.model.state_dict()[name]
    torch.testing.assert_close(model.average.model.state_dict()[name], expected)


def test_masked_pairs_are_refused():
    model = make_maestro()
    batch = make_maestro_batch(model.config, "c")
    batch["mask_time_indices"][0, 0] = True
    with pytest.raises(ValueError, match="must be False in pairs"):
        model(**batch)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions(dtype):
    """The losses are those of float32 up to rounding, except for those that depend on alignments."""
    model = make_maestro(quantizer_method="nearest")
    batch = make_maestro_batch(model.config, "stc")
    expected = run(model, batch).named_losses()
    outputs = model.to(dtype)(**batch)
    outputs.loss.backward()
    assert outputs.loss_sums.isfinite().all()
    for name in ("rnnt", "ctc"):
        assert outputs.named_losses()[name] == pytest.approx(expected[name], rel=0.03), name
