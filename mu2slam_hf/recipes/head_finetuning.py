# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Fine-tuning of one head on an mSLAM encoder: classes of speech or text, or CTC."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from transformers.utils import logging

from mu2slam_hf.data.audio import AudioCache
from mu2slam_hf.data.collation.heads import HeadCollator
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.examples.example import Example, Modality, Target
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.sampling.shuffled import ShuffledBatchSampler
from mu2slam_hf.evaluation.head_evaluation import measure_head
from mu2slam_hf.models.modeling_mslam import MSLAMForAudioClassification, MSLAMForCTC, MSLAMForSequenceClassification
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMCTCTokenizer, Mu2SLAMTokenizer
from mu2slam_hf.recipes.arguments import build_arguments
from mu2slam_hf.recipes.development import score_transcripts
from mu2slam_hf.recipes.head_sections import HeadCorpusSection, HeadRecipe
from mu2slam_hf.recipes.loader import RecipeError, errors_of
from mu2slam_hf.recipes.models import build_model_of
from mu2slam_hf.recipes.processors import build_processor
from mu2slam_hf.recipes.records import load_records
from mu2slam_hf.recipes.run import Run, assemble_trainer
from mu2slam_hf.training.development import DevelopmentSet
from mu2slam_hf.training.objectives.heads import ClassificationObjective, CTCObjective
from mu2slam_hf.training.scorers import ClassScorer, TranscriptScorer
from mu2slam_hf.training.trainer import MultitaskTrainer

logger = logging.get_logger(__name__)

MODEL_CLASSES: dict[str, Any] = {
    "audio_classification": MSLAMForAudioClassification,
    "sequence_classification": MSLAMForSequenceClassification,
    "ctc": MSLAMForCTC,
}


def load_head_records(corpora: dict[str, HeadCorpusSection], path: str) -> dict[str, list[SpeechTextRecord]]:
    """Records of each corpus that have the source of its modality, in its languages.

    Raises:
        RecipeError: a corpus has no such record.
    """
    chosen = {}
    for name, records in load_records(corpora, path).items():
        section = corpora[name]
        source = "audio" if section.modality == "speech" else "text"
        wanted = set(section.languages)
        chosen[name] = [r for r in records if getattr(r, source) and (not wanted or r.lang in wanted)]
        if not chosen[name]:
            raise RecipeError(f"{path}.{name}: no record with {source} in the selected languages")
    return chosen


def label_of(record: SpeechTextRecord, name: str) -> str | None:
    """The class of a record: a field of it, or another column of its manifest; None if it has none."""
    value = getattr(record, name) if name in ("lang", "speaker", "kind", "corpus") else record.extra.get(name)
    return None if value is None or value == "" else str(value)


def find_labels(recipe: HeadRecipe, records: dict[str, list[SpeechTextRecord]]) -> list[str]:
    """Names of the classes; none for CTC.

    Raises:
        RecipeError: the training data have fewer than two classes.
    """
    if recipe.head.kind == "ctc":
        return []
    found = {label_of(record, recipe.head.label) for part in records.values() for record in part} - {None}
    labels = list(recipe.head.labels) or sorted(str(label) for label in found)
    if len(labels) < 2:
        raise RecipeError(f"head.label: expected at least two classes; {recipe.head.label!r} has {labels}")
    return labels


def build_head_dataset(
    recipe: HeadRecipe, records: Sequence[SpeechTextRecord], modality: Modality, labels: Sequence[str], path: str
) -> ExampleDataset:
    """Records with a class or a transcript; others are left out and counted.

    Raises:
        RecipeError: no record has one.
    """
    head, known = recipe.head, set(labels)
    examples = []
    for record in records:
        text = record.text if head.kind == "ctc" else label_of(record, head.label)
        if text and (head.kind == "ctc" or text in known):
            examples.append(build_head_example(record, modality, "asr" if head.kind == "ctc" else head.kind, text))
    if len(examples) < len(records):
        left_out = len(records) - len(examples)
        logger.warning(f"{path}: {left_out} of {len(records)} left out: without a class or transcript")
    if not examples:
        raise RecipeError(f"{path}: no record has a transcript or one of the classes {', '.join(labels)}")
    cache = AudioCache() if recipe.data.cache_audio else None
    return ExampleDataset(examples, cache=cache, band_limit_hz=recipe.data.band_limit_hz)


