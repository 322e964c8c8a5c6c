# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import copy
import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError

import mu2slam_hf.models.modules_transducer_networks as modules_transducer_networks
from mu2slam_hf.models.configuration_transducer import TransducerConfig
from mu2slam_hf.models.modules_transducer import (
    TransducerHead,
    find_emission_frames,
    find_writable,
    frames_to_durations,
    transducer_log_likelihoods,
    transducer_sum,
)
from mu2slam_hf.models.modules_transducer_networks import PredictionNetwork

SIZES = [(frames, labels) for frames in (1, 2, 3, 6) for labels in (0, 1, 2, 4)]


def make_arcs(rows: int, frames: int, labels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Log probabilities of blank and labels at every node, in float64, requiring gradients."""
    logits = torch.randn(rows, frames, labels + 1, 5, dtype=torch.float64)
    log_probs = logits.log_softmax(-1)
    return log_probs[..., 0].clone().requires_grad_(), log_probs[:, :, :labels, 1].clone().requires_grad_()


def list_paths(num_frames: int, num_labels: int) -> list[tuple[int, ...]]:
    """The frames of the labels of every path."""
    return list(itertools.combinations_with_replacement(range(num_frames), num_labels))


def score_path(blank: torch.Tensor, labels: torch.Tensor, num_frames: int, path: tuple[int, ...]) -> torch.Tensor:
    """Log probability of one path, by walking along it; `blank` `(N, L + 1)`, `labels` `(N, L)`."""
    score, written = blank.new_zeros(()), 0
    for frame in range(num_frames):
        while written < len(path) and path[written] == frame:
            score = score + labels[frame, written]
            written += 1
        score = score + blank[frame, written]
    return score


def recursive_log_likelihood(blank: torch.Tensor, labels: torch.Tensor, num_frames: int, num_labels: int):
    """The forward recursion node by node."""
    alpha = {}
    for frame in range(num_frames):
        for count in range(num_labels + 1):
            terms = []
            if frame > 0:
                terms.append(alpha[frame - 1, count] + blank[frame - 1, count])
            if count > 0:
                terms.append(alpha[frame, count - 1] + labels[frame, count - 1])
            alpha[frame, count] = torch.stack(terms).logsumexp(0) if terms else blank.new_zeros(())
    return alpha[num_frames - 1, num_labels] + blank[num_frames - 1, num_labels]


@pytest.mark.parametrize(("num_frames", "num_labels"), SIZES)
def test_log_likelihood_and_gradient_equal_enumeration_of_all_paths(num_frames, num_labels):
    blank, labels = make_arcs(1, num_frames, num_labels)
    scores = [score_path(blank[0], labels[0], num_frames, path) for path in list_paths(num_frames, num_labels)]
    assert len(scores) == math.comb(num_frames + num_labels - 1, num_labels)
    expected = torch.stack(scores).logsumexp(0)
    gradients = torch.autograd.grad(expected, [blank, labels], allow_unused=True, materialize_grads=True)
    actual = transducer_log_likelihoods(blank, labels, torch.tensor([num_frames]), torch.tensor([num_labels]))
    torch.testing.assert_close(actual[0], expected, atol=1e-10, rtol=0)
    for mine, reference in zip(torch.autograd.grad(actual[0], [blank, labels]), gradients, strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-10, rtol=0)


def make_ragged_batch(garbage: float | None = None):
    """Lattices of different sizes in one batch; the padding holds `garbage`, or random numbers."""
    num_frames, num_labels = torch.tensor([9, 4, 1, 7]), torch.tensor([5, 3, 2, 0])
    blank, labels = make_arcs(4, 9, 5)
    if garbage is not None:
        with torch.no_grad():
            for row, (length, count) in enumerate(zip(num_frames, num_labels, strict=True)):
                for arcs in (blank[row], labels[row]):
                    arcs[length:] = garbage
                blank[row, :, count + 1 :] = garbage
                labels[row, :, count:] = garbage
    return blank, labels, num_frames, num_labels


def test_batches_equal_the_recursion_over_nodes():
    blank, labels, num_frames, num_labels = make_ragged_batch()
    expected = torch.stack(
        [
            recursive_log_likelihood(blank[row], labels[row], int(num_frames[row]), int(num_labels[row]))
            for row in range(4)
        ]
    )
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    gradients = torch.autograd.grad(expected @ weights, [blank, labels])
    actual = transducer_log_likelihoods(blank, labels, num_frames, num_labels)
    torch.testing.assert_close(actual, expected, atol=1e-10, rtol=0)
    for mine, reference in zip(torch.autograd.grad(actual @ weights, [blank, labels]), gradients, strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-10, rtol=0)


def test_gradients_pass_gradcheck():
    blank, labels, num_frames, num_labels = make_ragged_batch()
    assert torch.autograd.gradcheck(
        lambda blank, labels: transducer_log_likelihoods(blank, labels, num_frames, num_labels), (blank, labels)
    )


@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 1e30])
def test_padding_is_not_read(garbage):
    torch.manual_seed(0)
    clean = make_ragged_batch()
    torch.manual_seed(0)
    dirty = make_ragged_batch(garbage)
    values = []
    for blank, labels, num_frames, num_labels in (clean, dirty):
        totals = transducer_log_likelihoods(blank, labels, num_frames, num_labels)
        frames = find_emission_frames(blank, labels, num_frames, num_labels)
        values.append([totals, *torch.autograd.grad(totals.sum(), [blank, labels]), frames])
    for mine, reference in zip(*values, strict=True):
        assert torch.equal(mine, reference)


def test_long_lattices_keep_their_precision():
    # With the same distribution at every node, the sum over paths has a closed form.
    num_frames, num_labels, blank, label = 3000, 40, math.log(0.9), math.log(0.1)
    total = transducer_log_likelihoods(
        torch.full((1, num_frames, num_labels + 1), blank, dtype=torch.float64),
        torch.full((1, num_frames, num_labels), label, dtype=torch.float64),
        torch.tensor([num_frames]),
        torch.tensor([num_labels]),
    )
    paths = math.log(math.comb(num_frames + num_labels - 1, num_labels))
    assert math.isclose(total.item(), paths + num_frames * blank + num_labels * label, rel_tol=1e-12)


@pytest.mark.parametrize(("num_frames", "num_labels"), [size for size in SIZES if size[1]])
def test_best_path_equals_the_best_of_all(num_frames, num_labels):
    blank, labels = (arcs.detach() for arcs in make_arcs(1, num_frames, num_labels))
    lengths = torch.tensor([num_frames]), torch.tensor([num_labels])
    best = max(
        list_paths(num_frames, num_labels), key=lambda path: float(score_path(blank[0], labels[0], num_frames, path))
    )
    assert find_emission_frames(blank, labels, *lengths).tolist() == [list(best)]


def test_durations_sum_to_the_frames():
    frames = torch.tensor([[2, 2, 5, 0], [0, 3, 3, 6], [4, 0, 0, 0], [0, 0, 0, 0]])
    num_frames, num_labels = torch.tensor([9, 7, 5, 8]), torch.tensor([3, 4, 1, 0])
    durations = frames_to_durations(frames, num_frames, num_labels)
    assert durations.tolist() == [[2, 3, 4, 0], [3, 0, 3, 1], [5, 0, 0, 0], [0, 0, 0, 0]]
    blank, labels, num_frames, num_labels = make_ragged_batch()
    durations = frames_to_durations(
        find_emission_frames(blank, labels, num_frames, num_labels), num_frames, num_labels
    )
    assert durations.sum(1).tolist() == [9, 4, 1, 0]
    assert (durations >= 0).all()


def make_head(predictor_type: str = "lstm", **options) -> TransducerHead:
    """A head over states of width 6 with the ids 0 blank, 3 unknown, 12 to 19 text."""
    torch.manual_seed(0)
    sizes = TransducerConfig(
        predictor_type=predictor_type, hidden_size=8, num_layers=2, joint_size=7, max_symbols_per_frame=3, **options
    )
    config = SimpleNamespace(
        transducer_config=sizes, vocab_size=20, pad_token_id=0, unk_token_id=3, text_token_offset=12
    )
    return TransducerHead(config, 6)


def make_utterances() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """States, mask and labels of four utterances; the third has too many labels, the last none."""
    labels = torch.full((4, 7), -100)
    labels[0, :5] = torch.tensor([12, 12, 3, 19, 15])
    labels[1, :2] = torch.tensor([13, 14])
    labels[2] = 16
    mask = torch.arange(5) < torch.tensor([5, 3, 2, 4])[:, None]
    return torch.randn(4, 5, 6), mask, labels


@pytest.mark.parametrize("predictor_type", ["lstm", "stateless"])
def test_loss_equals_the_sum_over_paths_of_single_nodes(predictor_type):
    head = make_head(predictor_type).double()
    states, mask, labels = make_utterances()
    states = states.double()
    expected = torch.zeros((), dtype=torch.float64)
    for row, count in ((0, 5), (1, 2)):
        frames, written = int(mask[row].sum()), labels[row, :count]
        log_probs = torch.empty(frames, count + 1, 20, dtype=torch.float64)
        for frame in range(frames):
            for place in range(count + 1):
                vector = head.prediction(written[None, :place])[0, -1]
                hidden = head.joint.encoder_proj(states[row, frame]) + head.joint.prediction_proj(vector)
                logits = head.joint.token_head(torch.relu(hidden))
                logits[[1, 2, *range(4, 12)]] = -torch.inf
                log_probs[frame, place] = logits.log_softmax(-1)
        arcs = log_probs[:, torch.arange(count), written]
        expected = expected - recursive_log_likelihood(log_probs[..., 0], arcs, frames, count)
    total, count = transducer_sum(head, states, mask, labels)
    torch.testing.assert_close(total, expected, atol=1e-10, rtol=1e-10)
    assert count.item() == 7
    assert find_writable(labels, mask.sum(-1), 3).tolist() == [True, True, False, False]
    reference = torch.autograd.grad(expected, list(head.parameters()))
    for mine, other in zip(torch.autograd.grad(total, list(head.parameters())), reference, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-10, rtol=1e-8)


def test_blocks_of_one_node_equal_one_block(monkeypatch):
    results = []
    for limit in (2**20, 1):
        monkeypatch.setattr(modules_transducer_networks, "MAX_CACHED_LOGITS", limit)
        head = make_head()
        states, mask, labels = make_utterances()
        states.requires_grad_()
        total, _ = transducer_sum(head, states, mask, labels)
        results.append([total, *torch.autograd.grad(total, [states, *head.parameters()])])
    for whole, blocks in zip(*results, strict=True):
        torch.testing.assert_close(blocks, whole)


def test_an_utterance_alone_equals_it_in_a_batch_with_garbage():
    head = make_head()
    states, mask, labels = make_utterances()
    garbage = states.masked_fill(~mask[..., None], float("nan")).requires_grad_()
    total, _ = transducer_sum(head, garbage, mask, labels)
    gradient = torch.autograd.grad(total, garbage)[0]
    alone = torch.zeros(())
    for row, count in ((0, 5), (1, 2)):
        length = int(mask[row].sum())
        single = states[row : row + 1, :length].clone().requires_grad_()
        loss, _ = transducer_sum(head, single, mask[row : row + 1, :length], labels[row : row + 1, :count])
        torch.testing.assert_close(torch.autograd.grad(loss, single)[0][0], gradient[row, :length])
        alone = alone + loss.detach()
    torch.testing.assert_close(total.detach(), alone)
    assert not gradient[2:].any() and not gradient[~mask].any()


def test_a_batch_without_targets_costs_zero_with_gradients():
    head = make_head()
    states, mask, _ = make_utterances()
    states.requires_grad_()
    for labels in (torch.full((4, 3), -100), torch.full((4, 0), -100)):
        total, count = transducer_sum(head, states, mask, labels)
        assert total.item() == 0 and count.item() == 0
        gradients = torch.autograd.grad(total, [states, *head.parameters()])
        assert all(not gradient.any() for gradient in gradients)


@pytest.mark.parametrize("wrong", [0, 1, 7, 20, -1])
def test_labels_that_cannot_be_written_are_refused(wrong):
    states, mask, labels = make_utterances()
    labels[1, 1] = wrong
    with pytest.raises(ValueError, match=rf"labels contains {wrong}; a transducer writes the unknown token \(3\)"):
        transducer_sum(make_head(), states, mask, labels)


def test_bfloat16_is_close():
    head = make_head()
    states, mask, labels = make_utterances()
    expected, _ = transducer_sum(head, states, mask, labels)
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = transducer_sum(head, states, mask, labels)
    assert total.dtype == torch.float32
    total.backward()
    torch.testing.assert_close(total, expected, rtol=0.02, atol=0.0)
    half, _ = transducer_sum(copy.deepcopy(head).to(torch.bfloat16), states.bfloat16(), mask, labels)
    torch.testing.assert_close(half, expected, rtol=0.02, atol=0.0)


@pytest.mark.parametrize(("predictor_type", "context_size"), [("lstm", 2), ("stateless", 1), ("stateless", 3)])
def test_prediction_step_by_step_equals_all_at_once(predictor_type, context_size):
    torch.manual_seed(0)
    sizes = TransducerConfig(predictor_type=predictor_type, context_size=context_size, hidden_size=8, num_layers=2)
    network = PredictionNetwork(sizes, 20, 0).eval()
    tokens = torch.randint(12, 20, (3, 5))
    expected, state = network(tokens), network.initial_state(3)
    for place, token in enumerate(torch.nn.functional.pad(tokens, (1, 0)).unbind(1)):
        vector, state = network.advance(token[:, None], state)
        torch.testing.assert_close(vector[:, 0], expected[:, place])


def test_a_stateless_network_reads_its_context_only():
    torch.manual_seed(0)
    network = PredictionNetwork(TransducerConfig(predictor_type="stateless", hidden_size=8), 20, 0)
    vectors = network(torch.tensor([[12, 13, 14], [19, 13, 14]]))
    assert torch.equal(vectors[0, 3], vectors[1, 3])
    assert not torch.equal(vectors[0, 2], vectors[1, 2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"predictor_type": "gru"}, "predictor_type must be one of lstm, stateless; got 'gru'"),
        ({"max_symbols_per_frame": 0}, "max_symbols_per_frame must be at least 1; got 0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1; got 1.0"),
        ({"ctc_loss_weight": -0.1}, "ctc_loss_weight cannot be negative; got -0.1"),
    ],
)
def test_impossible_configurations_are_refused(options, message):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        TransducerConfig(**options)
