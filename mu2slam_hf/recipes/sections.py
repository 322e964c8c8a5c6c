# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Sections that recipes of several kinds share. A recipe file holds only what differs from the defaults here.

Every field is a section or a value; `path_field()` marks values that must exist as a file or folder when a recipe is
loaded. Sections that configure one piece of code are defined beside that code (`WaveformAugmentationConfig`, ...).
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from mu2slam_hf.recipes.loader import dotted_field, path_field


@dataclass(kw_only=True)
class ModelSection:
    """What is trained.

    Attributes:
        config: JSON file with the payload of a `config.json`.
        overrides: values set in it, by dotted name (`encoder_config.num_hidden_layers`).
        init_from: folder of a model to start from instead; `config` must then be absent.
        init_encoder_from: folder of a public speech encoder (`Wav2Vec2Bert`, `Wav2Vec2Conformer`) or of an mSLAM,
            whose front end, Conformer layers and feature extractor the model starts from, with their sizes; `config`,
            if any, gives the rest.
        freeze: parameters that are not trained, by prefix of their names.
        generation_config: defaults of `generate` for the trained model, saved as its `generation_config.json`:
            `ctc_weight`, `num_beams`, ... A model trained with CTC recognises speech far better with its share.
        attn_implementation: attention backend; None for transformers' choice. On CPU, `eager` trains a small model
            with short sequences about 15 % faster than `sdpa`, whose backward pass is slow there.
    """

    config: str | None = path_field("file")
    overrides: dict[str, Any] = dotted_field()
    init_from: str | None = path_field("folder")
    init_encoder_from: str | None = path_field("folder")
    freeze: list[str] = field(default_factory=list)
    generation_config: dict[str, Any] = field(default_factory=dict)
    attn_implementation: str | None = None


@dataclass(kw_only=True)
class ProcessorSection:
    """Feature extractor and tokenizer.

    Attributes:
        init_from: folder of a saved processor; everything below is then read from there. Default: that of
            `model.init_from`.
        tokenizer: kind of text tokenizer (char, unigram), trained on the texts of all training corpora.
        vocab_size: most text tokens the tokenizer may have.
        num_speech_tokens: speech ids that stand before the text.
        languages: codes in the order of the language table; default: those of the data, sorted, after `und`.
        feature_statistics_utterances: recordings from which mean and deviation of each mel bin are measured.
        records_per_language: of streams, so many records of each language of each corpus are read for all this.
    """

    init_from: str | None = path_field("folder")
    tokenizer: str = "char"
    vocab_size: int = 4096
    num_speech_tokens: int = 1024
    languages: list[str] = field(default_factory=list)
    feature_statistics_utterances: int = 400
    records_per_language: int = 2000


@dataclass(kw_only=True)
class OptimSection:
    """The optimiser and its schedule.

    Attributes:
        optimizer: adamw, or adam, which takes no weight decay. Paper, section 3.1: Adam in pre-training, AdamW in
            fine-tuning.
        schedule: noam, warmup_cosine, warmup_inverse_sqrt, warmup_linear or warmup_constant.
        learning_rate: peak; the Noam schedule ignores it.
        noam_factor: of the Noam schedule. Paper: 3 in pre-training, 0.5 to 5 in fine-tuning.
        warmup_steps: updates of linear growth.
        min_learning_rate_ratio: floor as a share of the peak.
        weight_decay: of matrices. Paper: 0.01 in fine-tuning.
        adam_beta1, adam_beta2, adam_epsilon: of Adam.
        max_grad_norm: gradients are clipped to it; 0 for never.
    """

    optimizer: Literal["adamw", "adam"] = "adamw"
    schedule: Literal["noam", "warmup_cosine", "warmup_inverse_sqrt", "warmup_linear", "warmup_constant"] = (
        "warmup_cosine"
    )
    learning_rate: float = 1e-3
    noam_factor: float = 1.0
    warmup_steps: int = 200
    min_learning_rate_ratio: float = 0.02
    weight_decay: float = 0.01
    adam_beta1: float = 0.9
    adam_beta2: float = 0.98
    adam_epsilon: float = 1e-9
    max_grad_norm: float = 5.0

    def __post_init__(self) -> None:
        if self.optimizer == "adam" and self.weight_decay != 0.0:
            raise ValueError(
                f"Adam takes no weight decay: set weight_decay to 0 (it is {self.weight_decay}) or use adamw"
            )


