# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Speech tokenizers: codebooks by k-means, by random projection, or from an mSLAM trained on speech alone."""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers.utils import logging

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.checkpoints.devices import check_device
from mu2slam_hf.checkpoints.folders import check_model_type, check_nothing_missing
from mu2slam_hf.data.audio import FloatArray
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.selection import spread_evenly
from mu2slam_hf.models.configuration_mslam import MSLAMConfig
from mu2slam_hf.models.configuration_speech_tokenizer import SpeechTokenizerConfig
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from mu2slam_hf.models.modeling_mslam_pretraining import MSLAMForPreTraining
from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMTokenizer
from mu2slam_hf.quantization.codebook_training import CodebookPass, measure_input_statistics, train_codebook
from mu2slam_hf.quantization.encoder_codebooks import build_encoder_tokenizer
from mu2slam_hf.quantization.recorded_features import RecordedFeatures, measure_codebook
from mu2slam_hf.recipes.data.records import load_records
from mu2slam_hf.recipes.runs.mslam_pretraining import MSLAMPretrainingRun, MSLAMRecipe
from mu2slam_hf.recipes.runs.run import RecipeRun, final_folder
from mu2slam_hf.recipes.schema.loader import errors_of
from mu2slam_hf.recipes.schema.mixture import PretrainingCorpusSection, PretrainingDataSection, PretrainingTaskSection
from mu2slam_hf.recipes.schema.sections import OutputSection, ProcessorSection
from mu2slam_hf.recipes.schema.speech_tokenizer import SpeechTokenizerRecipe

logger = logging.get_logger(__name__)

STATE_FILE = "kmeans_state.pt"

RUN_FOLDER = "training"
"""Sub-folder of a tokenizer where the run that made it is kept."""

# Recordings from which mean and deviation of the mel bins are measured.
_STATISTICS_RECORDINGS = 400
_CODEVECTOR_DIM = 128


class SpeechTokenizerRun(RecipeRun):
    """The training of a speech tokenizer, which reports each pass of k-means."""

    recipe_class = SpeechTokenizerRecipe
    recipe: SpeechTokenizerRecipe

    def run(self) -> dict[str, float]:
        """Train and save the tokenizer; returns no metrics."""
        tokenizer = train_speech_tokenizer(self.recipe)
        config = tokenizer.config
        books = f"{config.num_codevector_groups} x " if config.num_codevector_groups > 1 else ""
        if int(os.environ.get("RANK", "0")) == 0:  # saved by the first process only
            print(f"{config.kind}, {books}{config.num_codevectors_per_group} entries, written to {self.recipe.output}")
        return {}


def train_speech_tokenizer(recipe: SpeechTokenizerRecipe) -> SpeechTokenizerModel:
    """Build, train and save the tokenizer of a recipe, with its feature extractor; resumes what was stopped.

    With several processes (`torch.distributed.run`), of which only a contrastive tokenizer makes use, the first one
    saves.

    Args:
        recipe: the recipe.

    Returns:
        the tokenizer, as it was saved.

    Raises:
        RecipeError: a folder that holds something else, or a device that there is not.
    """
    with errors_of("device"):
        check_device(recipe.device)
    if recipe.codebook.kind == "contrastive":
        tokenizer, feature_extractor = _train_contrastive(recipe)
    else:
        tokenizer, feature_extractor = _train_codebook(recipe)
    if int(os.environ.get("RANK", "0")) == 0:
        tokenizer.save_pretrained(recipe.output)
        feature_extractor.save_pretrained(recipe.output)
    return tokenizer


def _train_codebook(recipe: SpeechTokenizerRecipe) -> tuple[SpeechTokenizerModel, Mu2SLAMFeatureExtractor]:
    """By k-means, or by looking at the input of a random projection."""
    feature_extractor = build_recipe_extractor(recipe)
    tokenizer = build_speech_tokenizer(recipe, feature_extractor.feature_size).to(recipe.device)
    records = [record for records in load_records(recipe.corpora, "corpora").values() for record in records]
    source = _read(recipe, records, feature_extractor)
    if recipe.codebook.kind == "random_projection":
        mean, std = measure_input_statistics(source.log_mel(0))
        values = tokenizer.config.to_dict() | {"feature_mean": mean, "feature_std": std}
        return SpeechTokenizerModel(SpeechTokenizerConfig.from_dict(values)).to(recipe.device), feature_extractor
    state_file = Path(recipe.output) / STATE_FILE
    train_codebook(tokenizer, source.of(tokenizer), recipe.kmeans, state_file=state_file, on_pass=_print_pass)
    return tokenizer, feature_extractor


