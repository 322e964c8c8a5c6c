# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A run of pre-training as one typed tree; see `schema` for what it has in common with supervised training."""

from dataclasses import dataclass, field
from typing import Any, Literal

from mu2slam_hf.data.examples.pretraining_examples import ExampleLimits
from mu2slam_hf.data.masking import MaskingConfig
from mu2slam_hf.models.task_types import PRETRAINING_TASKS
from mu2slam_hf.recipes.data_schema import CorpusSource
from mu2slam_hf.recipes.fields import path_field
from mu2slam_hf.recipes.schema import ModelSection, OptimSection, OutputSection, ProcessorSection, TrainingSection


@dataclass(kw_only=True)
class SpeechTokenizerSection:
    """The frozen model that turns speech into ids. It is saved with the processor.

    Attributes:
        kind: how the codebook is made. Paper, section 2.2: that of mSLAM, learned by a contrastive loss. Choice: a
            random projection, which needs no training.
        config: further fields of `SpeechTokenizerConfig` (`codevector_dim`, `projection_seed`, ...). The codebook has
            `processor.num_speech_tokens` entries.
        init_from: folder of a saved speech tokenizer instead; `config` must then be empty.
    """

    kind: Literal["random_projection", "contrastive", "kmeans"] = "random_projection"
    config: dict[str, Any] = field(default_factory=dict)
    init_from: str | None = path_field("folder")


@dataclass(kw_only=True)
class PretrainingCorpusSection(CorpusSource):
    """One corpus of pre-training.

    Attributes:
        name, root, split, options, manifest, columns, lang, audio_root, max_duration_seconds, limit: see
            `CorpusSource`; streams take registered corpora only, and no `limit`.
        total_size: for streams, where the sizes of a corpus's languages are not declared: hours (or documents) in
            all, divided like the bytes of their files.
    """

    total_size: float | None = None


@dataclass(kw_only=True)
class PretrainingTaskSection:
    """One of the five kinds of examples.

    Attributes:
        share: examples in a micro-batch of one device. Default, by the paper (section 3.1): speech 4, text 8, asr, ast
            and mt 1; 0 for none.
        temperature: T of sampling over languages. Default, by the paper (appendix A.1): text 3, mt 2; Choice: 1 else.
        corpora: name in `data.corpora` -> how often it is gone through per epoch of the task.
    """

    share: int | None = None
    temperature: float | None = None
    corpora: dict[str, float] = field(default_factory=dict)


@dataclass(kw_only=True)
class PretrainingDataSection:
    """Corpora, what is made of them, and how they are mixed.

    Attributes:
        corpora: by a name of the recipe's own.
        tasks: `speech`, `text`, `asr`, `ast`, `mt` -> share and corpora; those that are not named are not trained.
        languages: only these, as source and target; empty for all.
        translations_as_texts: translations are texts of text-only examples too.
        limits: longer examples are left out.
        max_seconds: speech in one micro-batch of one device; None for no bound. Longer ones make the batch smaller.
        max_tokens: text tokens in one micro-batch of one device, likewise.
        max_row_length: most encoder or decoder positions of a packed row; None: the collator chooses.
        undetermined_source_ratio: share of draws where the encoder is not told the source's language. Choice: 0.3.
        max_failed_share: share of unreadable recordings beyond which the run stops.
        cache_audio: keep decoded recordings in memory; not for streams.
        streaming: read corpora shard by shard instead of as tables in memory. Each process reads its own part.
        block_size: records of a stream that are shuffled among themselves, and held in memory.
    """

    corpora: dict[str, PretrainingCorpusSection] = field(default_factory=dict)
    tasks: dict[str, PretrainingTaskSection] = field(default_factory=dict)
    languages: list[str] = field(default_factory=list)
    translations_as_texts: bool = True
    limits: ExampleLimits = field(default_factory=ExampleLimits)
    max_seconds: float | None = None
    max_tokens: int | None = None
    max_row_length: int | None = None
    undetermined_source_ratio: float = 0.3
    max_failed_share: float = 0.01
    cache_audio: bool = True
    streaming: bool = False
    block_size: int = 1000

    def __post_init__(self) -> None:
        for task, section in self.tasks.items():
            if task not in PRETRAINING_TASKS:
                raise ValueError(f"tasks.{task}: unknown; the tasks are {', '.join(PRETRAINING_TASKS)}")
            for corpus in section.corpora:
                if corpus not in self.corpora:
                    known = ", ".join(self.corpora)
                    raise ValueError(f"tasks.{task}.corpora.{corpus}: no such corpus in data.corpora ({known})")


