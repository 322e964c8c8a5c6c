# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training of a dual encoder that is made of a language model."""

import copy
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModel, AutoTokenizer, set_seed
from transformers.utils import logging

from mu2slam_hf.data.collation.pairs import PairCollator
from mu2slam_hf.models.language_codes import canonical_language
from mu2slam_hf.models.modeling_speech_text_dual_encoder import SpeechTextDualEncoderModel
from mu2slam_hf.models.processing_speech_text_dual_encoder import SpeechTextDualEncoderProcessor
from mu2slam_hf.quantization.speech_id_tables import SpeechIdTable
from mu2slam_hf.quantization.tokenizer_loading import load_with_extractor
from mu2slam_hf.recipes.data.records import Records, load_records
from mu2slam_hf.recipes.runs.mixture import MixtureRun
from mu2slam_hf.recipes.runs.models import select_trained
from mu2slam_hf.recipes.runs.run import build_arguments
from mu2slam_hf.recipes.schema.dual_encoder import DualEncoderRecipe
from mu2slam_hf.recipes.schema.loader import RecipeError, errors_of
from mu2slam_hf.training.objectives.dual_encoder import DualEncoderObjective
from mu2slam_hf.training.trainer import MultitaskTrainer

logger = logging.get_logger(__name__)


class DualEncoderRun(MixtureRun):
    """Training of `SpeechTextDualEncoderModel` on speech ids, which are computed once before it."""

    recipe_class = DualEncoderRecipe
    recipe: DualEncoderRecipe  # type: ignore[assignment]
    reads_audio = False

    def load_data(self) -> Records:
        """Records of all corpora.

        Raises:
            RecipeError: no or two sources of the model, no speech tokenizer, or no tasks.
        """
        section = self.recipe.model
        if (section.language_model is None) == (section.init_from is None):
            raise RecipeError("model: give either language_model (a new dual encoder) or init_from (a trained one)")
        if section.init_from is None and self.recipe.speech_tokenizer is None:
            raise RecipeError("speech_tokenizer: is required, because the ids of speech depend on it")
        if not self.recipe.data.tasks:
            raise RecipeError("data.tasks: is required, with a share of asr")
        spoken = set(map(canonical_language, self.recipe.data.speech_languages))

        def is_wanted(lang: str) -> bool:
            return not spoken or lang in spoken or lang.split("-")[0] in spoken

        loaded = super().load_data()
        # Language -> recordings of the training corpora that are not used.
        self.unused = Counter(r.lang for part in loaded.values() for r in part if r.audio and not is_wanted(r.lang))
        return {
            # Without its recording, a record still has its texts.
            name: [record if is_wanted(record.lang) else replace(record, audio=None) for record in records]
            for name, records in loaded.items()
        }

    def build_processor(self, data: Records) -> Any:
        """The processor: of the checkpoint that is resumed, of `init_from`, or of language model and tokenizer."""
        section = self.recipe.model
        source = self.checkpoint or section.init_from
        if source is not None:
            return SpeechTextDualEncoderProcessor.from_pretrained(source)
        with errors_of("speech_tokenizer"):
            speech_tokenizer, extractor = load_with_extractor(self.recipe.speech_tokenizer or "")
        with errors_of("model.language_model"):
            tokenizer = AutoTokenizer.from_pretrained(str(section.language_model))
            config = AutoConfig.from_pretrained(str(section.language_model))
        with torch.device("meta"):  # only the number of rows is asked for
            language_model: Any = AutoModel.from_config(config)
        offset = language_model.get_input_embeddings().weight.shape[0]
        return SpeechTextDualEncoderProcessor(
            extractor, tokenizer, speech_tokenizer, audio_token_offset=offset, prefix=section.prefix
        )

    def build_model(self, processor: Any, data: Any = None) -> Any:
        """The model in float32, with adapters if the recipe has `lora`."""
        recipe, section = self.recipe, self.recipe.model
        set_seed(recipe.training.seed)
        with errors_of("model"):
            if section.init_from is not None:
                model = SpeechTextDualEncoderModel.from_pretrained(section.init_from, dtype=torch.float32)
            else:
                names = ("text_embeddings", "audio_embeddings", "pooling", "projection_dim", "normalize")
                options = {name: getattr(section, name) for name in (*names, "is_causal", "dropout")}
                size = processor.speech_tokenizer.config.num_codevectors_per_group
                model = SpeechTextDualEncoderModel.from_language_model(
                    str(section.language_model), num_audio_tokens=size, **options
                )
            processor.check_config(model.config)
        if section.random_weights:
            model = SpeechTextDualEncoderModel(model.config)
        if section.attn_implementation is not None:
            model.set_attn_implementation(section.attn_implementation)
        self._note_languages(model.config, data or {})
        select_trained(model, section.freeze)
        return model if recipe.lora is None else self._add_adapters(model)

    def _note_languages(self, config: Any, data: Records) -> None:
        """Add the languages of the training data to those that the model has seen."""
        tasks = self.recipe.data.tasks

        def records_of(task: str) -> list[Any]:
            return [record for name in (tasks[task].corpus_weights if task in tasks else ()) for record in data[name]]

        spoken = {record.lang for record in records_of("asr") if record.audio is not None and record.text}
        written = spoken | {lang for record in records_of("mt") for lang in (record.lang, *record.translations)}
        allowed = self.recipe.data.languages
        for name, new in (("speech_languages", spoken), ("text_languages", written)):
            known = getattr(config, name)
            setattr(
                config, name, [*known, *(c for c in sorted(new) if c not in known and (not allowed or c in allowed))]
            )

    def _add_adapters(self, model: Any) -> Any:
        section = self.recipe.lora
        assert section is not None
        own = ["audio_embeddings", "projection", *(["pooler"] if model.pooler is not None else [])]
        config = LoraConfig(
            r=section.r,
            lora_alpha=section.lora_alpha,
            lora_dropout=section.lora_dropout,
            target_modules=section.target_modules,
            modules_to_save=list(dict.fromkeys([*section.modules_to_save, *own])),
        )
        with errors_of("lora.target_modules"):
            return get_peft_model(model, config)

    def build_collator(self, processor: Any, model: Any, *, masking: Any = None) -> PairCollator:
        """The collator, with the ids of all recordings."""
        data = self.recipe.data
        return PairCollator(
            processor,
            lambda example: self.speech_ids.find(example.record),
            pivot_language=data.pivot_language,
            undetermined_ratio=data.undetermined_source_ratio,
            seed=self.recipe.training.seed,
        )

    def build_development_collator(self, processor: Any, model: Any) -> PairCollator:
        """The collator of training: it has no masks."""
        return self.build_collator(processor, model)

    def build_objective(self, processor: Any, model: Any) -> DualEncoderObjective:
        """The losses of both directions and the spread-out terms."""
        return DualEncoderObjective(model, self.recipe.objective)

    def build_trainer(self, processor: Any, model: Any, data: Records) -> MultitaskTrainer:
        """The trainer; first the recordings are tokenized, by the first process.

        Raises:
            RecipeError: too many recordings cannot be read, or there is none.
        """
        recipe = self.recipe
        development = load_records(recipe.evaluation.corpora, "evaluation.corpora")
        spoken = {r.lang for part in development.values() for r in part if r.audio is not None}
        if unseen := sorted(spoken - set(model.config.speech_languages)):
            names = ", ".join(f"{lang} ({self.unused[lang]} training recordings are left out)" for lang in unseen)
            logger.warning(f"evaluated without speech in training: {names}")
        records = [r for part in (*data.values(), *development.values()) for r in part if r.audio is not None]
        if not records:
            raise RecipeError("data.corpora: none has recordings")
        folder = recipe.data.speech_ids or str(Path(recipe.output.dir) / "speech_ids")
        with build_arguments(recipe).main_process_first(local=False, desc="speech ids"), errors_of("data"):
            table = SpeechIdTable(folder, processor, recipe.data.max_failed_share)
            self.speech_ids = table.fill(records)
        return super().build_trainer(processor, model, data)

    def save_final(self, model: Any, processor: Any, results: dict[str, float]) -> Path:
        """As in the base class; adapters are merged, and also saved alone in `adapters`."""
        if self.recipe.lora is None:
            return super().save_final(model, processor, results)
        self.adapted = model
        return super().save_final(copy.deepcopy(model).merge_and_unload(), processor, results)

    def save_extra_files(self, model: Any, processor: Any, folder: Path) -> None:
        """The adapters alone, if the recipe has `lora`."""
        if self.recipe.lora is not None:
            self.adapted.save_pretrained(folder / "adapters")