def build_head_example(record: SpeechTextRecord, modality: Modality, task: str, text: str) -> Example:
    """A recording or a text with one target: its transcript, or the name of its class."""
    is_speech = modality == "speech"
    return Example(
        id=record.key,
        source_modality=modality,
        source_lang=record.lang,
        targets=(Target(task=task, lang=record.lang, text=text, num_tokens=len(text) + 1),),
        corpus=record.corpus,
        record=record,
        source_text=None if is_speech else record.text,
        duration_seconds=float(record.duration_seconds or 0.0) if is_speech else 0.0,
    )


def build_training_data(
    recipe: HeadRecipe, records: dict[str, list[SpeechTextRecord]], labels: Sequence[str]
) -> ExampleDataset:
    """All training corpora as one data set.

    Raises:
        RecipeError: corpora of different modalities, or a modality that the head cannot read.
    """
    modalities = {section.modality for section in recipe.data.corpora.values()}
    if len(modalities) != 1:
        raise RecipeError(f"data.corpora: all must have one modality, got {', '.join(sorted(modalities)) or 'none'}")
    (modality,) = modalities
    everything = [record for part in records.values() for record in part]
    return build_head_dataset(recipe, everything, modality, labels, "data.corpora")


def balance_classes(targets: Sequence[Any]) -> list[int]:
    """Positions with repetitions, so that all classes have the same number of items as the largest."""
    largest = max(Counter(targets).values())
    balanced: list[int] = []
    for target in sorted(set(targets)):
        members = [position for position, other in enumerate(targets) if other == target]
        balanced += [members[i % len(members)] for i in range(largest)]
    return balanced


@dataclass(frozen=True)
class HeadData:
    """Training and test data of a head.

    Attributes:
        records: records of each training corpus.
        tested: records of each test corpus.
        labels: names of the classes, none for CTC.
    """

    records: dict[str, list[SpeechTextRecord]]
    tested: dict[str, list[SpeechTextRecord]]
    labels: list[str]


