# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Sections of recipes of several kinds. A recipe file contains only values that differ from these defaults.

Every field is a section or a value; `path_field()` marks files or folders that must exist when a recipe is loaded.
Sections that configure one class are defined next to that class (`WaveformAugmentationConfig`, ...).
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from mu2slam_hf.recipes.schema.loader import dotted_field, path_field


@dataclass(kw_only=True)
class ModelSection:
    """The model to train.

    Attributes:
        config: JSON file with the payload of a `config.json`.
        overrides: values to set in it, by dotted name (`encoder_config.num_hidden_layers`).
        init_from: folder of a trained model in place of `config`; "default" is the checkpoint of the package.
        init_encoder_from: folder of a public speech encoder (`Wav2Vec2Bert`, `Wav2Vec2Conformer`), of an mSLAM or
            of a Mu2SLAM ("default": the checkpoint of the package), whose front end, Conformer layers and feature
            extractor the model starts from, with their sizes; `config`, if any, defines the rest.
        grow_from: folder of a trained model of the same width that a new model (`config`) starts from. The new one may
            have more layers, wider feed-forward modules, other languages and another vocabulary; the feature
            extractor is that of the source.
        freeze: prefixes of the names of parameters that are not trained; `*` stands for any characters.
        train_only: prefixes of the names of parameters that alone are trained, the opposite of `freeze`.
        generation_config: defaults of `generate` for the trained model, saved as its `generation_config.json`:
            `ctc_weight`, `num_beams`, ... A model trained with CTC recognizes speech far better with `ctc_weight`.
        attn_implementation: attention backend; None for transformers' choice. On CPU, `eager` trains a small model
            with short sequences about 15 % faster than `sdpa`, whose backward pass is slow there.
    """

    config: str | None = path_field("file")
    overrides: dict[str, Any] = dotted_field()
    init_from: str | None = path_field("checkpoint")
    init_encoder_from: str | None = path_field("checkpoint")
    grow_from: str | None = path_field("checkpoint")
    freeze: list[str] = field(default_factory=list)
    train_only: list[str] = field(default_factory=list)
    generation_config: dict[str, Any] = field(default_factory=dict)
    attn_implementation: str | None = None


@dataclass(kw_only=True)
class AddedLanguageSection:
    """A language by which a trained model is grown.

    Attributes:
        like: similar languages of the model, whose mean the language starts from; empty: all, except `und`.
    """

    like: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class ProcessorSection:
    """Feature extractor and tokenizer.

    Attributes:
        init_from: folder of a saved processor in place of all fields below, except the next two. Default:
            `model.init_from`.
        add_languages: languages by which a trained model (`model.init_from`) is grown before training: code -> where
            the language starts from. It gets the characters of its training texts that the tokenizer does not have;
            of a language that the model has, only these are added.
        allow_unknown_characters: whether to train on texts with characters that the tokenizer of `init_from` does not
            have, and which become `<unk>`. Otherwise they are an error.
        tokenizer: kind of text tokenizer (char, unigram), trained on the texts of all training corpora; byte: the 256
            bytes, whatever the texts.
        vocab_size: maximum number of text tokens of the tokenizer; default: 4096. Not for bytes.
        texts_per_language: maximum number of distinct texts of each language that the tokenizer is trained on, so that
            languages with few texts get their share of pieces; None: all texts, as often as they occur.
        num_speech_tokens: number of speech ids, which precede the text tokens.
        languages: codes in the order of the language table; default: those of the data, sorted, after `und`.
        feature_statistics_utterances: number of recordings for mean and deviation of each mel bin.
        records_per_language: number of records of each language of each corpus that are read from streams for this.
    """

    init_from: str | None = path_field("checkpoint")
    add_languages: dict[str, AddedLanguageSection] = field(default_factory=dict)
    allow_unknown_characters: bool = False
    tokenizer: str = "char"
    vocab_size: int | None = None
    texts_per_language: int | None = None
    num_speech_tokens: int = 1024
    languages: list[str] = field(default_factory=list)
    feature_statistics_utterances: int = 400
    records_per_language: int = 2000

    def __post_init__(self) -> None:
        check_vocab_size(self.tokenizer, self.vocab_size)


def check_vocab_size(tokenizer: str, vocab_size: int | None) -> None:
    """Raises ValueError for a number of tokens of a tokenizer that always has the same."""
    if tokenizer == "byte" and vocab_size is not None:
        raise ValueError(f"vocab_size: a tokenizer of bytes has 256 tokens; leave {vocab_size} out")


