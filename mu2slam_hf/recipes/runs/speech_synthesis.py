# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training of a speech synthesizer on the speech ids of recordings, which are computed once before it."""

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import set_seed

from mu2slam_hf.checkpoints.folders import check_model_type
from mu2slam_hf.data.audio import AudioCache
from mu2slam_hf.data.collation.synthesis import SynthesisCollator
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.examples.draws import DrawOptions
from mu2slam_hf.data.examples.example import Example
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.sampling.shuffled import ShuffledBatchSampler
from mu2slam_hf.models.configuration_speech_synthesizer import SpeechSynthesizerConfig
from mu2slam_hf.models.language_codes import UNDETERMINED
from mu2slam_hf.models.modeling_speech_synthesizer import SpeechSynthesizerModel
from mu2slam_hf.models.processing_speech_output import SpeechSynthesizerProcessor
from mu2slam_hf.quantization.speech_id_tables import SpeechIdTable
from mu2slam_hf.quantization.tokenizer_loading import load_with_extractor
from mu2slam_hf.recipes.data.head_data import label_of
from mu2slam_hf.recipes.data.records import Records, load_records
from mu2slam_hf.recipes.runs.models import override_config, select_trained
from mu2slam_hf.recipes.runs.run import Run, assemble_trainer, build_arguments
from mu2slam_hf.recipes.schema.data import CorpusSource
from mu2slam_hf.recipes.schema.loader import RecipeError, errors_of
from mu2slam_hf.recipes.schema.speech_synthesis import SpeechSynthesisRecipe
from mu2slam_hf.training.development import DevelopmentSet
from mu2slam_hf.training.objectives.synthesis import SynthesisObjective
from mu2slam_hf.training.trainer import MultitaskTrainer

# Settings of the feature extractor that say how a log-mel frame is computed.
_FEATURES = (
    *("feature_size", "sampling_rate", "hop_length", "win_length", "n_fft"),
    *("min_frequency", "max_frequency", "mel_floor", "mean", "std"),
)


def load_recordings(corpora: dict[str, CorpusSource], path: str) -> Records:
    """The records with audio of each corpus."""
    loaded = load_records(corpora, path)
    return {name: [record for record in records if record.audio is not None] for name, records in loaded.items()}


