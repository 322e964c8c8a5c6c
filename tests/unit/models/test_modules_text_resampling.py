# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from mu2slam_hf import ConformerEncoderConfig
from mu2slam_hf.models.modules_positions import sinusoidal_embedding
from mu2slam_hf.models.modules_speech_masking import counter_spans
from mu2slam_hf.models.modules_text_resampling import DurationPredictor, resample, round_durations

CONFIG = ConformerEncoderConfig(
    hidden_size=8, num_hidden_layers=1, num_attention_heads=2, conv_norm="layer", conv_depthwise_kernel_size=3
)


def test_resampling_is_repetition():
    """Forward and backward, beside a loop with `repeat_interleave`; durations of 0 and rows of different lengths."""
    torch.manual_seed(0)
    durations = torch.tensor([[2, 0, 3, 1], [1, 4, 0, 0], [0, 0, 1, 0]])
    states = torch.randn(3, 4, 8, requires_grad=True)
    weights = torch.randn(3, 6, 8)
    output = resample(states, durations)
    rows = []
    for row, lengths in zip(states, durations, strict=True):
        repeated = row.repeat_interleave(lengths, dim=0)
        inside = torch.cat([torch.arange(length) for length in lengths.tolist()])
        rows.append(repeated + sinusoidal_embedding(inside[None], 8)[0])
    expected = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    torch.testing.assert_close(output.states, expected)
    assert output.mask.sum(-1).tolist() == durations.sum(-1).tolist() == [6, 5, 1]
    (gradient,) = torch.autograd.grad((output.states * weights).sum(), states, retain_graph=True)
    torch.testing.assert_close(gradient, torch.autograd.grad((expected * weights).sum(), states)[0])


def test_rows_may_be_longer_than_their_texts():
    states, durations = torch.randn(2, 3, 8), torch.tensor([[1, 1, 1], [2, 3, 0]])
    short, long = resample(states, durations), resample(states, durations, num_frames=9)
    assert torch.equal(long.states[:, :5], short.states) and not long.states[:, 5:].any()
    assert torch.equal(long.mask[:, :5], short.mask) and not long.mask[:, 5:].any()


def test_rounding_keeps_the_total():
    torch.manual_seed(0)
    durations = 3 * torch.rand(50, 30)
    lengths = torch.randint(1, 31, (50,))
    mask = torch.arange(30) < lengths[:, None]
    rounded = round_durations(durations, mask)
    totals = [row[:length].double().sum() for row, length in zip(durations, lengths.tolist(), strict=True)]
    assert rounded.sum(-1).tolist() == [max(1, round(float(total))) for total in totals]
    assert (rounded >= 0).all() and not rounded[~mask].any()
    assert ((rounded - durations).abs()[mask] <= 1.0).all()
    for row, length in enumerate(lengths.tolist()):
        alone = round_durations(durations[row : row + 1, :length], mask[row : row + 1, :length])
        assert torch.equal(alone[0], rounded[row, :length])


def test_durations_below_a_frame():
    """Characters of 0.4 frames: a text of ten has four; one alone still has a frame."""
    assert round_durations(torch.full((1, 10), 0.4), torch.ones(1, 10, dtype=torch.bool)).sum() == 4
    assert round_durations(torch.full((1, 1), 0.4), torch.ones(1, 1, dtype=torch.bool)).tolist() == [[1]]


def test_long_durations_are_cut_and_counted():
    predictor = DurationPredictor(CONFIG, 1, max_frames=5)
    logs = torch.tensor([[2.0, 4.9, 1.0, 9.0]]).add(1).log()
    durations, num_cut = predictor.to_durations(logs, torch.tensor([[True, True, True, False]]))
    assert durations.tolist() == [[2, 5, 1, 0]] and num_cut == 0
    durations, num_cut = predictor.to_durations(logs + 1.0, torch.ones(1, 4, dtype=torch.bool))
    assert durations.sum() <= 20 and durations.max() == 5 and num_cut == 3
    assert predictor.to_durations(torch.full((1, 4), -3.0), torch.ones(1, 4, dtype=torch.bool))[0].sum() == 1


def test_predictions_do_not_depend_on_padding():
    torch.manual_seed(0)
    predictor, states = DurationPredictor(CONFIG, 2, max_frames=5), torch.randn(1, 3, 8)
    padded = torch.cat([states, torch.full((1, 4, 8), 50.0)], dim=1)
    expected = predictor(states, torch.ones(1, 3, dtype=torch.bool))
    actual = predictor(padded, torch.arange(7)[None] < 3)[:, :3]
    torch.testing.assert_close(actual, expected)


def test_spans_depend_on_seed_and_frame_only():
    seeds, lengths = torch.tensor([5, 2**62, 5]), torch.tensor([200, 150, 90])
    spans = counter_spans(seeds, lengths, 220, 0.05, 4)
    assert torch.equal(spans[0, :90], spans[2, :90]) and not torch.equal(spans[0, :90], spans[1, :90])
    for row, length in enumerate(lengths.tolist()):
        assert not spans[row, length:].any()
        assert torch.equal(
            counter_spans(seeds[row : row + 1], lengths[row : row + 1], length, 0.05, 4)[0], spans[row, :length]
        )
    assert not counter_spans(seeds, lengths, 220, 0.0, 4).any()
    assert counter_spans(seeds, lengths, 220, 1.0, 1).sum(-1).tolist() == lengths.tolist()


@pytest.mark.parametrize("span_length", [1, 3, 10])
def test_spans_have_their_length_and_share(span_length):
    spans = counter_spans(torch.arange(200), torch.full((200,), 500), 500, 0.02, span_length)
    # A frame is free if none of the last `span_length` frames starts a span.
    assert spans[:, span_length:].float().mean() == pytest.approx(1 - 0.98**span_length, abs=0.01)
    starts = spans & ~torch.nn.functional.pad(spans, (1, 0))[:, :-1]
    row, frame = starts[:, : 500 - span_length].nonzero(as_tuple=True)
    assert all(spans[row, frame + step].all() for step in range(span_length))