@dataclass(kw_only=True)
class OptimSection:
    """The optimizer and its schedule.

    Attributes:
        optimizer: adamw, or adam without weight decay. Paper, section 3.1: Adam in pre-training, AdamW in
            fine-tuning.
        schedule: noam, warmup_cosine, warmup_inverse_sqrt, warmup_linear or warmup_constant.
        learning_rate: peak learning rate; the Noam schedule ignores it.
        noam_factor: factor of the Noam schedule. Paper: 3 in pre-training, 0.5 to 5 in fine-tuning.
        warmup_steps: number of updates of linear growth.
        min_learning_rate_ratio: where warmup_cosine and warmup_linear end, as a share of the peak; the others
            ignore it.
        weight_decay: weight decay of matrices. Paper, A.2: 0.01 in fine-tuning. Choice: biases, norms and embeddings
            are exempt.
        adam_beta1, adam_beta2, adam_epsilon: parameters of Adam.
        max_grad_norm: maximum norm for gradient clipping; 0 for none.
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
                f"Adam does not support weight decay: set weight_decay to 0 (got {self.weight_decay}) or use adamw"
            )


@dataclass(kw_only=True)
class TrainingSection:
    """Length and settings of training.

    Attributes:
        max_steps: total number of updates; default: the sum over the phases.
        seed: seed of all random draws.
        gradient_accumulation_steps: number of micro-batches of one update.
        dataloader_num_workers: number of loader processes of each training process; with streams, another one draws.
        bf16: whether to autocast to bfloat16; losses are computed in fp32.
        use_cpu: whether to train on CPU even if an accelerator is available.
        activation_checkpointing: whether to recompute activations to save memory.
        shard_parameters: whether to split parameters, gradients and optimizer over the processes (FSDP2); implied by a
            launch with configuration/accelerate/fsdp2.yaml.
        num_sharding_replicas: number of whole copies of the sharded model, for example one per machine.
        max_skipped_updates: number of updates with a NaN or infinite loss or gradient that are skipped, with the ids
            of their records in the log; one more ends the run with an error.
        logging_steps, eval_steps, save_steps: intervals in updates; eval_steps 0 for no evaluation.
        save_total_limit: number of newest checkpoints to keep, besides the best one.
        average_last: number of newest checkpoints whose weights are averaged into the result; 0 for the last one.
        load_best_model_at_end: whether the result is the best checkpoint on the development corpora, not the last one.
            With `average_last` it is the better of the two.
        early_stopping_patience: number of evaluations without an improvement after which the run ends, for
            `load_best_model_at_end`; None: never.
        metric_for_best_model: metric of the evaluation (`loss`, `ctc_wer`, `asr_wer`, ...; see `log.jsonl`).
        greater_is_better: whether a larger metric is better (BLEU, accuracy).
        report_to: integrations of transformers for the logs; default: TensorBoard if it is installed.
        disable_tqdm: whether to disable progress bars.
        resume: whether to continue from the newest complete checkpoint of the output folder, if there is one.
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
    max_skipped_updates: int = 5
    logging_steps: int = 20
    eval_steps: int = 200
    save_steps: int = 200
    save_total_limit: int = 3
    average_last: int = 0
    load_best_model_at_end: bool = False
    early_stopping_patience: int | None = None
    metric_for_best_model: str = "loss"
    greater_is_better: bool = False
    report_to: list[str] | None = None
    disable_tqdm: bool = False
    resume: bool = True

    def __post_init__(self) -> None:
        if self.early_stopping_patience is not None and self.early_stopping_patience < 1:
            raise ValueError(f"early_stopping_patience must be at least 1, got {self.early_stopping_patience}")
        if self.early_stopping_patience is not None and not self.load_best_model_at_end:
            raise ValueError("early_stopping_patience requires load_best_model_at_end")
        if self.load_best_model_at_end and self.eval_steps <= 0:
            raise ValueError("load_best_model_at_end requires evaluations; set eval_steps")


@dataclass(kw_only=True)
class LoraSection:
    """Low-rank adapters by peft instead of training all weights.

    Attributes:
        r: rank.
        lora_alpha: scale; the update is multiplied by lora_alpha / r.
        lora_dropout: dropout on the adapters' input.
        target_modules: names of linear layers, or a regular expression.
        modules_to_save: modules trained in full besides the adapters.
        merge: whether to save the model with merged adapters too, in `merged/`.
    """

    r: int = 8
    lora_alpha: float = 16.0
    lora_dropout: float = 0.0
    target_modules: list[str] | str = field(default_factory=lambda: ["q_proj", "v_proj"])
    modules_to_save: list[str] = field(default_factory=list)
    merge: bool = True


@dataclass(kw_only=True)
class OutputSection:
    """Folders and dtype of the result.

    Attributes:
        dir: folder of checkpoints, logs and the final model.
        final: folder of the final model; default: `final` in `dir`.
        dtype: dtype of the final weights.
    """

    dir: str = "runs/mu2slam"
    final: str | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"


@dataclass(kw_only=True)
class StageSection:
    """One of several consecutive runs, each with its own optimizer and schedule, that starts from the previous result.

    Not to be confused with the phases of `data.curriculum`, which share one optimiser.
    Paper: section 2.4, gradual fine-tuning: a stage on all labeled tasks without [MASK], then one on a single task.

    Attributes:
        name: name of the stage, for its folder `<output.dir>/<number>_<name>`; the last model is in
            `<output.dir>/final`.
        set: values that replace those of the recipe, by dotted name (`training.max_steps: 300`).
            `training.load_best_model_at_end` selects the weights for the next stage.
    """

    name: str = "stage"
    set: dict[str, Any] = dotted_field()

    def __post_init__(self) -> None:
        if not self.name.replace("_", "").replace("-", "").isalnum():
            raise ValueError(f"name {self.name!r} is used in the name of a folder: use letters, digits, - and _ only")
        taken = sorted(name for name in self.set if name.split(".")[0] in ("stages", "output", "kind"))
        if taken:
            raise ValueError(f"set: {taken[0]} is the same for all stages")


def check_weight_decay_of_adapters(recipe: Any) -> None:
    """Refuse weight decay of rows that adapters must not change.

    Raises:
        ValueError: weight decay with adapters and added languages.
    """
    if recipe.lora is not None and recipe.processor.add_languages and recipe.optim.weight_decay:
        raise ValueError(
            "optim.weight_decay: would change the rows of all languages, which adapters must not; set it to 0 "
            "with lora and processor.add_languages"
        )