def _print_pass(done: CodebookPass) -> None:
    print(
        f"pass {done.number}: {done.num_frames} frames, inertia {done.inertia:.4f}, "
        f"{100 * done.health.usage:.1f} % used, perplexity {done.health.perplexity:.0f}",
        flush=True,
    )


def _train_contrastive(recipe: SpeechTokenizerRecipe) -> tuple[SpeechTokenizerModel, Mu2SLAMFeatureExtractor]:
    """By training mSLAM on speech, or from an mSLAM model that is trained."""
    if recipe.codebook.init_from is not None:
        with errors_of("codebook.init_from"):
            return load_contrastive_tokenizer(recipe.codebook.init_from)
    records = load_records(recipe.corpora, "corpora")
    source = _read(recipe, [record for part in records.values() for record in part], Mu2SLAMFeatureExtractor())
    tokenizer, feature_extractor = train_contrastive_tokenizer(recipe, records, source.load)
    source.feature_extractor = feature_extractor
    measure_codebook(tokenizer, source)
    return tokenizer, feature_extractor


def _read(
    recipe: SpeechTokenizerRecipe, records: Sequence[SpeechTextRecord], feature_extractor: Mu2SLAMFeatureExtractor
) -> RecordedFeatures:
    return RecordedFeatures(
        records,
        feature_extractor,
        batch_seconds=recipe.batch_seconds,
        max_bytes=recipe.cache_megabytes * 2**20,
        seed=recipe.kmeans.seed,
    )


def build_recipe_extractor(recipe: SpeechTokenizerRecipe) -> Mu2SLAMFeatureExtractor:
    """The feature extractor whose features become ids."""
    folder = recipe.feature_extractor
    if folder is None and recipe.codebook.encoder is not None:
        try:
            return Mu2SLAMFeatureExtractor.from_pretrained(recipe.codebook.encoder)
        except (OSError, ValueError, TypeError):  # an encoder of transformers, which has another kind
            return Mu2SLAMFeatureExtractor()
    return Mu2SLAMFeatureExtractor.from_pretrained(folder) if folder else Mu2SLAMFeatureExtractor()


def build_speech_tokenizer(recipe: SpeechTokenizerRecipe, num_mel_bins: int = 80) -> SpeechTokenizerModel:
    """The tokenizer as the recipe describes it, before it is trained."""
    section, seed = recipe.codebook, recipe.kmeans.seed
    if section.encoder is not None and section.layer is not None:
        return build_encoder_tokenizer(
            section.encoder,
            section.layer,
            num_codevectors=section.num_codevectors,
            seed=seed,
            frames_per_second=section.frames_per_second,
            center_utterances=section.center_utterances,
        )
    shared = {
        **{"kind": section.kind, "num_codevectors_per_group": section.num_codevectors},
        **{"num_codevector_groups": section.num_codebooks, "num_mel_bins": num_mel_bins, "projection_seed": seed},
        "center_utterances": section.center_utterances,
    }
    if section.kind == "kmeans":
        return SpeechTokenizerModel(SpeechTokenizerConfig(num_context_frames=section.num_context_frames, **shared))
    return SpeechTokenizerModel(SpeechTokenizerConfig(codevector_dim=section.codevector_dim or 16, **shared))


def train_contrastive_tokenizer(
    recipe: SpeechTokenizerRecipe,
    records: Mapping[str, list[SpeechTextRecord]],
    load: Callable[[SpeechTextRecord], FloatArray | None],
) -> tuple[SpeechTokenizerModel, Mu2SLAMFeatureExtractor]:
    """Train by the recipe, or go on with a run that was stopped, and take the tokenizer of the result.

    Args:
        recipe: with `codebook.kind` contrastive and without `codebook.init_from`.
        records: of its corpora.
        load: a recording to its waveform at 16 kHz; None where it cannot be read.

    Returns:
        the tokenizer and its feature extractor; nothing but the run is saved yet.
    """
    folder = Path(recipe.output) / RUN_FOLDER
    if recipe.contrastive.model.init_from is None:
        spoken = [record for part in records.values() for record in part if record.audio is not None]
        _write_once(folder / "processor", lambda path: _make_processor(recipe, spoken, load).save_pretrained(path))
        payload = build_small_config().to_dict()
        _write_once(folder / "model.json", lambda path: path.write_text(json.dumps(payload, indent=1) + "\n"))
    run = MSLAMPretrainingRun(build_run_recipe(recipe, folder))
    run.run()
    return load_contrastive_tokenizer(final_folder(run.recipe))


