# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Weights of the losses of pre-training, and the speech tokenizer beside the model."""

import dataclasses

from tiny_trainers import items_of

from mu2slam_hf.models.modeling_mslam_pretraining import MSLAM_LOSSES
from mu2slam_hf.models.modeling_mu2slam_pretraining import PRETRAINING_LOSSES
from mu2slam_hf.training.objectives.mslam import MSLAMObjective, MSLAMObjectiveConfig
from mu2slam_hf.training.objectives.mu2slam import Mu2SLAMObjectiveConfig


def test_every_loss_has_a_coefficient():
    assert {item.name for item in dataclasses.fields(Mu2SLAMObjectiveConfig)} == {*PRETRAINING_LOSSES, "ctc_input"}
    objective = dataclasses.asdict(MSLAMObjectiveConfig())
    assert tuple(objective) == MSLAM_LOSSES == tuple(MSLAMObjective.tasks)
    assert list(objective.values()) == [1.0, 0.1, 1.0, 0.3, 0.03, 0.03, 0.03]


def test_the_coefficients_of_the_paper():
    """Section 3.1."""
    objective = Mu2SLAMObjectiveConfig()
    for name in ("speech_decoder", "speech_mlm", "text_decoder", "text_mlm"):
        assert getattr(objective, name) == 1.0
    for name in ("asr_backward_decoder", "ast_backward_decoder", "asr_alignment_decoder", "mt_alignment_mlm"):
        assert getattr(objective, name) == 0.1
    assert objective.asr_decoder == objective.ast_decoder == 0.3


def test_the_speech_tokenizer_stands_beside_the_model(make_trainer):
    trainer = make_trainer("mu2slam")
    tokenizer = trainer.objective.speech_tokenizer
    assert tokenizer is trainer.processing_class.speech_tokenizer
    assert not any(p.requires_grad for p in tokenizer.parameters())
    names = dict(trainer.model.named_parameters())
    assert not any("codebook" in name or "speech_tokenizer" in name for name in names)
    items = items_of(trainer, "speech")[:3]
    seen = []
    handle = trainer.model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["speech_token_ids"]), with_kwargs=True
    )
    trainer.objective.forward(trainer.model, trainer.data_collator(items), step=0)
    handle.remove()
    expected = trainer.processing_class.encode_speech([item.waveform for item in items], sampling_rate=16000)
    offset = trainer.model.config.speech_token_offset
    assert [[i + offset for i in row if i >= 0] for row in seen[0].tolist()] == expected