@dataclass(kw_only=True)
class PretrainingObjectiveSection:
    """Coefficients of the 24 losses; each loss is a mean over its own targets in the whole update.

    Paper: section 3.1: 1 for speech-only and text-only, 0.1 for text-to-speech and alignment, 0.3 for the decoder loss
    of speech to text.
    Choice, where it is silent: 1 for the decoder loss of MT in both directions, 0.1 for masked prediction on pairs,
    0.3 for CTC, 0.1 for the language head.

    Attributes:
        speech_decoder, text_decoder: denoising of unlabeled data on the decoder (Eq. 2).
        asr_decoder, ast_decoder, mt_decoder: forward, `P(y | x)` (Eq. 4).
        asr_backward_decoder, ast_backward_decoder, mt_backward_decoder: backward, `P(x | y)`.
        asr_alignment_decoder, ast_alignment_decoder, mt_alignment_decoder: denoising of both sides (Eq. 5).
        speech_mlm, text_mlm, asr_mlm, asr_backward_mlm, asr_alignment_mlm, ast_mlm, ast_backward_mlm,
            ast_alignment_mlm, mt_mlm, mt_backward_mlm, mt_alignment_mlm: masked prediction on the encoder of each.
        ctc: CTC on the forward ASR view.
        language: the head that guesses the source language where it is not told.
        ctc_input: whether the forward ASR view reads masked speech, or `clean` speech without masked prediction.
    """

    speech_decoder: float = 1.0
    text_decoder: float = 1.0
    asr_decoder: float = 0.3
    asr_backward_decoder: float = 0.1
    asr_alignment_decoder: float = 0.1
    ast_decoder: float = 0.3
    ast_backward_decoder: float = 0.1
    ast_alignment_decoder: float = 0.1
    mt_decoder: float = 1.0
    mt_backward_decoder: float = 1.0
    mt_alignment_decoder: float = 0.1
    speech_mlm: float = 1.0
    text_mlm: float = 1.0
    asr_mlm: float = 0.1
    asr_backward_mlm: float = 0.1
    asr_alignment_mlm: float = 0.1
    ast_mlm: float = 0.1
    ast_backward_mlm: float = 0.1
    ast_alignment_mlm: float = 0.1
    mt_mlm: float = 0.1
    mt_backward_mlm: float = 0.1
    mt_alignment_mlm: float = 0.1
    ctc: float = 0.3
    language: float = 0.1
    ctc_input: Literal["masked", "clean"] = "masked"


@dataclass(kw_only=True)
class PretrainingEvaluationSection:
    """Losses on development corpora: the same masks at every evaluation.

    Attributes:
        corpora: development corpora.
        tasks: which kinds of examples to make of them, as far as they give some.
        max_seconds: speech of an evaluation batch.
        max_tokens: text tokens of an evaluation batch.
    """

    corpora: dict[str, CorpusSource] = field(default_factory=dict)
    tasks: list[str] = field(default_factory=lambda: list(PRETRAINING_TASKS))
    max_seconds: float = 60.0
    max_tokens: int = 4000


@dataclass(kw_only=True)
class MixtureRecipe:
    """What all runs over a mixture of tasks have in common.

    Attributes:
        kind: tells one kind of recipe from another.
        model, processor, data, optim, training, evaluation, output: sections.
        objective: weights of the losses of the kind.
    """

    kind: str = ""
    model: ModelSection = field(default_factory=ModelSection)
    processor: ProcessorSection = field(default_factory=ProcessorSection)
    data: PretrainingDataSection = field(default_factory=PretrainingDataSection)
    objective: Any = None
    optim: OptimSection = field(default_factory=OptimSection)
    training: TrainingSection = field(default_factory=TrainingSection)
    evaluation: PretrainingEvaluationSection = field(default_factory=PretrainingEvaluationSection)
    output: OutputSection = field(default_factory=OutputSection)


@dataclass(kw_only=True)
class PretrainingRecipe(MixtureRecipe):
    """One run of pre-training: what `pretrain_mu2slam.py --recipe` reads.

    Attributes:
        kind: tells it from a recipe of supervised training.
    """

    kind: Literal["pretraining"] = "pretraining"
    speech_tokenizer: SpeechTokenizerSection = field(default_factory=SpeechTokenizerSection)
    masking: MaskingConfig = field(default_factory=MaskingConfig)
    objective: PretrainingObjectiveSection = field(default_factory=PretrainingObjectiveSection)