class HeadFinetuningRun(Run):
    """Fine-tuning of a head, with tables and plots of its errors.

    The final folder has, next to the model, `results.json` (`<corpus>_accuracy` and `<corpus>_macro_f1`, or
    `<corpus>_wer` and `<corpus>_cer`, in percent). For each test corpus, the confusion matrix of a classifier is in
    `confusion_<name>.txt`, `.json` and, if matplotlib is installed, `.png`; CTC has `transcripts_<name>.tsv`.
    """

    recipe_class = HeadRecipe
    recipe: HeadRecipe

    def load_data(self) -> HeadData:
        """Records of all corpora, and the classes."""
        records = load_head_records(self.recipe.data.corpora, "data.corpora")
        tested = load_head_records(self.recipe.evaluation.corpora, "evaluation.corpora")
        return HeadData(records, tested, find_labels(self.recipe, records))

    def build_processor(self, data: HeadData) -> Mu2SLAMProcessor:
        """The processor of the encoder; for CTC its tokenizer collapses repeats.

        Raises:
            RecipeError: neither the recipe nor the model has one.
        """
        recipe = self.recipe
        if not (self.checkpoint or recipe.processor.init_from or recipe.model.init_from):
            raise RecipeError("processor.init_from: is required without model.init_from")
        # The texts of a classifier are classes, or sources whose unknown characters do no harm.
        records = data.records if recipe.head.kind == "ctc" else {}
        processor = build_processor(recipe, records, self.checkpoint, self.growths)
        if recipe.head.kind != "ctc" or isinstance(processor.tokenizer, Mu2SLAMCTCTokenizer):
            return processor
        tokenizer = Mu2SLAMCTCTokenizer.from_tokenizer(processor.tokenizer)
        return Mu2SLAMProcessor(processor.feature_extractor, tokenizer, languages=processor.languages)

    def build_model(self, processor: Mu2SLAMProcessor, data: Any = None) -> Any:
        """The encoder with its head in float32; layers are frozen by `head.trainable_layers`.

        Raises:
            RecipeError: as `build_model_of`; a head that does not support the modality; or too few layers.
        """
        recipe, section = self.recipe, self.recipe.head
        if section.kind != "sequence_classification":
            for path, corpora in (("data", recipe.data.corpora), ("evaluation", recipe.evaluation.corpora)):
                texts = [name for name, corpus in corpora.items() if corpus.modality == "text"]
                if texts:
                    raise RecipeError(f"{path}.corpora.{texts[0]}.modality: {section.kind} supports speech only")
        overrides = dict(recipe.model.overrides)
        if data.labels:
            overrides["id2label"] = dict(enumerate(data.labels))
            overrides["label2id"] = {label: number for number, label in enumerate(data.labels)}
        start = self.model_recipe
        with_labels = replace(start, model=replace(start.model, overrides=overrides))
        model: Any = build_model_of(with_labels, processor, MODEL_CLASSES[section.kind], growths=self.growths)
        if section.trainable_layers is not None:
            with errors_of("head.trainable_layers"):
                model.freeze_encoder(section.trainable_layers)
            # The token embeddings are part of the encoder, but also the output layer of CTC.
            if section.kind == "ctc":
                model.ctc_head.requires_grad_(True)
        return model

    def build_collator(self, processor: Mu2SLAMProcessor, model: Any) -> HeadCollator:
        """The collator for the front end of the model, and for the classes of a classifier."""
        names = model.config.id2label
        labels = None if self.recipe.head.kind == "ctc" else [names[number] for number in range(len(names))]
        return HeadCollator(processor, labels=labels, encoder_config=model.config.encoder_config)

    def build_trainer(self, processor: Mu2SLAMProcessor, model: Any, data: HeadData) -> MultitaskTrainer:
        """The trainer with its data in random order, and with balanced classes if `data.balance` is set."""
        recipe, corpora = self.recipe, self.recipe.evaluation.corpora
        development = {
            name: build_head_dataset(recipe, part, corpora[name].modality, data.labels, f"evaluation.corpora.{name}")
            for name, part in data.tested.items()
        }
        dataset = build_training_data(recipe, data.records, data.labels)
        return self.build_trainer_of(processor, model, dataset, development)

    def build_trainer_of(
        self,
        processor: Mu2SLAMProcessor,
        model: Any,
        dataset: ExampleDataset,
        development: dict[str, ExampleDataset],
    ) -> MultitaskTrainer:
        """The trainer of a data set; `development` is evaluated during training, by name."""
        recipe, args, self.development = self.recipe, build_arguments(self.recipe), development
        is_ctc, collator = recipe.head.kind == "ctc", self.build_collator(processor, model)
        positions = None
        if recipe.data.balance and collator.label2id is not None:
            positions = balance_classes([collator.label2id[e.targets[0].text] for e in dataset.examples])
        scorer = build_scorer(processor, model.config) if is_ctc else ClassScorer()
        size = recipe.evaluation.per_device_eval_batch_size
        return assemble_trainer(
            model,
            args,
            processor,
            objective=CTCObjective(model) if is_ctc else ClassificationObjective(model),
            dataset=dataset,
            sampler=ShuffledBatchSampler(
                dataset.examples,
                recipe.data.per_device_train_batch_size,
                positions=positions,
                seed=args.seed,
                **args.place,
            ),
            collator=collator,
            development_sets={
                name: DevelopmentSet(
                    dataset=part,
                    batches=[list(range(len(part)))[start : start + size] for start in range(0, len(part), size)],
                    collator=self.build_collator(processor, model),
                    scorer=scorer,
                )
                for name, part in development.items()
            },
            name_every_set=True,
        )

    def measure(self, trainer: MultitaskTrainer, *, has_other_weights: bool) -> dict[str, float]:
        """Nothing: `test` measures the chosen weights."""
        return {}

    def test(self, model: Any, processor: Mu2SLAMProcessor) -> dict[str, float]:
        """Metrics of every test corpus; the reports are kept for `save_more`."""
        collator, batch_size = self.build_collator(processor, model), self.recipe.evaluation.per_device_eval_batch_size
        self.reports = {
            name: measure_head(model, processor, dataset, collator, batch_size=batch_size)
            for name, dataset in self.development.items()
        }
        reports = self.reports.items()
        return {f"{name}_{key}": value for name, report in reports for key, value in report.figures.items()}

    def save_more(self, model: Any, processor: Mu2SLAMProcessor, folder: Path) -> None:
        """Tables and plots of the test."""
        for name, report in self.reports.items():
            report.save(name, folder)


def build_scorer(processor: Mu2SLAMProcessor, config: Any) -> TranscriptScorer:
    """Scorer of error rates of CTC transcripts; it collapses repeats, the tokenizer does not."""
    tokenizer = Mu2SLAMTokenizer.from_backend(processor.tokenizer.backend_tokenizer)
    decode = partial(tokenizer.batch_decode, skip_special_tokens=True)
    return TranscriptScorer(decode=decode, compare=score_transcripts, config=config, logits="logits", labels="labels")