def load_contrastive_tokenizer(folder: str | os.PathLike[str]) -> tuple[SpeechTokenizerModel, Mu2SLAMFeatureExtractor]:
    """The tokenizer that a saved `MSLAMForPreTraining` has learned, and the feature extractor saved beside it.

    Raises:
        ValueError: another model is in the folder, it has no quantiser, or its front end does not give one frame per
            40 ms.
    """
    wanted = MSLAMForPreTraining.__name__
    config = check_model_type(folder, MSLAMConfig.model_type)
    names = config.get("architectures") or [wanted]
    if wanted not in names:
        raise ValueError(f"{folder}: expected {wanted}, which has the quantiser, got {names[0]}")
    model, info = MSLAMForPreTraining.from_pretrained(folder, output_loading_info=True)
    check_nothing_missing(folder, model, info)
    return SpeechTokenizerModel.from_mslam(model), Mu2SLAMFeatureExtractor.from_pretrained(folder)


def build_small_config() -> MSLAMConfig:
    """The encoder that is trained where a recipe names none: 4 + 3 layers of width 144, 2.9M parameters."""
    return MSLAMConfig(
        encoder_config={
            **{"hidden_size": 144, "num_hidden_layers": 7, "num_attention_heads": 4, "intermediate_size": 512},
            **{"subsampling_conv_channels": [32, 32], "conv_depthwise_kernel_size": 15, "conv_norm": "layer"},
            **{"position_embeddings_type": "rotary", "hidden_dropout": 0.05, "embedding_dropout": 0.0},
        },
        num_speech_layers=4,
        proj_codevector_dim=128,
    )


def build_run_recipe(recipe: SpeechTokenizerRecipe, folder: Path) -> MSLAMRecipe:
    """The mSLAM run of a contrastive tokenizer: one task, speech.

    Args:
        recipe: the recipe.
        folder: of the run; holds `processor` and `model.json` where the model is new.
    """
    section, codebook = recipe.contrastive, recipe.codebook
    model = section.model
    if model.init_from is None:
        overrides = {
            **model.overrides,
            "num_codevectors_per_group": codebook.num_codevectors,
            "num_codevector_groups": codebook.num_codebooks,
            "codevector_dim": codebook.codevector_dim or _CODEVECTOR_DIM,
            "quantizer_method": codebook.method,
            "quantizer_center_utterances": codebook.center_utterances,
        }
        model = replace(model, config=model.config or str(folder / "model.json"), overrides=overrides)
    corpora = {name: PretrainingCorpusSection(**vars(source)) for name, source in recipe.corpora.items()}
    weights = {name: section.corpus_weights.get(name, 1.0) for name in corpora}
    return MSLAMRecipe(
        model=model,
        processor=ProcessorSection(init_from=None if model.init_from else str(folder / "processor")),
        data=PretrainingDataSection(
            corpora=corpora,
            tasks={"speech": PretrainingTaskSection(share=section.utterances, corpus_weights=weights)},
            limits=section.limits,
            max_seconds=section.max_seconds,
        ),
        masking=section.masking,
        objective=section.objective,
        quantizer=section.quantizer,
        optim=section.optim,
        training=replace(section.training, use_cpu=recipe.device == "cpu"),
        output=OutputSection(dir=str(folder)),
    )


def _make_processor(
    recipe: SpeechTokenizerRecipe,
    records: list[SpeechTextRecord],
    load: Callable[[SpeechTextRecord], FloatArray | None],
) -> Mu2SLAMProcessor:
    """Features with measured statistics, or those of the recipe; and a text tokenizer that is not used."""
    if recipe.feature_extractor is not None:
        extractor = Mu2SLAMFeatureExtractor.from_pretrained(recipe.feature_extractor)
    else:
        chosen = spread_evenly(records, _STATISTICS_RECORDINGS)
        waves: Iterable[Any] = (wave for wave in map(load, chosen) if wave is not None)
        extractor = Mu2SLAMFeatureExtractor().fit_statistics(waves, sampling_rate=16000)
    tokenizer = Mu2SLAMTokenizer.train_from_iterator(["a"], num_speech_tokens=recipe.codebook.num_codevectors)
    return Mu2SLAMProcessor(extractor, tokenizer, languages=["und"])


def _write_once(path: Path, write: Callable[[Path], Any]) -> None:
    """Create a file or folder under a temporary name, and keep the first one that is renamed.

    All processes of a run make the same one, so either one can be kept.
    """
    if path.exists():
        return
    try:
        with atomic_path(path) as own:
            write(own)
    except OSError:
        if not path.exists():  # else another process was faster
            raise
