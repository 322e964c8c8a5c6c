# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recipes of fine-tuning one head: classes of speech or text, transcripts, or answers to questions."""

from dataclasses import dataclass, field
from typing import Literal

from mu2slam_hf.data.augmentation import SpecAugmentConfig
from mu2slam_hf.data.examples.question_windows import DEFAULT_MAX_TOKENS, DEFAULT_OVERLAP_TOKENS
from mu2slam_hf.recipes.schema.data import CorpusSource
from mu2slam_hf.recipes.schema.sections import (
    LoraSection,
    ModelSection,
    OptimSection,
    OutputSection,
    ProcessorSection,
    TrainingSection,
    check_weight_decay_of_adapters,
)

HeadKind = Literal[
    "audio_classification", "sequence_classification", "ctc", "rnnt", "question_answering", "answer_generation"
]


@dataclass(kw_only=True)
class HeadCorpusSection(CorpusSource):
    """One corpus of a head.

    Attributes:
        name, root, manifest, webdataset, dataset, split, options, columns, lang, audio_root, max_duration_seconds,
            part, limit: see `CorpusSource`.
        modality: inputs of the head: recordings or texts.
        languages: languages of the records; empty for all.
    """

    modality: Literal["speech", "text"] = "speech"
    languages: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class HeadSection:
    """The head, and the number of encoder layers to train.

    Attributes:
        kind: `audio_classification`: classes of speech, from a weighted average over all layers;
            `sequence_classification`: classes of speech or text, from the layers that both share, so that a head
            trained on one may be used on the other; `ctc`: the transcript; `rnnt`: the transcript, by a transducer
            with a CTC head beside it; `question_answering`: first and last token of the answer to a question in its
            passage (`extra["context"]` and `extra["answers"]` of the records); `answer_generation`: the answer written
            by the decoder of Mu2SLAM. The encoder is that of an mSLAM or, except for `audio_classification`, of a
            Mu2SLAM.
        label: class of a record: `lang`, `speaker`, `kind`, `corpus`, or another column of its manifest.
        second_text: column with the second text of pairs, for `sequence_classification`; None for single texts.
        max_tokens: questions: maximum length of an input, a question with a window of its passage.
        overlap_tokens: questions: tokens that two windows of a passage share.
        labels: names of the classes, in the order of their numbers; empty: those of the training corpora, sorted.
        trainable_layers: number of last encoder layers to train; 0 for the head only, None for all parameters.
        ctc_weight: weight of CTC beside the transducer loss, for `rnnt`; None: that of the model, for a new one 0.3.
    """

    kind: HeadKind = "audio_classification"
    label: str = "lang"
    second_text: str | None = None
    max_tokens: int = DEFAULT_MAX_TOKENS
    overlap_tokens: int = DEFAULT_OVERLAP_TOKENS
    labels: list[str] = field(default_factory=list)
    trainable_layers: int | None = None
    ctc_weight: float | None = None

    def __post_init__(self) -> None:
        if self.ctc_weight is not None and (self.kind != "rnnt" or self.ctc_weight < 0):
            raise ValueError(f"head.ctc_weight: at least 0, for the kind rnnt; got {self.ctc_weight} for {self.kind}")
        if not 0 <= self.overlap_tokens < self.max_tokens // 2:
            raise ValueError(
                f"head.overlap_tokens must be at least 0 and below half of max_tokens ({self.max_tokens}), got "
                f"{self.overlap_tokens}"
            )

    @property
    def is_classifier(self) -> bool:
        """Whether the targets are classes."""
        return self.kind in ("audio_classification", "sequence_classification")

    @property
    def writes_transcripts(self) -> bool:
        """Whether the targets are transcripts."""
        return self.kind in ("ctc", "rnnt")

    @property
    def answers_questions(self) -> bool:
        """Whether the targets are answers to questions."""
        return self.kind in ("question_answering", "answer_generation")


@dataclass(kw_only=True)
class HeadDataSection:
    """Training data of a head.

    Attributes:
        corpora: corpora by a name chosen in the recipe; all of one modality.
        per_device_train_batch_size: number of items of one batch of one device.
        balance: whether to draw all classes equally often, regardless of their numbers of items.
        cache_audio: whether to keep decoded recordings in memory.
        band_limit_hz: frequencies above this are removed from all recordings, also in evaluation, so that corpora of
            different bandwidth are comparable (4000: telephone). Inference with the head must do the same.
        spec_augment: masks on the features of recordings in training; None for none.
    """

    corpora: dict[str, HeadCorpusSection] = field(default_factory=dict)
    per_device_train_batch_size: int = 16
    balance: bool = True
    cache_audio: bool = True
    band_limit_hz: float | None = None
    spec_augment: SpecAugmentConfig | None = None

    def __post_init__(self) -> None:
        if self.band_limit_hz is not None and not 0 < self.band_limit_hz <= 8000:
            raise ValueError(f"band_limit_hz must be in (0, 8000], got {self.band_limit_hz}")


