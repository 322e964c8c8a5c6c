# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The making of a speech tokenizer as one typed tree: what `mu2slam train-speech-tokenizer --recipe` reads."""

from dataclasses import dataclass, field
from typing import Literal

from mu2slam_hf.data.examples.builder import ExampleLimits
from mu2slam_hf.data.span_masking import MSLAMMaskingConfig
from mu2slam_hf.quantization.codebook_training import CodebookTrainingConfig
from mu2slam_hf.quantization.quantizer_callbacks import QuantizerConfig
from mu2slam_hf.recipes.data_sections import CorpusSource
from mu2slam_hf.recipes.loader import path_field
from mu2slam_hf.recipes.sections import ModelSection, OptimSection, TrainingSection
from mu2slam_hf.training.objectives.mslam import MSLAMObjectiveConfig


@dataclass(kw_only=True)
class CodebookSection:
    """What is made.

    Attributes:
        kind: kmeans; contrastive, which trains an mSLAM encoder on speech alone (w2v-BERT) and takes its front end and
            quantiser; or random_projection, of which only means and deviations of the input are measured.
        num_codevectors: entries of a codebook. Paper: 1024, as AudioLM.
        num_codebooks: of random_projection (16 of 8192 entries are those of USM) and contrastive.
        codevector_dim: width of an entry of random_projection (16), of all codebooks together of contrastive (128).
        method: of contrastive: gumbel or nearest.
        center_utterances: whether the mean of each utterance is subtracted from what is quantised.
        num_context_frames: of kmeans on log-mel frames: 40 ms frames on either side of each.
        encoder: of kmeans: folder of a speech encoder to quantise a layer of, instead of log-mel frames.
        layer: which layer; 0 is the input of the first one.
        frames_per_second: of an encoder of transformers whose configuration does not say.
        init_from: of contrastive: folder of an mSLAM model whose pre-training is done; nothing is trained.
    """

    kind: Literal["kmeans", "random_projection", "contrastive"] = "kmeans"
    num_codevectors: int = 1024
    num_codebooks: int = 1
    codevector_dim: int | None = None
    method: Literal["gumbel", "nearest"] = "gumbel"
    center_utterances: bool = False
    num_context_frames: int = 1
    encoder: str | None = path_field("folder")
    layer: int | None = None
    frames_per_second: float | None = None
    init_from: str | None = path_field("folder")

    def __post_init__(self) -> None:
        if (self.encoder is None) != (self.layer is None):
            raise ValueError("encoder and layer belong together: give both or neither")
        if self.encoder is not None and self.kind != "kmeans":
            raise ValueError("only kmeans is trained on the layer of an encoder")
        if self.init_from is not None and self.kind != "contrastive":
            raise ValueError("only a contrastive tokenizer is taken from an mSLAM model (init_from)")


@dataclass(kw_only=True)
class ContrastiveSection:
    """The training of a contrastive tokenizer: mSLAM's, on speech alone. Sections as in recipes of mSLAM.

    Attributes:
        model: the encoder; without config and init_from a small one, 4 + 3 layers of width 144. What `codebook` says
            of the codebook wins over it.
        masking: of frames.
        objective: weights of `contrastive`, `diversity` and `speech_mlm`; there are no other losses here. Choice: 1
            for diversity, where w2v-BERT has 0.1: its gradient shrinks with the share of the codebook that is in use,
            and at 0.2 and 1024 entries a small encoder gives all frames one entry within 30 updates.
        quantizer: course of the Gumbel temperature, and when a collapse is warned of. Choice: a factor for a run of a
            thousand updates; that of the paper is for some hundred thousand.
        optim, training: as elsewhere; `training.use_cpu` follows from `device`.
        limits: longer recordings are left out.
        utterances: of a micro-batch.
        max_seconds: most speech of a micro-batch; longer recordings make it smaller.
        corpus_weights: corpus -> how often it is gone through per epoch; 1 for those that are not named.
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
        kind: tells it from the other recipes.
        codebook: what is made.
        feature_extractor: folder of a processor or feature extractor whose features are tokenized; default: that of
            the encoder if it is ours, else a new one.
        corpora: recordings, by a name of one's own.
        kmeans: how long k-means runs.
        contrastive: how a contrastive tokenizer is trained.
        batch_seconds: speech read at a time by k-means.
        cache_megabytes: features kept between its passes (100 kB for a second of 120 ms log-mel frames).
        device: cpu, cuda, ...
        output: folder of the tokenizer; its feature extractor is saved with it. The run of a contrastive one is kept
            in its folder `training`.
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
            raise ValueError("corpora: name at least one")
        if self.batch_seconds <= 0:
            raise ValueError(f"batch_seconds must be above 0, got {self.batch_seconds}")
        for name in self.contrastive.corpus_weights:
            if name not in self.corpora:
                raise ValueError(
                    f"contrastive.corpus_weights.{name}: no such corpus in corpora ({', '.join(self.corpora)})"
                )
