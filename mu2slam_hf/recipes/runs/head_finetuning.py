# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Fine-tuning of one head: classes of speech or text, transcripts, or answers to questions."""

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from mu2slam_hf.checkpoints.folders import read_config
from mu2slam_hf.data.audio import SAMPLING_RATE
from mu2slam_hf.data.augmentation import SpecAugment
from mu2slam_hf.data.collation.heads import HeadCollator
from mu2slam_hf.data.collation.questions import QuestionCollator
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.sampling.shuffled import ShuffledBatchSampler
from mu2slam_hf.evaluation.tasks.heads import HeadReport, measure_head, score_bag_of_words
from mu2slam_hf.evaluation.tasks.question_answering import AnswerReport, answer_questions
from mu2slam_hf.models.modeling_mslam import (
    MSLAMForAudioClassification,
    MSLAMForCTC,
    MSLAMForQuestionAnswering,
    MSLAMForSequenceClassification,
)
from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMForConditionalGeneration, Mu2SLAMForCTC
from mu2slam_hf.models.modeling_mu2slam_understanding import (
    Mu2SLAMForQuestionAnswering,
    Mu2SLAMForSequenceClassification,
)
from mu2slam_hf.models.modeling_transducer import MSLAMForRNNT, Mu2SLAMForRNNT
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMCTCTokenizer, Mu2SLAMTokenizer, Mu2SLAMTransducerTokenizer
from mu2slam_hf.recipes.data.head_data import (
    balance_classes,
    build_head_dataset,
    build_question_dataset,
    build_training_data,
    check_modalities,
    find_labels,
    load_head_records,
)
from mu2slam_hf.recipes.runs.development import score_transcripts
from mu2slam_hf.recipes.runs.models import add_adapters, build_model_of
from mu2slam_hf.recipes.runs.processors import build_processor
from mu2slam_hf.recipes.runs.run import Run, assemble_trainer, build_arguments
from mu2slam_hf.recipes.schema.head import HeadRecipe
from mu2slam_hf.recipes.schema.loader import RecipeError, errors_of
from mu2slam_hf.training.development import DevelopmentSet
from mu2slam_hf.training.objectives.heads import (
    AnswerGenerationObjective,
    ClassificationObjective,
    CTCObjective,
    HeadObjective,
    SpanObjective,
    TransducerObjective,
)
from mu2slam_hf.training.scorers import ClassScorer, Scorer, SpanScorer, TranscriptScorer
from mu2slam_hf.training.trainer import MultitaskTrainer

MODEL_CLASSES: dict[str, dict[str, Any]] = {
    "mslam": {
        "audio_classification": MSLAMForAudioClassification,
        "sequence_classification": MSLAMForSequenceClassification,
        "ctc": MSLAMForCTC,
        "rnnt": MSLAMForRNNT,
        "question_answering": MSLAMForQuestionAnswering,
    },
    "mu2slam": {
        "ctc": Mu2SLAMForCTC,
        "rnnt": Mu2SLAMForRNNT,
        "sequence_classification": Mu2SLAMForSequenceClassification,
        "question_answering": Mu2SLAMForQuestionAnswering,
        "answer_generation": Mu2SLAMForConditionalGeneration,
    },
}
"""Family of the model -> kind of the head -> class."""

_TOKENIZERS: dict[str, type[Mu2SLAMTokenizer]] = {"ctc": Mu2SLAMCTCTokenizer, "rnnt": Mu2SLAMTransducerTokenizer}
"""Kind of a head that writes transcripts -> class of its tokenizer."""


_HEADS_OF_SPEECH = ("audio_classification", "ctc", "rnnt")


