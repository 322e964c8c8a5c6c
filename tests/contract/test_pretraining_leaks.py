# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Nothing sees what it must not see: masked content, the future, padding, other sequences of the row.

A view is found in a packed batch by its sequence id: row r and id s. "Equal" is bit for bit.
"""

import pytest
import torch
from pretraining_batches import collate, make_items, make_model

from mu2slam_hf.models.task_types import PRETRAINING_VIEWS

ENCODERS = pytest.mark.parametrize(
    "encoder",
    [
        {"conv_norm": "group", "position_embeddings_type": "sinusoidal"},
        {"conv_norm": "layer", "position_embeddings_type": "rotary"},
        {"conv_norm": "layer", "position_embeddings_type": "relative"},
    ],
    ids=["group-sinusoidal", "layer-rotary", "layer-relative"],
)
ITEMS = make_items("speech text asr ast mt speech asr", seed=2, samples=9999)
BATCH = collate(ITEMS)
NUM_FRAMES = BATCH["speech_token_ids"].numel()
FIRST_TEXT = 1 + NUM_FRAMES


def states_of(model, **changes) -> tuple[torch.Tensor, torch.Tensor]:
    """Encoder and decoder states of the batch with some of its tensors changed."""
    with torch.no_grad():
        outputs = model(**{**BATCH, **changes})
    return outputs.encoder_last_hidden_state, outputs.last_hidden_state


def views() -> list[tuple[str, int, int]]:
    """Name, row and sequence id of every view; every view has masked positions here."""
    length = BATCH["encoder_units"].shape[1]
    found = set()
    for position, view in zip(BATCH["mlm_positions"].tolist(), BATCH["mlm_view_ids"].tolist(), strict=True):
        row = position // length
        found.add((PRETRAINING_VIEWS[view], row, int(BATCH["sequence_ids"].flatten()[position])))
    return sorted(found)


VIEWS = views()
EACH_VIEW = pytest.mark.parametrize("view", VIEWS, ids=lambda view: f"{view[0]}-{view[1]}-{view[2]}")


def encoder_places(view) -> torch.Tensor:
    """`(R, L)` bool, True on the positions of a view."""
    _, row, sequence = view
    places = BATCH["sequence_ids"] == sequence
    return places & (torch.arange(len(places)) == row)[:, None]


def decoder_sequences(view) -> list[torch.Tensor]:
    """`(R, D)` bool for each decoder sequence that reads the view."""
    _, row, source = view
    ids, sources = BATCH["decoder_sequence_ids"][row], BATCH["decoder_source_ids"][row]
    found = []
    for sequence in ids[(sources == source) & (ids > 0)].unique():
        places = torch.zeros_like(BATCH["decoder_sequence_ids"], dtype=torch.bool)
        places[row] = ids == sequence
        found.append(places)
    return found


def hidden_units(view) -> list[int]:
    """Units that the view is to predict and does not read (a tenth of the chosen tokens stays in sight)."""
    inside = encoder_places(view).flatten()[BATCH["mlm_positions"]]
    return sorted(set(BATCH["mlm_labels"][inside].tolist()) - read_units(view))


def read_units(view) -> set[int]:
    return set(BATCH["encoder_units"][encoder_places(view)].tolist())


def other_ids(units: list[int]) -> dict[str, torch.Tensor]:
    """The batch's ids with those of some units changed: other tokens, other codebook entries."""
    text, speech = BATCH["text_ids"].clone(), BATCH["speech_token_ids"].clone()
    for unit in units:
        if unit >= FIRST_TEXT:
            text[unit - FIRST_TEXT] += 1 if text[unit - FIRST_TEXT] < text.max() else -1
        else:
            speech.view(-1)[unit - 1] = (speech.view(-1)[unit - 1] + 1) % 16
    return {"text_ids": text, "speech_token_ids": speech}


def change_frames(model, units: list[int], monkeypatch) -> None:
    """Adds noise to S at some frames. (A waveform cannot be changed under a mask: neighbours hear it.)"""
    encoder = model.model.encoder
    original = encoder.embed_speech

    def embed_speech(*args, **kwargs):
        speech = original(*args, **kwargs).clone()
        frames = torch.tensor([unit - 1 for unit in units if unit < FIRST_TEXT], dtype=torch.int64)
        speech.view(-1, speech.shape[-1])[frames] += 3.0
        return speech

    monkeypatch.setattr(encoder, "embed_speech", embed_speech)


