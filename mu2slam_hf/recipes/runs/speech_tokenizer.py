# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recipes of speech tokenizers: what `mu2slam train-speech-tokenizer` reads, builds and runs."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mu2slam_hf.checkpoints.devices import check_device
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.models.configuration_speech_tokenizer import SpeechTokenizerConfig
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
from mu2slam_hf.quantization.codebook_training import (
    CodebookPass,
    measure_input_statistics,
    train_codebook,
)
from mu2slam_hf.quantization.encoder_codebooks import build_encoder_tokenizer
from mu2slam_hf.quantization.recorded_features import RecordedFeatures, measure_codebook
from mu2slam_hf.recipes.data.records import load_records
from mu2slam_hf.recipes.runs.contrastive_tokenizer import load_contrastive_tokenizer, train_contrastive_tokenizer
from mu2slam_hf.recipes.schema.loader import (
    RecipeError,
    apply_override,
    build_section,
    errors_of,
    read_tree,
    set_value,
)
from mu2slam_hf.recipes.schema.shipped import find_recipe, search_folders
from mu2slam_hf.recipes.schema.speech_tokenizer import SpeechTokenizerRecipe

STATE_FILE = "kmeans_state.pt"


def load_speech_tokenizer_recipe(
    path: str | os.PathLike[str] | None, overrides: Sequence[str] = (), values: dict[str, Any] | None = None
) -> SpeechTokenizerRecipe:
    """A recipe from a file, from values, or from both.

    Args:
        path: YAML file, the name of a recipe of the package, or None.
        overrides: `a.b=c` each, as for other recipes.
        values: dotted name -> value, applied before the overrides.

    Raises:
        RecipeError: unknown key, wrong type, missing file.
    """
    path = None if path is None else find_recipe(path)
    tree = {} if path is None else read_tree(path)
    for name, value in (values or {}).items():
        set_value(tree, name, value)
    for override in overrides:
        apply_override(tree, override)
    kind = tree.get("kind", "speech_tokenizer")
    if kind != "speech_tokenizer":
        raise RecipeError(
            f"kind: {path} is a recipe of kind {kind}, not speech_tokenizer; other kinds are for `mu2slam train`"
        )
    return build_section(SpeechTokenizerRecipe, tree, "", search_folders(path) if path else [Path.cwd()])


def build_feature_extractor(recipe: SpeechTokenizerRecipe) -> Mu2SLAMFeatureExtractor:
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


def train_speech_tokenizer(
    recipe: SpeechTokenizerRecipe, on_pass: Callable[[CodebookPass], None] = lambda _: None
) -> SpeechTokenizerModel:
    """Build, train and save the tokenizer of a recipe, with its feature extractor; resumes what was stopped.

    With several processes (`torch.distributed.run`), of which only a contrastive tokenizer makes use, the first one
    saves.

    Args:
        recipe: the recipe.
        on_pass: called with the figures of each pass of k-means.

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
        tokenizer, feature_extractor = _train_codebook(recipe, on_pass)
    if int(os.environ.get("RANK", "0")) == 0:
        tokenizer.save_pretrained(recipe.output)
        feature_extractor.save_pretrained(recipe.output)
    return tokenizer


def _train_codebook(
    recipe: SpeechTokenizerRecipe, on_pass: Callable[[CodebookPass], None]
) -> tuple[SpeechTokenizerModel, Mu2SLAMFeatureExtractor]:
    """By k-means, or by looking at the input of a random projection."""
    feature_extractor = build_feature_extractor(recipe)
    tokenizer = build_speech_tokenizer(recipe, feature_extractor.feature_size).to(recipe.device)
    records = [record for records in load_records(recipe.corpora, "corpora").values() for record in records]
    source = _read(recipe, records, feature_extractor)
    if recipe.codebook.kind == "random_projection":
        mean, std = measure_input_statistics(source.log_mel(0))
        values = tokenizer.config.to_dict() | {"feature_mean": mean, "feature_std": std}
        return SpeechTokenizerModel(SpeechTokenizerConfig.from_dict(values)).to(recipe.device), feature_extractor
    state_file = Path(recipe.output) / STATE_FILE
    train_codebook(tokenizer, source.of(tokenizer), recipe.kmeans, state_file=state_file, on_pass=on_pass)
    return tokenizer, feature_extractor


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