def find_model_class(recipe: HeadRecipe) -> Any:
    """The class of the head for the family of `model.init_from` or `model.config`; an mSLAM if neither names one.

    Raises:
        RecipeError: the family has no such head.
    """
    section = recipe.model
    name = "mslam"
    if section.init_from is not None:
        with errors_of("model.init_from"):
            name = str(read_config(section.init_from).get("model_type"))
    elif section.config is not None:
        name = str(json.loads(Path(section.config).read_text(encoding="utf-8")).get("model_type", name))
    family = "mu2slam" if name.startswith("mu2slam") else "mslam"
    classes = MODEL_CLASSES[family]
    if name == "maestro" and recipe.head.kind not in _HEADS_OF_SPEECH:
        raise RecipeError(
            f"head.kind: the heads of a Maestro are those of speech, {', '.join(_HEADS_OF_SPEECH)}; got "
            f"{recipe.head.kind!r}"
        )
    if recipe.head.kind not in classes:
        raise RecipeError(f"head.kind: a {family} has the heads {', '.join(classes)}; got {recipe.head.kind!r}")
    return classes[recipe.head.kind]


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

    The final folder has, next to the model, `results.json`, in percent: `<corpus>_accuracy` and `<corpus>_macro_f1`,
    `<corpus>_wer` and `<corpus>_cer`, or `<corpus>_f1` and `<corpus>_exact_match`; for several languages also by
    language (`<corpus>_accuracy_es`); for classes of texts also `..._bag_of_words`, for answers `..._best_sentence`,
    the figures of a baseline. For each test corpus, the confusion matrix of a classifier is in
    `confusion_<name>.txt`, `.json` and, if matplotlib is installed, `.png`; CTC has `transcripts_<name>.tsv`, answers
    have `answers_<name>.tsv`.
    """

    recipe_class = HeadRecipe
    recipe: HeadRecipe

    def load_data(self) -> HeadData:
        """Records of all corpora, and the classes.

        Raises:
            RecipeError: the family of the model has no such head, or the head does not support the modality.
        """
        find_model_class(self.recipe)
        check_modalities(self.recipe)
        records = load_head_records(self.recipe.data.corpora, "data.corpora")
        tested = load_head_records(self.recipe.evaluation.corpora, "evaluation.corpora")
        return HeadData(records, tested, find_labels(self.recipe, records))

    def build_processor(self, data: HeadData) -> Mu2SLAMProcessor:
        """The processor of the encoder, for transcripts with the tokenizer of the head: that of CTC collapses repeats.

        A speech encoder of another format (`model.init_encoder_from`) has no tokenizer: for transcripts a new one is
        trained on them.

        Raises:
            RecipeError: neither the recipe nor the model has one.
        """
        recipe = self.recipe
        is_new = recipe.head.writes_transcripts and recipe.model.init_from is None
        if not (self.checkpoint or recipe.processor.init_from or recipe.model.init_from or is_new):
            raise RecipeError("processor.init_from: is required without model.init_from")
        # The texts of a classifier are classes, or sources whose unknown characters do no harm.
        records = data.records if recipe.head.writes_transcripts else {}
        processor = build_processor(recipe, records, self.checkpoint, self.growths)
        tokenizer_class = _TOKENIZERS.get(recipe.head.kind)
        if tokenizer_class is None or type(processor.tokenizer) is tokenizer_class:
            return processor
        tokenizer = tokenizer_class.from_backend(processor.tokenizer.backend_tokenizer)
        return Mu2SLAMProcessor(processor.feature_extractor, tokenizer, languages=processor.languages)

    def build_model(self, processor: Mu2SLAMProcessor, data: Any = None) -> Any:
        """The encoder with its head in float32; layers are frozen by `head.trainable_layers`.

        Raises:
            RecipeError: as `build_model_of`, too few layers, or CTC alone with a tokenizer of bytes.
        """
        recipe, section = self.recipe, self.recipe.head
        model_class = find_model_class(recipe)
        overrides = dict(recipe.model.overrides)
        if data.labels:
            overrides["id2label"] = dict(enumerate(data.labels))
            overrides["label2id"] = {label: number for number, label in enumerate(data.labels)}
        if section.ctc_weight is not None:
            overrides["transducer_config.ctc_loss_weight"] = section.ctc_weight
        start = self.model_recipe
        with_labels = replace(start, model=replace(start.model, overrides=overrides))
        model: Any = build_model_of(with_labels, processor, model_class, growths=self.growths)
        if section.kind == "ctc" and processor.tokenizer.has_bytes:
            records = [record for part in data.records.values() for record in part]
            raise RecipeError(_describe_bytes(records, SAMPLING_RATE / model.config.inputs_to_logits_ratio))
        if section.trainable_layers is not None:
            if not hasattr(model, "freeze_encoder"):
                raise RecipeError(f"head.trainable_layers: is not supported by {section.kind}; use model.freeze")
            with errors_of("head.trainable_layers"):
                model.freeze_encoder(section.trainable_layers)
            # The token embeddings are part of the encoder, but also the output layer of CTC.
            if section.writes_transcripts:
                model.ctc_head.requires_grad_(True)
        if recipe.lora is None:
            return model
        # What is new has no weights to adapt. The output layers of CTC and decoder are not: they are the embeddings.
        is_new = section.is_classifier or section.kind in ("question_answering", "rnnt")
        new = [name for name, _ in model.named_children() if is_new and name != model.base_model_prefix]
        lora = replace(recipe.lora, modules_to_save=[*dict.fromkeys([*recipe.lora.modules_to_save, *new])])
        return add_adapters(lora, model, processor, growths=self.growths)

    def build_collator(
        self, processor: Mu2SLAMProcessor, model: Any, spec_augment: SpecAugment | None = None
    ) -> HeadCollator | QuestionCollator:
        """The collator for the front end of the model, and for the targets of the head; without masks by default."""
        head, names = self.recipe.head, model.config.id2label
        if head.answers_questions:
            generates = head.kind == "answer_generation"
            encoder_config = model.config.encoder_config
            return QuestionCollator(
                processor, generates=generates, max_tokens=head.max_tokens, encoder_config=encoder_config
            )
        labels = [names[number] for number in range(len(names))] if head.is_classifier else None
        # CTC needs a frame for every label; a transducer does not.
        limit = model.config.transducer_config.max_symbols_per_frame if head.kind == "rnnt" else None
        return HeadCollator(
            processor,
            labels=labels,
            max_symbols_per_frame=limit,
            encoder_config=model.config.encoder_config,
            spec_augment=spec_augment,
        )

    def build_trainer(self, processor: Mu2SLAMProcessor, model: Any, data: HeadData) -> MultitaskTrainer:
        """The trainer with its data in random order, and with balanced classes if `data.balance` is set."""
        recipe, corpora = self.recipe, self.recipe.evaluation.corpora
        tokenizer, development = processor.tokenizer, {}
        for name, part in data.tested.items():
            path = f"evaluation.corpora.{name}"
            if recipe.head.answers_questions:
                development[name] = build_question_dataset(recipe, part, tokenizer, path)
            else:
                development[name] = build_head_dataset(recipe, part, corpora[name].modality, data.labels, path)
        dataset = build_training_data(recipe, data.records, data.labels, tokenizer)
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
        masks = recipe.data.spec_augment
        spec_augment = None if masks is None else SpecAugment(masks, seed=recipe.training.seed)
        self.training, collator = dataset, self.build_collator(processor, model, spec_augment)
        positions = None
        if recipe.data.balance and isinstance(collator, HeadCollator) and collator.label2id is not None:
            positions = balance_classes([collator.label2id[e.targets[0].text] for e in dataset.examples])
        scorer = build_scorer(recipe.head.kind, processor, model.config)
        size = recipe.evaluation.per_device_eval_batch_size
        return assemble_trainer(
            model,
            args,
            processor,
            objective=OBJECTIVES.get(recipe.head.kind, ClassificationObjective)(model),
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
        """Metrics of every test corpus; the reports are kept for `save_extra_files`."""
        if self.recipe.lora is not None:
            # Merging changes the model in place, and the adapters are saved too.
            self.adapted, model = model, copy.deepcopy(model).merge_and_unload()
            self.merged = model
        self.reports: dict[str, HeadReport | AnswerReport] = {}
        figures: dict[str, float] = {}
        for name, dataset in self.development.items():
            self.reports[name], metrics = self._test(model, processor, dataset)
            figures |= {f"{name}_{key}": value for key, value in metrics.items()}
        return figures

    def _test(
        self, model: Any, processor: Mu2SLAMProcessor, dataset: ExampleDataset
    ) -> tuple[HeadReport | AnswerReport, dict[str, float]]:
        """Report of a test corpus, and its figures with those of a baseline."""
        head, collator = self.recipe.head, self.build_collator(processor, model)
        if not isinstance(collator, HeadCollator):
            records = {example.record.key: example.record for example in dataset.examples if example.record}
            options: dict[str, Any] = {"max_tokens": head.max_tokens, "overlap_tokens": head.overlap_tokens}
            answered = answer_questions(model, processor.tokenizer, list(records.values()), **options)
            report = AnswerReport(answered=answered)
            return report, report.figures
        size = self.recipe.evaluation.per_device_eval_batch_size
        measured = measure_head(model, processor, dataset, collator, batch_size=size)
        training = self.training.examples
        is_text = head.is_classifier and {e.source_modality for e in (*training, *dataset.examples)} == {"text"}
        has_classes = len({example.targets[0].text for example in training}) > 1
        baseline = score_bag_of_words(training, dataset.examples) if is_text and has_classes else {}
        return measured, measured.figures | baseline

    def save_final(self, model: Any, processor: Mu2SLAMProcessor, results: dict[str, float]) -> Path:
        """As in the base class; of adapters, the merged model that `test` has measured."""
        return super().save_final(self.merged if self.recipe.lora is not None else model, processor, results)

    def save_extra_files(self, model: Any, processor: Mu2SLAMProcessor, folder: Path) -> None:
        """Tables and plots of the test, and the adapters alone, if the recipe has `lora`."""
        if self.recipe.lora is not None:
            self.adapted.save_pretrained(folder / "adapters")
        for name, report in self.reports.items():
            report.save(name, folder)


def _describe_bytes(records: Sequence[SpeechTextRecord], frames_per_second: float) -> str:
    """Why CTC alone is refused for bytes, with the figures of the training data."""
    spoken = [record for record in records if record.text and record.duration_seconds]
    num_bytes = sum(len(record.text.encode()) for record in spoken if record.text)
    seconds = sum(record.duration_seconds or 0.0 for record in spoken)
    return (
        "head.kind: CTC needs a frame for every byte and treats the bytes of a character as independent; the training "
        f"data have {num_bytes / max(seconds, 1e-9):.1f} bytes per second, the encoder {frames_per_second:.1f} "
        "frames. Use head.kind: rnnt, or a tokenizer of characters"
    )


OBJECTIVES: dict[str, type[HeadObjective]] = {
    "ctc": CTCObjective,
    "rnnt": TransducerObjective,
    "question_answering": SpanObjective,
    "answer_generation": AnswerGenerationObjective,
}
"""Kind of the head -> objective; all others are classifiers."""


def build_scorer(kind: str, processor: Mu2SLAMProcessor, config: Any) -> Scorer | None:
    """Scorer of a kind of head during training; written answers have their loss only.

    That of CTC transcripts collapses repeats, the tokenizer does not.
    """
    if kind not in _TOKENIZERS:
        return {"question_answering": SpanScorer(), "answer_generation": None}.get(kind, ClassScorer())
    tokenizer = Mu2SLAMTokenizer.from_backend(processor.tokenizer.backend_tokenizer)
    decode = partial(tokenizer.batch_decode, skip_special_tokens=True)
    return TranscriptScorer(decode=decode, compare=score_transcripts, config=config, logits="logits", labels="labels")
