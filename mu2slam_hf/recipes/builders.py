# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recipe to processor, model and trainer."""

import importlib.util
import json
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import GenerationConfig, Trainer, set_seed
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.utils import logging

from mu2slam_hf.checkpoints.folders import check_model_type, load_processor
from mu2slam_hf.data.audio import AudioError, FloatArray, load_audio
from mu2slam_hf.data.examples.example import TASK_NAMES
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.sampling.phases import PhasedBatchSampler, PhasedCollator, PhasedDataset
from mu2slam_hf.evaluation.decode import build_requests, decode_requests
from mu2slam_hf.evaluation.metrics import compute_chrf, compute_wer
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMForConditionalGeneration
from mu2slam_hf.models.modeling_mu2slam_pretraining import Mu2SLAMForPreTraining
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMTokenizer
from mu2slam_hf.recipes.data_builders import (
    Records,
    asdict_objective,
    build_curriculum,
    build_development_sets,
    load_records,
    total_steps,
)
from mu2slam_hf.recipes.encoder_start import (
    EncoderStart,
    fit_processor,
    load_encoder_start,
    load_start_extractor,
    load_start_processor,
)
from mu2slam_hf.recipes.loader import RecipeError, errors_of
from mu2slam_hf.recipes.pretraining_schema import MixtureRecipe, PretrainingRecipe
from mu2slam_hf.recipes.schema import LoraSection, ModelSection, Recipe
from mu2slam_hf.training.arguments import MultitaskTrainingArguments
from mu2slam_hf.training.callbacks import ConsoleLines, ConsoleTable, EvaluateAtEnd, LogFile
from mu2slam_hf.training.decoder_noise import DecoderNoise
from mu2slam_hf.training.objectives import LossTable
from mu2slam_hf.training.trainer import MultitaskTrainer

logger = logging.get_logger(__name__)


AnyRecipe = Recipe | MixtureRecipe

# One of them may start from the encoder of the other.
_MSLAM_TYPES = ("mslam", "mslam_ctc")


def build_processor(recipe: AnyRecipe, records: Records, checkpoint: str | None = None) -> Mu2SLAMProcessor:
    """The processor: of the checkpoint that is resumed, of `init_from`, or trained on the training texts.

    Where the encoder is a trained one (`model.init_encoder_from`), so is the feature extractor.

    Args:
        recipe: the run.
        records: training records.
        checkpoint: folder of the checkpoint to resume.

    Raises:
        RecipeError: a folder without a processor.
    """
    section = recipe.processor
    folder = checkpoint or section.init_from or recipe.model.init_from
    if folder is not None:
        name = "output.dir" if checkpoint else "processor.init_from" if section.init_from else "model.init_from"
        with errors_of(name):
            saved = load_processor(folder)
        return saved if checkpoint else fit_processor(recipe.model, saved, folder)
    start = recipe.model.init_encoder_from
    processor = None if start is None else load_start_processor(start)
    if processor is not None:
        return processor
    texts = [
        text
        for name in sorted(records)
        for record in records[name]
        for text in (record.text, *record.translations.values())
        if text
    ]
    tokenizer = Mu2SLAMTokenizer.train_from_iterator(
        texts, vocab_size=section.vocab_size, kind=section.tokenizer, num_speech_tokens=section.num_speech_tokens
    )
    in_data = {lang for part in records.values() for record in part for lang in (record.lang, *record.translations)}
    languages = ["und", *(lang for lang in section.languages or sorted(in_data) if lang != "und")]
    extractor = _fit_feature_extractor(recipe, records) if start is None else load_start_extractor(start)
    return Mu2SLAMProcessor(extractor, tokenizer, languages=languages)


