# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A checkpoint is complete or absent; averages are means."""

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from mu2slam_hf.training.checkpoints import (
    all_or_nothing,
    average_checkpoints,
    clear_incomplete,
    list_checkpoints,
    publish_checkpoint,
    rotate_checkpoints,
)


def make(folder, weights=None):
    folder.mkdir(parents=True)
    save_file(weights or {"w": torch.zeros(2)}, folder / "model.safetensors")
    return folder


def test_unfinished_checkpoints_are_never_listed(tmp_path):
    make(tmp_path / ".incomplete-checkpoint-30")
    make(tmp_path / "checkpoint-20")
    make(tmp_path / "checkpoint-3")
    (tmp_path / "checkpoint-tmp").mkdir()
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-3", "checkpoint-20"]
    clear_incomplete(tmp_path)
    assert not (tmp_path / ".incomplete-checkpoint-30").exists()
    assert list_checkpoints(tmp_path / "absent") == []


def test_publishing_replaces_in_one_step(tmp_path):
    final = make(tmp_path / "checkpoint-5", {"w": torch.zeros(2)})
    incomplete = make(tmp_path / ".incomplete-checkpoint-5", {"w": torch.ones(2)})
    publish_checkpoint(incomplete, final)
    assert not incomplete.exists()
    torch.testing.assert_close(average_checkpoints([final])["w"], torch.ones(2))


def test_rotation_keeps_the_newest_and_the_protected(tmp_path):
    for step in (1, 2, 10, 20):
        make(tmp_path / f"checkpoint-{step}")
    rotate_checkpoints(tmp_path, 2, [tmp_path / "checkpoint-1"])
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-1", "checkpoint-10", "checkpoint-20"]
    rotate_checkpoints(tmp_path, None)
    assert len(list_checkpoints(tmp_path)) == 3


def test_average_is_the_mean_in_the_dtype_of_the_weights(tmp_path):
    first = make(tmp_path / "a", {"w": torch.tensor([1.0, 2.0]), "h": torch.tensor([1.0], dtype=torch.bfloat16)})
    second = make(tmp_path / "b", {"w": torch.tensor([2.0, 6.0]), "h": torch.tensor([2.0], dtype=torch.bfloat16)})
    averaged = average_checkpoints([first, second])
    assert averaged["w"].tolist() == [1.5, 4.0]
    assert averaged["h"].dtype == torch.bfloat16 and averaged["h"].item() == 1.5


def test_averages_of_different_models_are_refused(tmp_path):
    first, second = make(tmp_path / "a"), make(tmp_path / "b", {"v": torch.zeros(1)})
    with pytest.raises(ValueError, match="different weights"):
        average_checkpoints([first, second])
    narrow = make(tmp_path / "narrow", {"w": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"another shape than the other checkpoints: w, \(1,\) instead of \("):
        average_checkpoints([first, narrow])
    with pytest.raises(ValueError, match="at least one checkpoint"):
        average_checkpoints([])
    (tmp_path / "c").mkdir()
    with pytest.raises(ValueError, match="has none of the files"):
        average_checkpoints([tmp_path / "c"])


TORCH_ERROR = RuntimeError("[enforce fail at inline_container.cc:858] PytorchStreamWriter failed writing file data/1")


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), SafetensorError("No space left on device"), TORCH_ERROR]
)
def test_what_cannot_be_written_leaves_nothing_and_says_so(tmp_path, error):
    make(tmp_path / "checkpoint-3")
    incomplete = make(tmp_path / ".incomplete-checkpoint-5")
    message = r"checkpoint-5: could not be written: .*checkpoint is .*checkpoint-3\. Free space"
    with pytest.raises(OSError, match=message), all_or_nothing(incomplete, tmp_path / "checkpoint-5"):
        raise error
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-3"]


def test_other_errors_pass(tmp_path):
    incomplete = make(tmp_path / ".incomplete-checkpoint-5")
    with pytest.raises(RuntimeError, match="^out of memory"), all_or_nothing(incomplete, tmp_path / "checkpoint-5"):
        raise RuntimeError("out of memory")
    assert incomplete.exists()
