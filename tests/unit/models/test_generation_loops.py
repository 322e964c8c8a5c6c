# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch
from tiny_models import speech_batch, tiny_model

from mu2slam_hf.models.generation_tokens import LoopLogitsProcessor, find_loop

EOS = 2


def test_loops_of_known_periods():
    for period in (1, 2, 5, 7, 30):
        unit = list(range(100, 100 + period))
        repeats = max(5, -(-20 // period))
        for prefix in ([], [1, 2, 3], unit[:-1]):
            ids = prefix + repeats * unit
            if period == 1 and prefix == unit[:-1]:
                prefix = []
            assert find_loop(ids, 4) == len(prefix) + period
            # The last repetition may be incomplete.
            for part in range(period):
                assert find_loop(ids + unit[:part], 4) == len(prefix) + period


def test_texts_that_are_not_loops():
    unit = list(range(10, 15))
    assert find_loop([], 4) is None
    assert find_loop(list(range(200)), 4) is None
    assert find_loop(4 * unit, 4) is None  # four times are allowed
    assert find_loop(5 * unit + [99], 4) is None  # the loop has ended
    assert find_loop(19 * [7], 4) is None  # too short to tell a loop from a long number
    assert find_loop(20 * [7], 4) == 1
    assert find_loop(5 * unit, 5) is None and find_loop(6 * unit, 5) == 5
    assert find_loop(5 * list(range(60)), 4) is None  # whole sentences that are repeated are no loop of the decoder


def naive_loop(ids, max_repeats):
    """Whether the end consists of more than `max_repeats` copies of a unit, and of at least 20 tokens."""
    for period in range(1, 49):
        length = max(period * (max_repeats + 1), 20)
        end = ids[-length:]
        if len(ids) >= length and all(end[i] == end[i % period] for i in range(length)):
            return True
    return False


@pytest.mark.parametrize("seed", range(40))
def test_as_the_naive_search(seed):
    generator = torch.Generator().manual_seed(seed)
    period = int(torch.randint(1, 12, (1,), generator=generator))
    ids = torch.randint(0, 3, (15,), generator=generator).tolist()
    unit = torch.randint(0, 3, (period,), generator=generator).tolist()
    for _ in range(60):
        ids.append(unit[len(ids) % period])
        for max_repeats in (1, 2, 4):
            found = find_loop(ids, max_repeats)
            assert (found is not None) == naive_loop(ids, max_repeats)
            assert found is None or 0 < found < len(ids)


def test_only_the_end_remains_in_a_loop():
    loop, other = [1] + 6 * [10, 11, 12, 13], [1] + list(range(10, 34))
    rows = torch.tensor([loop, other, loop, loop])
    scores = torch.randn(4, 40)
    for exempt, ended in ((None, [0, 2, 3]), (torch.tensor([True, False]), [2, 3])):
        changed = LoopLogitsProcessor(4, EOS, exempt)(rows, scores)
        for row in range(4):
            if row in ended:
                assert changed[row, EOS] == scores[row, EOS]
                assert torch.isinf(changed[row]).sum() == 39
            else:
                assert torch.equal(changed[row], scores[row])
    # Shorter than any loop.
    assert torch.equal(LoopLogitsProcessor(4, EOS)(rows[:, :20], scores), scores)


@pytest.mark.parametrize("max_repeats", [0, -1])
def test_invalid_numbers_of_repetitions(max_repeats):
    with pytest.raises(ValueError, match="max_repeats must be at least 1"):
        tiny_model().generate(**speech_batch([40]), max_repeats=max_repeats)


class Always(torch.nn.Module):
    """Makes a decoder repeat a cycle of tokens."""

    def __init__(self, cycle):
        super().__init__()
        self.cycle = cycle

    def __call__(self, input_ids, scores):
        wanted = self.cycle[(input_ids.shape[1] - 1) % len(self.cycle)]
        boosted = scores.clone()
        boosted[:, wanted] = 1000.0
        return boosted


@pytest.mark.parametrize("beams", [1, 3])
def test_a_decoder_in_a_loop_is_ended(beams):
    model = tiny_model()
    batch = speech_batch([160, 140])
    options = {"logits_processor": [Always([100, 101, 102, 103, 104])], "num_beams": beams, "ctc_weight": 0.0}
    endless = model.generate(**batch, **options)
    assert endless.shape[1] > 80
    ended = model.generate(**batch, **options, max_repeats=4)
    # `<s>`, five times five tokens, `</s>`.
    assert ended.shape[1] == 27 and (ended[:, -1] == EOS).all()
    assert torch.equal(ended[:, :26], endless[:, :26])


@pytest.mark.parametrize("beams", [1, 3])
def test_other_texts_are_unchanged(beams):
    model = tiny_model()
    batch = speech_batch([120, 90, 60])
    options = {"num_beams": beams, "max_new_tokens": 30}
    free = model.generate(**batch, **options)
    # A loop of more repetitions than the text is long.
    assert torch.equal(model.generate(**batch, **options, max_repeats=100), free)


def test_the_modality_of_encoder_outputs():
    model = tiny_model()
    batch = speech_batch([120, 90])
    outputs = model.get_encoder()(**batch, return_dict=True)
    options = {"num_beams": 2, "ctc_weight": 0.5, "max_new_tokens": 20}
    expected = model.generate(**batch, **options)
    assert torch.equal(model.generate(encoder_outputs=outputs, source_modality="speech", **options), expected)
    unscored = model.generate(**batch, **{**options, "ctc_weight": 0.0})
    assert torch.equal(model.generate(encoder_outputs=outputs, **options), unscored)
    with pytest.raises(ValueError, match="source_modality must be 'speech' or 'text', got 'audio'"):
        model.generate(encoder_outputs=outputs, source_modality="audio", **options)