def freeze_text_embeddings(model, monkeypatch) -> None:
    """Ids that change from here on change what the decoder reads, and not what the encoder does."""
    ids = torch.nn.functional.pad(BATCH["text_ids"], (1, 0), value=model.config.mask_token_id)
    embedded = model.model.encoder.embed_text(ids)
    monkeypatch.setattr(model.model.encoder, "embed_text", lambda _: embedded)


def test_the_batch_has_every_view_and_full_rows():
    assert {name for name, _, _ in VIEWS} == set(PRETRAINING_VIEWS)
    assert len(VIEWS) == 3 + 3 * 4
    assert BATCH["sequence_ids"].max() >= 2 and len(BATCH["sequence_ids"]) > 1
    assert all(hidden_units(view) for view in VIEWS)
    assert all(len(decoder_sequences(view)) == (2 if "alignment" in view[0] else 1) for view in VIEWS)


@EACH_VIEW
def test_chosen_frames_are_always_masked(view):
    inside = encoder_places(view).flatten()[BATCH["mlm_positions"]]
    frames = {unit for unit in BATCH["mlm_labels"][inside].tolist() if unit < FIRST_TEXT}
    assert not frames & read_units(view)


@ENCODERS
@EACH_VIEW
def test_the_encoder_never_sees_what_is_masked(view, encoder, monkeypatch):
    model = make_model(**encoder)
    places, hidden = encoder_places(view), hidden_units(view)
    before, _ = states_of(model)
    change_frames(model, hidden, monkeypatch)
    after, _ = states_of(model, **other_ids(hidden))
    assert torch.equal(after[places], before[places])
    monkeypatch.undo()
    # It does see everything else, wherever it stands.
    seen = sorted(read_units(view) - {0})[:1]
    change_frames(model, seen, monkeypatch)
    after, _ = states_of(model, **other_ids(seen))
    assert (after[places] != before[places]).any(dim=-1).all()