def _fit_feature_extractor(recipe: AnyRecipe, records: Records) -> Mu2SLAMFeatureExtractor:
    """Mean and deviation of each mel bin over a random choice of recordings, the same share of each corpus."""
    extractor = Mu2SLAMFeatureExtractor()
    wanted = recipe.processor.feature_statistics_utterances
    spoken = {name: [r for r in part if r.audio is not None] for name, part in records.items()}
    spoken = {name: part for name, part in spoken.items() if part}
    if wanted <= 0 or not spoken:
        return extractor
    generator = random.Random(recipe.training.seed)
    chosen = []
    for name in sorted(spoken):
        chosen += generator.sample(spoken[name], min(len(spoken[name]), max(1, wanted // len(spoken))))
    return extractor.fit_statistics(_load_readable(chosen), sampling_rate=16000)


def _load_readable(records: Iterable[SpeechTextRecord]) -> Iterator[FloatArray]:
    """Their audio; what cannot be read is named and left to the data set, which counts it.

    Raises:
        RecipeError: nothing at all could be read.
    """
    reasons = []
    num_read = 0
    for record in records:
        try:
            waveform = load_audio(record.audio)
        except AudioError as error:
            reasons.append(f"{record.key}: {error}")
            logger.warning(f"left out of the feature statistics: {reasons[-1]}")
            continue
        num_read += 1
        yield waveform
    if not num_read:
        raise RecipeError(f"processor.feature_statistics_utterances: no recording can be read; {reasons[-1]}")


def build_model(recipe: AnyRecipe, processor: Mu2SLAMProcessor) -> nn.Module:
    """The model in float32, with new weights or those of `init_from`, adapters included.

    A model of supervised training takes the weights of a pre-trained one, and the other way round.

    Raises:
        RecipeError: neither or both of `model.config` and `model.init_from`, or a vocabulary that does not fit.
    """
    pretraining = isinstance(recipe, PretrainingRecipe)
    model = build_model_of(
        recipe, processor, Mu2SLAMForPreTraining if pretraining else Mu2SLAMForConditionalGeneration
    )
    return add_adapters(recipe, model) if isinstance(recipe, Recipe) and recipe.lora is not None else model


def build_model_of(recipe: AnyRecipe, processor: Mu2SLAMProcessor, model_class: Any, **fixed: Any) -> nn.Module:
    """A model of any family in float32, with new weights, those of `init_from`, or a trained encoder.

    Args:
        recipe: the run.
        processor: its vocabulary and languages are those of a new model.
        model_class: class of the model; its `config_class` reads `model.config`.
        fixed: further values of a new model's configuration, which no override changes.

    Raises:
        RecipeError: as `build_model`.
    """
    section = recipe.model
    start = load_encoder_start(section)
    if start is None and (section.config is None) == (section.init_from is None):
        raise RecipeError(
            "model: give either config (new weights), init_from (trained weights) or init_encoder_from (a trained "
            "encoder; with config for the rest)"
        )
    set_seed(recipe.training.seed)
    config_class = model_class.config_class
    if section.init_from is not None:
        own = config_class.model_type
        with errors_of("model.init_from"):
            check_model_type(section.init_from, *(_MSLAM_TYPES if own in _MSLAM_TYPES else (own,)))
        config = _override_config(config_class.from_pretrained(section.init_from).to_dict(), section, config_class)
        model = model_class.from_pretrained(section.init_from, config=config, dtype=torch.float32)
        try:
            processor.check_config(model.config)
        except ValueError as error:
            raise RecipeError(f"model.init_from: {error} Leave processor.init_from out to use its own.") from error
    else:
        model = model_class(_build_config(recipe, processor, config_class, start, fixed))
    if start is not None:
        start.load_into(model, processor)
    set_generation(model, section)
    if section.attn_implementation is not None:
        model.set_attn_implementation(section.attn_implementation)
    for name, parameter in model.named_parameters():
        if any(name.startswith(prefix) for prefix in section.freeze):
            parameter.requires_grad_(False)
    return model


def set_generation(model: Any, section: ModelSection) -> None:
    """Write `model.generation` into the generation configuration that is saved with the model.

    Raises:
        RecipeError: a value that `generate` does not know or cannot take, or a model that does not write.
    """
    if not section.generation:
        return
    if not model.can_generate():
        raise RecipeError(f"model.generation: {type(model).__name__} does not generate; leave it out")
    known = {*GenerationConfig().to_dict(), "ctc_weight"}
    for name, value in section.generation.items():
        if name not in known:
            raise RecipeError(f"model.generation.{name}: generate has no such argument")
        if name == "ctc_weight" and not (isinstance(value, (int, float)) and 0 <= value <= 1):
            raise RecipeError(f"model.generation.ctc_weight: is a share between 0 and 1, got {value}")
        setattr(model.generation_config, name, value)
    with errors_of("model.generation"):
        model.generation_config.validate(strict=True)


def _build_config(
    recipe: AnyRecipe,
    processor: Mu2SLAMProcessor,
    config_class: Any,
    start: EncoderStart | None,
    fixed: dict[str, Any],
) -> Any:
    payload: dict[str, Any] = {}
    if recipe.model.config is not None:
        payload = json.loads(Path(recipe.model.config).read_text(encoding="utf-8"))
    if start is not None:
        start.fit_payload(payload, recipe.model.overrides, config_class)
    tokenizer = processor.tokenizer
    return _override_config(
        payload,
        recipe.model,
        config_class,
        vocab_size=len(tokenizer),
        speech_token_offset=tokenizer.speech_token_offset,
        num_speech_tokens=tokenizer.num_speech_tokens,
        text_token_offset=tokenizer.text_token_offset,
        languages=list(processor.languages),
        **fixed,
    )


def _override_config(payload: dict[str, Any], section: ModelSection, config_class: Any, **fixed: Any) -> Any:
    """The configuration of a payload with the recipe's overrides; `fixed` values win."""
    payload.pop("model_type", None)
    for name, value in section.overrides.items():
        *parents, last = name.split(".")
        node = payload
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = value
    payload.update(fixed)
    try:
        return config_class(**payload)
    except (TypeError, ValueError, StrictDataclassError) as error:
        source = section.config or section.init_from or section.init_encoder_from
        raise RecipeError(f"model.config: {source}: {error}") from error


def add_adapters(recipe: Recipe, model: nn.Module) -> nn.Module:
    """The model with low-rank adapters by peft; all other weights are frozen."""
    section = recipe.lora or LoraSection()
    config = LoraConfig(
        r=section.r,
        lora_alpha=section.alpha,
        lora_dropout=section.dropout,
        target_modules=section.target_modules,
        modules_to_save=section.modules_to_save or None,
    )
    with errors_of("lora.target_modules"):
        return get_peft_model(model, config)


def build_arguments(recipe: AnyRecipe) -> MultitaskTrainingArguments:
    """Training arguments of a recipe.

    Raises:
        RecipeError: nothing says how many updates there are.
    """
    training, optim = recipe.training, recipe.optim
    max_steps = total_steps(recipe) if isinstance(recipe, Recipe) else training.max_steps
    if max_steps is None:
        raise RecipeError("training.max_steps: is required")
    evaluate = training.eval_steps > 0 and bool(recipe.evaluation.corpora)
    tensorboard = training.tensorboard and importlib.util.find_spec("tensorboard") is not None
    return MultitaskTrainingArguments(
        output_dir=recipe.output.dir,
        max_steps=max_steps,
        seed=training.seed,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        dataloader_num_workers=training.dataloader_num_workers,
        bf16=training.bf16,
        use_cpu=training.use_cpu or not torch.cuda.is_available(),
        activation_checkpointing=training.activation_checkpointing,
        shard_parameters=training.shard_parameters,
        num_sharding_replicas=training.num_sharding_replicas,
        logging_steps=training.logging_steps,
        logging_nan_inf_filter=False,
        eval_strategy="steps" if evaluate else "no",
        eval_steps=training.eval_steps if evaluate else None,
        save_steps=training.save_steps,
        # At a limit of 1 the Trainer would delete the last checkpoint for the best one, and a restart train again.
        save_total_limit=max(training.save_total_limit, training.average_last, 2 if training.keep == "best" else 1),
        average_last=training.average_last,
        metric_for_best_model=training.best_metric if training.keep == "best" else None,
        greater_is_better=training.greater_is_better if training.keep == "best" else None,
        report_to=["tensorboard"] if tensorboard else "none",
        disable_tqdm=not training.progress_bar,
        remove_unused_columns=False,
        loss_weights=asdict_objective(recipe.objective),
        label_smoothing=recipe.objective.label_smoothing if isinstance(recipe, Recipe) else 0.0,
        optimizer=optim.optimizer,
        schedule=optim.schedule,
        learning_rate=optim.learning_rate,
        noam_factor=optim.noam_factor,
        num_warmup_steps=optim.warmup_steps,
        min_learning_rate_ratio=optim.min_learning_rate_ratio,
        weight_decay=optim.weight_decay,
        adam_beta1=optim.beta1,
        adam_beta2=optim.beta2,
        adam_epsilon=optim.epsilon,
        max_grad_norm=optim.max_grad_norm,
    )


def build_trainer(recipe: Recipe, processor: Mu2SLAMProcessor, model: Any, records: Records) -> MultitaskTrainer:
    """The trainer with its phases, development sets and console."""
    args = build_arguments(recipe)
    encoder_config = model.config.encoder_config
    phases = build_curriculum(recipe, records, processor, num_ranks=args.world_size, encoder_config=encoder_config)
    sampler = PhasedBatchSampler(
        phases,
        rank=args.process_index,
        num_ranks=args.world_size,
        batches_per_step=args.gradient_accumulation_steps,
    )
    development = load_records(recipe.evaluation.corpora, "evaluation.corpora")
    dataset, collator = PhasedDataset(phases), PhasedCollator(phases)
    trainer = MultitaskTrainer(
        model,
        args,
        table=LossTable.of_tasks(TASK_NAMES),
        train_dataset=dataset,
        train_batch_sampler=sampler,
        data_collator=collator,
        development_sets=build_development_sets(recipe, development, processor, encoder_config),
        development_metrics=_build_generation_metrics(recipe, development, processor),
        counters={
            "unreadable_recordings": lambda: dataset.datasets[0].failures.failures,
            "ctc_too_long": lambda: collator.num_ctc_too_long,
        },
        decoder_noise=DecoderNoise(model.config, recipe.decoder_noise, seed=recipe.training.seed),
        processing_class=processor,
        callbacks=[LogFile(), EvaluateAtEnd()],
    )
    use_own_console(trainer)
    return trainer


def use_own_console(trainer: Trainer) -> None:
    """Our lines and tables on the console instead of the Trainer's dictionaries."""
    trainer.remove_callback(ProgressCallback)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(ConsoleLines() if trainer.args.disable_tqdm else ConsoleTable())


def _build_generation_metrics(
    recipe: Recipe, records: Records, processor: Mu2SLAMProcessor
) -> Callable[[nn.Module], dict[str, float]] | None:
    """WER and chrF of generated text on a few development examples of each corpus and task."""
    section = recipe.evaluation
    if section.generate_examples <= 0 or not section.corpora:
        return None
    chosen = {}
    for name, corpus in section.corpora.items():
        for task in corpus.tasks:
            requests = build_requests(records[name], [task])
            count = min(len(requests), section.generate_examples)
            chosen[name, task] = [requests[len(requests) * i // count] for i in range(count)]

    def measure(model: nn.Module) -> dict[str, float]:
        figures = {}
        for (name, task), requests in chosen.items():
            hypotheses = decode_requests(requests, model, processor, progress=False, **section.generate)
            references, texts = [h.reference for h in hypotheses], [h.hypothesis for h in hypotheses]
            prefix = task if len(section.corpora) == 1 else f"{name}_{task}"
            if task == "asr":
                figures[f"{prefix}_wer"] = compute_wer(references, texts).value
            else:
                figures[f"{prefix}_chrf"] = compute_chrf(references, texts).value
        return figures

    return measure