@dataclass(kw_only=True)
class TrainingSection:
    """How long and how.

    Attributes:
        max_steps: updates in all; default: the sum over the phases.
        seed: of everything that is drawn.
        gradient_accumulation_steps: micro-batches of one update.
        dataloader_num_workers: loader processes of each training process.
        bf16: autocast to bfloat16; losses stay in fp32.
        use_cpu: do not use an accelerator that is there.
        activation_checkpointing: trade time for memory.
        shard_parameters: split parameters, gradients and optimiser over the processes (FSDP2); a launch with
            configuration/accelerate/fsdp2.yaml does so by itself.
        num_sharding_replicas: whole copies of the sharded model, for example one in each machine.
        logging_steps, eval_steps, save_steps: every so many updates; eval_steps 0 for no evaluation.
        save_total_limit: newest checkpoints that are kept, besides the best one.
        average_last: newest checkpoints whose weights are averaged into the result; 0 for the last one as it is.
        load_best_model_at_end: the result is the best checkpoint on the development corpora, not the last one.
        metric_for_best_model: figure of the evaluation (`loss`, `ctc_wer`, `asr_wer`, ...; see `log.jsonl`).
        greater_is_better: True for BLEU and the like.
        report_to: integrations of transformers that get the logs; default: TensorBoard where it is installed.
        disable_tqdm: show no progress bar.
        resume: go on from the newest complete checkpoint of the output folder, if there is one.
    """

    max_steps: int | None = None
    seed: int = 0
    gradient_accumulation_steps: int = 1
    dataloader_num_workers: int = 0
    bf16: bool = False
    use_cpu: bool = False
    activation_checkpointing: bool = False
    shard_parameters: bool = False
    num_sharding_replicas: int = 1
    logging_steps: int = 20
    eval_steps: int = 200
    save_steps: int = 200
    save_total_limit: int = 3
    average_last: int = 0
    load_best_model_at_end: bool = False
    metric_for_best_model: str = "loss"
    greater_is_better: bool = False
    report_to: list[str] | None = None
    disable_tqdm: bool = False
    resume: bool = True

    def __post_init__(self) -> None:
        if self.load_best_model_at_end and self.average_last > 1:
            raise ValueError("load_best_model_at_end and average_last exclude each other; leave one of them out")
        if self.load_best_model_at_end and self.eval_steps <= 0:
            raise ValueError("load_best_model_at_end needs evaluations; set eval_steps")


@dataclass(kw_only=True)
class LoraSection:
    """Low-rank adapters by peft instead of training all weights.

    Attributes:
        r: rank.
        lora_alpha: scale; the update is multiplied by lora_alpha / r.
        lora_dropout: on the adapters' input.
        target_modules: names of linear layers, or a regular expression.
        modules_to_save: modules trained in full beside the adapters.
        merge: also save the model with the adapters merged in, under `merged/`.
    """

    r: int = 8
    lora_alpha: float = 16.0
    lora_dropout: float = 0.0
    target_modules: list[str] | str = field(default_factory=lambda: ["q_proj", "v_proj"])
    modules_to_save: list[str] = field(default_factory=list)
    merge: bool = True


@dataclass(kw_only=True)
class OutputSection:
    """Where the result goes.

    Attributes:
        dir: folder of checkpoints, logs and the final model.
        final: folder of the final model; default: `final` in `dir`.
        dtype: of the final weights.
    """

    dir: str = "runs/mu2slam"
    final: str | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"


@dataclass(kw_only=True)
class StageSection:
    """One of several runs, each with an optimiser and a schedule of its own, that start from one another's results.

    Not to be confused with the phases of `data.curriculum`, which share one optimiser.
    Paper: section 2.4, gradual fine-tuning: a stage on all labeled tasks without [MASK], then one on a single task.

    Attributes:
        name: the stage writes to `<output.dir>/<number>_<name>`, the last one its model to `<output.dir>/final`.
        set: what differs from the recipe, by dotted name (`training.max_steps: 300`); a value replaces what was there.
            What the next stage starts from is decided here too: `training.load_best_model_at_end`.
    """

    name: str = "stage"
    set: dict[str, Any] = dotted_field()

    def __post_init__(self) -> None:
        if not self.name.replace("_", "").replace("-", "").isalnum():
            raise ValueError(f"name {self.name!r} becomes part of a folder's name: use letters, digits, - and _")
        taken = sorted(name for name in self.set if name.split(".")[0] in ("stages", "output", "kind"))
        if taken:
            raise ValueError(f"set: {taken[0]} is the same for all stages")