class SpeechSynthesisRun(Run):
    """Training of `SpeechSynthesizerModel` on crops of recordings."""

    recipe_class = SpeechSynthesisRecipe
    recipe: SpeechSynthesisRecipe

    def load_data(self) -> Records:
        """Recordings of all corpora.

        Raises:
            RecipeError: there are none, or no speech tokenizer.
        """
        if self.recipe.speech_tokenizer is None and self.recipe.model.init_from is None:
            raise RecipeError(
                "speech_tokenizer: is required, because sound is made of its ids; train one by `mu2slam train "
                "--recipe speech_tokenizer/kmeans_encoder`"
            )
        return load_recordings(self.recipe.data.corpora, "data.corpora")

    def build_processor(self, data: Records) -> Any:
        """The processor: of the checkpoint that is resumed, of the trained synthesizer, or of the speech tokenizer."""
        source = self.checkpoint or (None if self.recipe.speech_tokenizer else self.recipe.model.init_from)
        if source is not None:
            return SpeechSynthesizerProcessor.from_pretrained(source)
        with errors_of("speech_tokenizer"):
            tokenizer, extractor = load_with_extractor(self.recipe.speech_tokenizer or "")
        return SpeechSynthesizerProcessor(extractor, tokenizer)

    def build_model(self, processor: Any, data: Records | None = None) -> Any:
        """The synthesizer in float32, for the languages and voices of the data.

        Raises:
            RecipeError: values from which none can be built, or a codebook of another size.
        """
        recipe, section = self.recipe, self.recipe.model
        set_seed(recipe.training.seed)
        size = processor.speech_tokenizer.config.num_codevectors_per_group
        model: Any
        if section.init_from is not None:
            with errors_of("model.init_from"):
                check_model_type(section.init_from, SpeechSynthesizerConfig.model_type)
            payload = SpeechSynthesizerConfig.from_pretrained(section.init_from).to_dict()
            config = override_config(payload, section, SpeechSynthesizerConfig)
            model = SpeechSynthesizerModel.from_pretrained(section.init_from, config=config, dtype=torch.float32)
            if model.config.num_speech_tokens != size:
                raise RecipeError(
                    f"speech_tokenizer: has {size} entries, the synthesizer {model.config.num_speech_tokens}"
                )
        else:
            payload = {} if section.config is None else json.loads(Path(section.config).read_text(encoding="utf-8"))
            extractor = processor.feature_extractor
            features = {name: getattr(extractor, name) for name in _FEATURES}
            voices = self._find_voices(data or {})
            fixed = {"num_speech_tokens": size, "features": features, **voices}
            model = SpeechSynthesizerModel(override_config(payload, section, SpeechSynthesizerConfig, **fixed))
        if section.attn_implementation is not None:
            model.set_attn_implementation(section.attn_implementation)
        if (recipe.objective.stft > 0) != (model.vocoder is not None):
            raise RecipeError(
                f"objective.stft: must be above 0 for a vocoder with weights, and 0 for griffin_lim; got "
                f"{recipe.objective.stft} for {model.config.vocoder}"
            )
        select_trained(model, section.freeze, section.train_only)
        return model

    def _find_voices(self, data: Records) -> dict[str, Any]:
        """Languages and voices of the data, and the voice of each language with most recordings."""
        records = [record for part in data.values() for record in part]
        counts = Counter((record.lang, self._speaker_of(record)) for record in records)
        usual: dict[str, str] = {}
        for (lang, speaker), _ in sorted(counts.items(), key=lambda item: (-item[1], str(item[0]))):
            if speaker is not None:
                usual.setdefault(lang, speaker)
        return {
            "languages": [UNDETERMINED, *sorted({record.lang for record in records} - {UNDETERMINED})],
            "speakers": [UNDETERMINED, *sorted({speaker for _, speaker in counts if speaker is not None})],
            "default_speakers": usual,
        }

    def _speaker_of(self, record: SpeechTextRecord) -> str | None:
        """Voice of a record, None if it has no name."""
        return None if self.recipe.data.speakers == "none" else label_of(record, self.recipe.data.speakers)

    def build_collator(self, processor: Any, model: Any, *, crop_ids: int | None = None) -> SynthesisCollator:
        """The collator, for whole recordings or for crops of `crop_ids`."""
        return SynthesisCollator(
            processor,
            model.config,
            find_ids=self.speech_ids.find,
            find_speaker=self._speaker_of,
            crop_ids=crop_ids,
            seed=self.recipe.training.seed,
        )

    def build_trainer(self, processor: Any, model: Any, data: Records) -> MultitaskTrainer:
        """The trainer; first the recordings are tokenized, by the first process.

        Raises:
            RecipeError: too many recordings cannot be read, there is none, or the development data have a language
                that the training data do not have.
        """
        recipe, args = self.recipe, build_arguments(self.recipe)
        development = load_recordings(recipe.evaluation.corpora, "evaluation.corpora")
        records = [record for part in (*data.values(), *development.values()) for record in part]
        if not any(data.values()):
            raise RecipeError("data.corpora: none has recordings")
        folder = recipe.data.speech_ids or str(Path(recipe.output.dir) / "speech_ids")
        with args.main_process_first(local=False, desc="speech ids"), errors_of("data"):
            self.speech_ids = SpeechIdTable(folder, processor, recipe.data.max_failed_share).fill(records)
        build = partial(self._build_dataset, seed=args.seed)
        dataset = build([record for part in data.values() for record in part], is_training=True)
        size = recipe.evaluation.per_device_eval_batch_size
        place: dict[str, Any] = args.place
        return assemble_trainer(
            model,
            args,
            processor,
            objective=SynthesisObjective(model, recipe.objective),
            dataset=dataset,
            sampler=ShuffledBatchSampler(
                dataset.examples, recipe.data.per_device_train_batch_size, seed=args.seed, **place
            ),
            collator=self.build_collator(processor, model, crop_ids=recipe.data.crop_ids),
            development_sets={
                name: DevelopmentSet(
                    dataset=build(part, is_training=False),
                    batches=[list(range(len(part)))[start : start + size] for start in range(0, len(part), size)],
                    collator=self.build_collator(processor, model),
                )
                for name, part in development.items()
            },
        )

    def _build_dataset(self, records: list[SpeechTextRecord], *, seed: int, is_training: bool) -> ExampleDataset:
        section = self.recipe.data
        examples = [
            Example(
                id=f"speech:{record.key}",
                source_modality="speech",
                source_lang=record.lang,
                corpus=record.corpus,
                record=record,
                duration_seconds=float(record.duration_seconds or 0.0),
            )
            for record in records
        ]
        return ExampleDataset(
            examples,
            DrawOptions(undetermined_source_ratio=section.undetermined_source_ratio if is_training else 0.0),
            cache=AudioCache() if section.cache_audio else None,
            seed=seed,
            max_failed_share=section.max_failed_share,
        )
