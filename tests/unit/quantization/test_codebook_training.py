# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training a codebook: what it learns, that it resumes to the bit, and that it says when it collapses."""

import pytest
import torch

from mu2slam_hf import SpeechTokenizerConfig, SpeechTokenizerModel
from mu2slam_hf.models.modules_quantization import compute_codebook_health
from mu2slam_hf.quantization import codebook_training
from mu2slam_hf.quantization.codebook_training import (
    CodebookTrainingConfig,
    measure_input_statistics,
    train_codebook,
    warn_of_collapse,
)

MELS = 3


def build(num_codevectors: int = 8, **kwargs) -> SpeechTokenizerModel:
    options = {"kind": "kmeans", "num_mel_bins": MELS, "num_codevectors_per_group": num_codevectors, **kwargs}
    return SpeechTokenizerModel(SpeechTokenizerConfig(**options))


def sounds(num: int = 6, seed: int = 0) -> torch.Tensor:
    """Planted sounds: log-mel frames of 40 ms."""
    return 5.0 * torch.randn(num, 4 * MELS, generator=torch.Generator().manual_seed(seed)) + 100.0


def batches_of(frames_per_batch: int = 40, num_batches: int = 12):
    def features(number):
        generator = torch.Generator().manual_seed(7)
        batches = [
            sounds()[torch.randint(6, (frames_per_batch,), generator=generator)]
            + 0.05 * torch.randn(frames_per_batch, 4 * MELS, generator=generator)
            for _ in range(num_batches)
        ]
        order = torch.randperm(num_batches, generator=torch.Generator().manual_seed(number)).tolist()
        return [batches[index] for index in order]

    return features


CONFIG = CodebookTrainingConfig(passes=4, update_frames=100)


def test_planted_sounds_get_ids_of_their_own():
    tokenizer = build(6)
    passes = train_codebook(tokenizer, batches_of(), CONFIG)
    ids = tokenizer(sounds().reshape(6, 4, MELS)).flatten().tolist()
    assert sorted(ids) == list(range(6))
    assert [done.number for done in passes] == [1, 2, 3, 4]
    assert all(done.num_frames == 480 and done.health.num_ids == 480 for done in passes)
    assert passes[-1].inertia < 0.01 and passes[-1].health.usage == 1.0


def test_standardization_and_codebook_are_those_of_the_data():
    tokenizer = build(6)
    train_codebook(tokenizer, batches_of(), CONFIG)
    frames = torch.cat(batches_of()(0))
    quantizer = tokenizer.quantizer
    torch.testing.assert_close(quantizer.mean.data, frames.mean(0), rtol=1e-5, atol=1e-5)
    std = frames.double().std(0, correction=0)
    torch.testing.assert_close(quantizer.std.data, std.clamp(min=0.5 * float(std.median())).float())
    # The last pass moves every entry to the mean of its frames.
    ids = quantizer(frames)[:, 0]
    for entry in range(6):
        torch.testing.assert_close(quantizer.codebook[entry], quantizer.standardize(frames)[ids == entry].mean(0))
    assert not any(parameter.requires_grad for parameter in tokenizer.parameters())


def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path):
    whole, cut = build(8), build(8)
    train_codebook(whole, batches_of(), CONFIG)
    file = tmp_path / "run" / "state.pt"
    seen = []

    def stop(done):
        seen.append(done.number)
        if done.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_codebook(cut, batches_of(), CONFIG, state_file=file, on_pass=stop)
    resumed = build(8)
    train_codebook(resumed, batches_of(), CONFIG, state_file=file, on_pass=lambda done: seen.append(done.number))
    assert seen == [1, 2, 3, 4]
    for name, tensor in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name
    assert list(file.parent.iterdir()) == []


def test_a_state_of_other_settings_is_refused(tmp_path):
    file = tmp_path / "state.pt"

    def stop(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_codebook(build(8), batches_of(), CONFIG, state_file=file, on_pass=stop)
    with pytest.raises(ValueError, match="other settings: remove it"):
        train_codebook(build(8), batches_of(), CodebookTrainingConfig(passes=5), state_file=file)


def test_memory_does_not_grow_with_the_stream(monkeypatch):
    """What is kept between batches is the sample and K x F sums, whatever went through."""
    sizes = []
    original = codebook_training.StreamStatistics.add

    def add(self, vectors):
        original(self, vectors)
        sizes.append(len(self.sample))

    monkeypatch.setattr(codebook_training.StreamStatistics, "add", add)
    train_codebook(build(8), batches_of(num_batches=40), CodebookTrainingConfig(passes=1, sample_per_centre=10))
    assert max(sizes) == 80 and len(sizes) == 40


def test_other_kinds_and_empty_corpora_are_refused():
    random = SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=8))
    with pytest.raises(ValueError, match="kind 'kmeans'"):
        train_codebook(random, batches_of(), CONFIG)
    with pytest.raises(ValueError, match="no features"):
        train_codebook(build(), lambda number: [], CONFIG)
    with pytest.raises(ValueError, match="no features"):
        measure_input_statistics([])


@pytest.mark.parametrize("values", [{"passes": 0}, {"keep": 1.5}, {"update_frames": 0}, {"sample_per_centre": 0}])
def test_wrong_settings_are_refused(values):
    with pytest.raises(ValueError, match="must"):
        CodebookTrainingConfig(**values)


def test_collapse_is_warned_about(monkeypatch):
    said = []
    monkeypatch.setattr(codebook_training.logger, "warning", said.append)
    warn_of_collapse(compute_codebook_health(torch.tensor([5, 5, 5, 0, 0])[[0, 1, 2, 2, 3]]))
    assert not said
    warn_of_collapse(compute_codebook_health(torch.tensor([9, 9, 0, 0])))
    assert "Only 50 % of 4" in said[0]


def test_collapse_is_warned_about_once_and_while_it_trains(monkeypatch):
    said = []
    monkeypatch.setattr(codebook_training.logger, "warning", said.append)
    whole = batches_of()
    # From pass 2 on all recordings are one and the same sound.
    train_codebook(build(6), lambda number: whole(number) if number < 2 else [sounds()[:1].repeat(40, 1)], CONFIG)
    assert len(said) == 1
    assert "Only 17 % of 6 codebook entries are used by 40 frames in pass 2 of 4 (perplexity 1)" in said[0]


def test_input_statistics():
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(400, 4, generator=generator) * torch.tensor([1.0, 2.0, 4.0, 0.0]) + 3.0
    mean, std = measure_input_statistics(frames.split(90))
    assert mean == pytest.approx(frames.mean(0).tolist(), abs=1e-3)
    assert std[:3] == pytest.approx(frames.std(0, correction=0)[:3].tolist(), abs=1e-3)
    assert std[3] > 0.45  # an empty bin is not blown up