@EACH_VIEW
def test_the_decoder_never_sees_what_it_predicts(view, monkeypatch):
    """Content at position i changes no state up to i, and all states after it, which read it."""
    model = make_model()
    # The encoder may see some of what is denoised: a tenth of the chosen tokens stays.
    freeze_text_embeddings(model, monkeypatch)
    _, before = states_of(model)
    length = BATCH["decoder_units"].shape[1]
    for places in decoder_sequences(view):
        first, last = places.flatten().nonzero().flatten()[[0, -1]].tolist()
        inside = (BATCH["decoder_label_positions"] >= first) & (BATCH["decoder_label_positions"] <= last)
        labelled = BATCH["decoder_label_positions"][inside].tolist()
        labels = BATCH["decoder_labels"][inside].tolist()
        for position, unit in list(zip(labelled, labels, strict=True))[:: max(1, len(labels) // 4)]:
            if unit == FIRST_TEXT + 2:  # </s> is many things; it is never read by a decoder
                continue
            _, after = states_of(model, **other_ids([unit]))
            row, start, here = first // length, first % length, position % length
            assert torch.equal(after[row, start : here + 1], before[row, start : here + 1])
            later = (after != before)[row, here + 1 : last % length + 1].any(dim=-1)
            assert later.all()


@pytest.mark.parametrize(
    "view",
    [view for view in VIEWS if view[0] in ("speech", "text") or "alignment" in view[0]],
    ids=lambda view: f"{view[0]}-{view[1]}-{view[2]}",
)
def test_denoising_shows_the_decoder_only_what_is_masked(view, monkeypatch):
    """Content that the encoder sees is [MASK] in the decoder's input: its ids reach nothing there."""
    model = make_model()
    freeze_text_embeddings(model, monkeypatch)
    inside = encoder_places(view).flatten()[BATCH["mlm_positions"]]
    special = {0, *range(FIRST_TEXT, FIRST_TEXT + 3)}
    visible = sorted(read_units(view) - set(BATCH["mlm_labels"][inside].tolist()) - special)
    assert visible
    _, before = states_of(model)
    _, after = states_of(model, **other_ids(visible))
    for places in decoder_sequences(view):
        assert torch.equal(after[places], before[places])


@pytest.mark.parametrize("garbage", [1e30, float("inf"), float("nan")])
@ENCODERS
def test_padding_reaches_nothing(encoder, garbage):
    """Of features, speech ids and rows; neither states nor losses nor gradients."""
    model = make_model(**encoder)
    items = make_items("speech text asr ast mt speech", seed=4)  # utterances of many lengths
    batch = collate(items, pad_to_multiple_of=16)
    changed = {name: tensor.clone() for name, tensor in batch.items()}
    changed["input_features"][batch["attention_mask"] == 0] = garbage
    changed["speech_token_ids"][batch["speech_token_ids"] < 0] = 5
    for prefix, side in (("", "encoder_"), ("decoder_", "decoder_")):
        padding = batch[f"{prefix}sequence_ids"] == 0
        assert padding.any()
        changed[f"{side}units"][padding] = 1 + torch.arange(int(padding.sum())) % (len(batch["text_ids"]) + 3)
        for name in ("position_ids", "language_ids", "modality_ids"):
            changed[prefix + name][padding] = 1
    outputs = [model(**one) for one in (batch, changed)]
    assert torch.equal(outputs[0].loss_sums, outputs[1].loss_sums)
    assert torch.equal(outputs[0].loss_counts, outputs[1].loss_counts)
    real = batch["sequence_ids"] > 0
    assert torch.equal(outputs[0].encoder_last_hidden_state[real], outputs[1].encoder_last_hidden_state[real])
    parameters = list(model.parameters())
    expected, actual = (torch.autograd.grad(output.loss, parameters) for output in outputs)
    for one, other in zip(expected, actual, strict=True):
        assert torch.isfinite(other).all()
        assert torch.equal(other, one)


@ENCODERS
@EACH_VIEW
def test_other_sequences_of_the_row_reach_nothing(view, encoder):
    model = make_model(**encoder)
    places = encoder_places(view)
    before = states_of(model)
    units = BATCH["encoder_units"].clone()
    others = ~places & (BATCH["sequence_ids"] > 0)
    units[others] = 1 + (7 * units[others] + 3) % (NUM_FRAMES + len(BATCH["text_ids"]))
    own = torch.stack(decoder_sequences(view)).any(dim=0)
    decoder_units = BATCH["decoder_units"].clone()
    # Also the other decoder sequence of the same view: the two do not read one another.
    first = decoder_sequences(view)[0]
    decoder_units[~first] = 1 + (5 * decoder_units[~first] + 1) % (NUM_FRAMES + len(BATCH["text_ids"]))
    languages = {
        "language_ids": torch.where(places, BATCH["language_ids"], 3),
        "decoder_language_ids": torch.where(first, BATCH["decoder_language_ids"], 3),
    }
    after = states_of(model, encoder_units=units, decoder_units=decoder_units, **languages)
    assert torch.equal(after[0][places], before[0][places])
    assert torch.equal(after[1][first], before[1][first])
    assert (after[1][~own] != before[1][~own]).any()


@ENCODERS
def test_gradients_stay_in_their_sequence(encoder):
    """A loss of one view has no gradient at any other position of the rows."""
    model = make_model(**encoder)
    gathered = []

    def keep(module, args, kwargs):
        kwargs["inputs_embeds"].retain_grad()
        gathered.append(kwargs["inputs_embeds"])

    hook = model.model.register_forward_pre_hook(keep, with_kwargs=True)
    for view in VIEWS:
        outputs = model(**BATCH)
        states = outputs.encoder_last_hidden_state[encoder_places(view)].square().sum()
        for places in decoder_sequences(view):
            states = states + outputs.last_hidden_state[places].square().sum()
        states.backward()
        gradient = gathered.pop().grad
        assert gradient[encoder_places(view)].any(dim=-1).all()
        assert not gradient[~encoder_places(view)].any()
    hook.remove()