@dataclass(kw_only=True)
class HeadEvaluationSection:
    """Test corpora of a head, evaluated separately during training and, with reports of errors, after it.

    Attributes:
        corpora: test corpora; items of classes that the head does not have are left out.
        per_device_eval_batch_size: number of items of one batch.
    """

    corpora: dict[str, HeadCorpusSection] = field(default_factory=dict)
    per_device_eval_batch_size: int = 16


@dataclass(kw_only=True)
class HeadOptimSection(OptimSection):
    """The optimizer; see `OptimSection`.

    Attributes:
        head_learning_rate_ratio: learning rate of the head as a multiple of that of the encoder. Paper: mSLAM trains
            its RNN-T decoder at 1e-3, the encoder at 3e-4. The output layer of CTC is the table of token embeddings,
            which is part of the encoder.
    """

    head_learning_rate_ratio: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.head_learning_rate_ratio <= 0:
            raise ValueError(f"head_learning_rate_ratio must be positive, got {self.head_learning_rate_ratio}")
        if self.head_learning_rate_ratio != 1.0 and self.schedule == "noam":
            raise ValueError(
                "the schedule noam sets one rate for all; leave head_learning_rate_ratio out, or choose another"
            )


@dataclass(kw_only=True)
class HeadRecipe:
    """One run of fine-tuning of a head.

    Attributes:
        kind: kind of the recipe.
        model: `init_from` is the folder of an mSLAM or Mu2SLAM, pre-trained or with another head.
        processor: by default the one saved next to the model.
        training: `metric_for_best_model` is `loss`, or for classes and spans `accuracy`, of a corpus of `evaluation`:
            `dev_accuracy` is that of the corpus `dev`, whose name may be left out if it is the only one.
        lora: low-rank adapters instead of training all weights of the encoder; the head is trained in full. The final
            model has them merged, its sub-folder `adapters` has them alone, with the head.

    Raises:
        ValueError: the evaluation has no such metric, or adapters together with `head.trainable_layers`.
    """

    kind: Literal["head_finetuning"] = "head_finetuning"
    model: ModelSection = field(default_factory=ModelSection)
    processor: ProcessorSection = field(default_factory=ProcessorSection)
    head: HeadSection = field(default_factory=HeadSection)
    data: HeadDataSection = field(default_factory=HeadDataSection)
    optim: HeadOptimSection = field(default_factory=HeadOptimSection)
    training: TrainingSection = field(default_factory=TrainingSection)
    evaluation: HeadEvaluationSection = field(default_factory=HeadEvaluationSection)
    lora: LoraSection | None = None
    output: OutputSection = field(default_factory=OutputSection)

    def __post_init__(self) -> None:
        if self.training.load_best_model_at_end:
            self._check_best()
        if self.lora is not None and self.head.trainable_layers is not None:
            raise ValueError("head.trainable_layers: adapters train no layer in full; leave it out, or lora")
        if self.lora is not None and not self.lora.merge:
            raise ValueError("lora.merge: the final model of a head has its adapters merged; leave it out")
        check_weight_decay_of_adapters(self)

    @property
    def best_figure(self) -> str:
        """The metric for `training.load_best_model_at_end`, with the name of its corpus."""
        metric, corpora = self.training.metric_for_best_model, list(self.evaluation.corpora)
        return f"{corpora[0]}_{metric}" if len(corpora) == 1 and metric in self._figures else metric

    @property
    def _figures(self) -> tuple[str, ...]:
        return (
            ("loss",)
            if self.head.writes_transcripts or self.head.kind == "answer_generation"
            else ("loss", "accuracy")
        )

    def _check_best(self) -> None:
        metric = self.training.metric_for_best_model
        known = [f"{corpus}_{figure}" for corpus in self.evaluation.corpora for figure in self._figures]
        if not known:
            raise ValueError("training.load_best_model_at_end: requires a corpus in evaluation.corpora")
        if self.best_figure not in known:
            raise ValueError(
                f"training.metric_for_best_model: expected one of {', '.join(known)} for this head; got {metric!r}"
            )
        is_share = self.best_figure.endswith("_accuracy")
        if self.training.greater_is_better != is_share:
            raise ValueError(
                f"training.greater_is_better: must be {str(is_share).lower()} for metric_for_best_model {metric!r}"
            )
