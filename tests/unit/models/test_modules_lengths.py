# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import math

import pytest
import torch

from mu2slam_hf.models.modules_lengths import (
    conv_output_length,
    downsample_attention_mask,
    encoder_length,
    restarting_position_ids,
)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 7, 8, 9, 100, 101])
def test_encoder_length_is_ceil_of_ceil(frames):
    expected = math.ceil(math.ceil(frames / 2) / 2)
    assert encoder_length(frames) == expected
    assert encoder_length(torch.tensor([frames])).item() == expected
    conv = torch.nn.Conv1d(1, 1, 3, stride=2, padding=1)
    assert conv(torch.zeros(1, 1, frames)).shape[-1] == conv_output_length(frames)


def test_downsampled_mask_keeps_a_frame_of_a_one_frame_utterance():
    mask = torch.tensor([[1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 0]])
    assert downsample_attention_mask(mask).tolist() == [[True, False], [True, True]]


def test_positions_restart_at_every_sequence_of_a_row():
    ids = torch.tensor([[1, 1, 1, 2, 2, 3, 0, 0], [4, 4, 1, 1, 1, 1, 1, 0]])
    assert restarting_position_ids(ids).tolist() == [[0, 1, 2, 0, 1, 0, 0, 1], [0, 1, 0, 1, 2, 3, 4, 0]]


def test_positions_are_exported_without_a_cumulative_maximum():
    class Positions(torch.nn.Module):
        def forward(self, sequence_ids):
            return restarting_position_ids(sequence_ids)

    ids = torch.randint(0, 3, (4, 17), generator=torch.Generator().manual_seed(0))
    length = {"sequence_ids": {1: torch.export.Dim.DYNAMIC}}
    program = torch.export.export(Positions(), (ids,), dynamic_shapes=length)
    assert "cummax" not in program.graph_module.code
    for other in (ids, ids[:, :9]):
        assert torch.equal(program.module()(other), restarting_position_ids(other))
