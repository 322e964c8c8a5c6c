# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recipes of speech tokenizers."""

from dataclasses import dataclass, field
from typing import Literal

from mu2slam_hf.data.examples.builder import ExampleLimits
from mu2slam_hf.data.span_masking import MSLAMMaskingConfig
from mu2slam_hf.quantization.codebook_training import CodebookTrainingConfig
from mu2slam_hf.quantization.quantizer_callbacks import QuantizerConfig
from mu2slam_hf.recipes.schema.data import CorpusSource
from mu2slam_hf.recipes.schema.loader import path_field
from mu2slam_hf.recipes.schema.sections import ModelSection, OptimSection, TrainingSection
from mu2slam_hf.training.objectives.mslam import MSLAMObjectiveConfig


@dataclass(kw_only=True)
class CodebookSection:
    """The codebook.

    Attributes:
        kind: kmeans; contrastive, which trains an mSLAM encoder on speech only (w2v-BERT) and uses its front end and
            quantizer; or random_projection, for which only means and deviations of the input are measured.
        num_codevectors: number of entries of a codebook. Paper: 1024, as AudioLM.
        num_codebooks: number of codebooks of random_projection (USM has 16 of 8192 entries) and contrastive.
        codevector_dim: width of an entry of random_projection (16), total width of the codebooks of contrastive (128).
        method: for contrastive: nearest or gumbel, see `MSLAMConfig.quantizer_method`.
        center_utterances: whether to subtract the mean of each utterance from the quantized features.
        num_context_frames: for kmeans on log-mel frames: number of 40 ms frames on either side of each.
        encoder: for kmeans: folder of a speech encoder whose layer is quantized, in place of log-mel frames.
        layer: index of the layer; 0 is the input of the first one.
        frames_per_second: frame rate of an encoder of transformers, if its configuration does not have it.
        init_from: for contrastive: folder of a pre-trained mSLAM model; nothing is trained.
    """

    kind: Literal["kmeans", "random_projection", "contrastive"] = "kmeans"
    num_codevectors: int = 1024
    num_codebooks: int = 1
    codevector_dim: int | None = None
    method: Literal["nearest", "gumbel"] = "nearest"
    center_utterances: bool = False
    num_context_frames: int = 1
    encoder: str | None = path_field("checkpoint")
    layer: int | None = None
    frames_per_second: float | None = None
    init_from: str | None = path_field("folder")

    def __post_init__(self) -> None:
        if (self.encoder is None) != (self.layer is None):
            raise ValueError("encoder and layer must be given together")
        if self.encoder is not None and self.kind != "kmeans":
            raise ValueError("encoder and layer are for kmeans only")
        if self.init_from is not None and self.kind != "contrastive":
            raise ValueError("init_from (an mSLAM model) is for contrastive only")


@dataclass(kw_only=True)
class ContrastiveSection:
    """The training of a contrastive tokenizer: mSLAM's, on speech only. Sections as in recipes of mSLAM.

    Attributes:
        model: the encoder; without config and init_from a small one, 4 + 3 layers of width 144. Values of `codebook`
            take precedence.
        masking: rules of masking of frames.
        objective: weights of `contrastive`, `diversity` and `speech_mlm`, the only losses. Choice: 1 for diversity,
            where w2v-BERT has 0.1: its gradient shrinks with the share of the codebook that is in use, and at 0.2 and
            1024 entries a small encoder assigns all frames to one entry within 30 updates.
        quantizer: schedule of the Gumbel temperature, and threshold of the warning about a collapse. Choice: a decay
            for a run of a thousand updates; that of the paper is for some hundred thousand.
        optim, training: as in other recipes; `training.use_cpu` depends on `device`.
        limits: longer recordings are left out.
        utterances: number of utterances of a micro-batch.
        max_seconds: maximum speech of a micro-batch; longer recordings make it smaller.
        corpus_weights: corpus -> number of passes per epoch, default 1.
    """

    model: ModelSection = field(default_factory=ModelSection)
    masking: MSLAMMaskingConfig = field(default_factory=MSLAMMaskingConfig)
    objective: MSLAMObjectiveConfig = field(default_factory=lambda: MSLAMObjectiveConfig(diversity=1.0))
    quantizer: QuantizerConfig = field(
        default_factory=lambda: QuantizerConfig(min_gumbel_temperature=0.5, gumbel_temperature_decay=0.998)
    )
    optim: OptimSection = field(default_factory=OptimSection)
    training: TrainingSection = field(default_factory=lambda: TrainingSection(max_steps=1000))
    limits: ExampleLimits = field(default_factory=ExampleLimits)
    utterances: int = 16
    max_seconds: float = 60.0
    corpus_weights: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.utterances < 1:
            raise ValueError(f"utterances must be at least 1, got {self.utterances}")


@dataclass(kw_only=True)
class SpeechTokenizerRecipe:
    """One speech tokenizer.

    Attributes:
        kind: kind of the recipe.
        codebook: kind and size of the codebook.
        feature_extractor: folder of a processor or feature extractor whose features are tokenized; default: that of
            the encoder if it is ours, else a new one.
        corpora: corpora of recordings, by a name chosen in the recipe.
        kmeans: length of k-means.
        contrastive: training of a contrastive tokenizer.
        batch_seconds: seconds of speech in one batch of k-means.
        cache_megabytes: maximum size of features kept between passes (100 kB per second of 120 ms log-mel frames).
        device: cpu, cuda, ...
        output: folder of the tokenizer and its feature extractor. Its sub-folder `training` has the run of a
            contrastive one.
    """

    kind: Literal["speech_tokenizer"] = "speech_tokenizer"
    codebook: CodebookSection = field(default_factory=CodebookSection)
    feature_extractor: str | None = path_field("folder")
    corpora: dict[str, CorpusSource] = field(default_factory=dict)
    kmeans: CodebookTrainingConfig = field(default_factory=CodebookTrainingConfig)
    contrastive: ContrastiveSection = field(default_factory=ContrastiveSection)
    batch_seconds: float = 120.0
    cache_megabytes: int = 1024
    device: str = "cpu"
    output: str = "runs/speech_tokenizer"

    def __post_init__(self) -> None:
        if not self.corpora and self.codebook.init_from is None:
            raise ValueError("corpora: at least one is required")
        if self.batch_seconds <= 0:
            raise ValueError(f"batch_seconds must be above 0, got {self.batch_seconds}")
        for name in self.contrastive.corpus_weights:
            if name not in self.corpora:
                raise ValueError(
                    f"contrastive.corpus_weights.{name}: no such corpus in corpora ({', '.join(self.corpora)})"
                )
