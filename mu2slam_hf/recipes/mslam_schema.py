# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A run of mSLAM's pre-training as one typed tree: the mixture of `pretraining_schema`, other masks and losses."""

from dataclasses import dataclass, field
from typing import Literal

from mu2slam_hf.data.span_masking import MSLAMMaskingConfig
from mu2slam_hf.models.task_types import MSLAM_TASKS
from mu2slam_hf.recipes.pretraining_schema import MixtureRecipe


@dataclass(kw_only=True)
class MSLAMObjectiveSection:
    """Coefficients of the seven losses; each loss is a mean over its own targets in the whole update.

    Paper: mSLAM weighs speech 1.0, text 0.3 and pairs (TLM and CTC) 0.03; w2v-BERT weighs diversity 0.1 of the
    contrastive loss.

    Attributes:
        contrastive: telling the code of a masked frame from others, at the end of the speech layers.
        diversity: for the use of all codes.
        speech_mlm: predicting the codes of masked frames, at the top.
        text_mlm: predicting masked tokens of texts by themselves.
        tlm_speech: codes of masked frames beside the transcript.
        tlm_text: masked tokens of the transcript beside the speech.
        ctc: the transcript from the speech.
    """

    contrastive: float = 1.0
    diversity: float = 0.1
    speech_mlm: float = 1.0
    text_mlm: float = 0.3
    tlm_speech: float = 0.03
    tlm_text: float = 0.03
    ctc: float = 0.03


@dataclass(kw_only=True)
class QuantizerSection:
    """How the learned quantiser is treated; what it is stands in the model's configuration.

    Attributes:
        start_temperature: of the Gumbel softmax at the first update. w2v-BERT: 2.
        min_temperature: least temperature. w2v-BERT: 0.1.
        temperature_factor: by which it falls from update to update. w2v-BERT: 0.999995, for some hundred thousand
            updates.
        freeze_after: updates after which codebooks and front end stand still, so that codes are fixed targets, as
            those of BEST-RQ and HuBERT are from the beginning; None: never. Choice: short runs need it, because a
            predictor cannot follow codes that still move.
        min_usage: share of the entries chosen between two logs below which a codebook is said to have collapsed.
        min_perplexity_ratio: perplexity as a share of the entries, likewise.
    """

    start_temperature: float = 2.0
    min_temperature: float = 0.1
    temperature_factor: float = 0.999995
    freeze_after: int | None = None
    min_usage: float = 0.25
    min_perplexity_ratio: float = 0.05


@dataclass(kw_only=True)
class MSLAMRecipe(MixtureRecipe):
    """One run of mSLAM's pre-training: what `pretrain_mslam.py --recipe` reads.

    Attributes:
        kind: tells it from other recipes.
        masking: what is hidden of speech, texts and pairs.
        objective: weights of the losses.
        quantizer: course of its temperature, and when a collapse is warned of.
    """

    kind: Literal["mslam_pretraining"] = "mslam_pretraining"
    masking: MSLAMMaskingConfig = field(default_factory=MSLAMMaskingConfig)
    objective: MSLAMObjectiveSection = field(default_factory=MSLAMObjectiveSection)
    quantizer: QuantizerSection = field(default_factory=QuantizerSection)

    def __post_init__(self) -> None:
        others = [task for task in self.data.tasks if task not in MSLAM_TASKS]
        if others:
            raise ValueError(f"data.tasks.{others[0]}: mSLAM is trained on {', '.join(MSLAM_TASKS)} only")
        if self.data.max_row_length is not None:
            raise ValueError("data.max_row_length: batches of mSLAM have no packed rows; leave it out")
