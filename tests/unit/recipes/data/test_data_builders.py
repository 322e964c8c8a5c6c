# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Corpora, phases and development sets of a recipe."""

from functools import partial
from types import SimpleNamespace

import pytest
from helpers import make_tiny_config

from mu2slam_hf.data.collation.supervised import SupervisedCollator
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMTokenizer
from mu2slam_hf.recipes.data.curriculum import build_curriculum, resolve_curriculum, total_steps
from mu2slam_hf.recipes.data.records import load_records
from mu2slam_hf.recipes.runs.development import build_development_sets
from mu2slam_hf.recipes.runs.finetuning import FinetuningRecipe
from mu2slam_hf.recipes.schema.data import CorpusSection
from mu2slam_hf.recipes.schema.loader import RecipeError, build_section


def make(tree) -> FinetuningRecipe:
    return build_section(FinetuningRecipe, tree, "")


def collator_of(processor):
    return partial(SupervisedCollator, processor)


def corpora(tones, **sections):
    return {name: {"manifest": str(tones), **section} for name, section in sections.items()}


@pytest.fixture(scope="module")
def processor():
    texts = ["one two three four red blue house tree un deux trois quatre rouge bleu maison arbre casa árbol verde j"]
    tokenizer = Mu2SLAMTokenizer.train_from_iterator(texts, num_speech_tokens=4)
    extractor = Mu2SLAMFeatureExtractor()
    return SimpleNamespace(feature_extractor=extractor, tokenizer=tokenizer, languages=["und", "en", "es", "fr"])


def test_records_bear_the_name_of_the_recipe_and_are_limited(tones):
    records = load_records(
        {"mine": CorpusSection(manifest=str(tones), limit=5, max_duration_seconds=5.0)}, "data.corpora"
    )
    assert len(records["mine"]) == 5
    assert {record.corpus for record in records["mine"]} == {"mine"}
    assert all(record.duration_seconds for record in records["mine"])


def test_unknown_options_of_a_corpus_are_named():
    section = CorpusSection(name="prompts5", root="/", options={"nope": 1})
    with pytest.raises(RecipeError, match=r"data\.corpora\.x\.options: .*nope"):
        load_records({"x": section}, "data.corpora")


def test_nothing_left_is_an_error(tones):
    with pytest.raises(RecipeError, match="no records remain"):
        load_records({"x": CorpusSection(manifest=str(tones), max_duration_seconds=0.01)}, "data.corpora")


def test_the_last_phase_takes_what_is_left():
    recipe = make({"data": {"curriculum": [{"steps": 3}, {}]}, "training": {"max_steps": 10}})
    assert [phase.steps for phase in resolve_curriculum(recipe)] == [3, 7]
    assert total_steps(recipe) == 10
    assert total_steps(make({"data": {"curriculum": [{"steps": 3}, {"steps": 4}]}})) == 7
    assert [phase.steps for phase in resolve_curriculum(make({"training": {"max_steps": 2}}))] == [2]


def test_a_short_trial_ends_in_an_early_phase():
    recipe = make({"data": {"curriculum": [{"steps": 30}, {}]}, "training": {"max_steps": 10}})
    assert total_steps(recipe) == 10 and resolve_curriculum(recipe)[0].steps == 30


@pytest.mark.parametrize(
    "tree, message",
    [
        ({"data": {"curriculum": [{"steps": 3}, {}]}}, r"training\.max_steps: is required"),
        ({"data": {"curriculum": [{}, {"steps": 3}]}, "training": {"max_steps": 5}}, r"data\.curriculum\.0\.steps"),
        (
            {"data": {"curriculum": [{"steps": 3, "objective": {"ctx": 1}}]}},
            r"curriculum\.0\.objective\.ctx: unknown",
        ),
        (
            {"data": {"curriculum": [{"steps": 3, "tasks": ["tts"]}]}},
            r"data\.curriculum\.0\.tasks: expected some of .*; got 'tts'",
        ),
        (
            {"data": {"curriculum": [{"steps": 3, "corpus_weights": {"x": 1}}]}},
            r"curriculum\.0\.corpus_weights\.x: no such corpus",
        ),
    ],
)
def test_bad_phases(tree, message):
    with pytest.raises(RecipeError, match=message):
        resolve_curriculum(make(tree))


def test_a_phase_draws_from_its_corpora_only(tones, processor):
    phases = [{"steps": 2, "corpus_weights": {"b": 1.0}}, {"steps": 2, "text_batch_share": 0.0}]
    recipe = make({"data": {"corpora": corpora(tones, a={"tasks": ["asr"]}, b={"weight": 2.0}), "curriculum": phases}})
    records = load_records(recipe.data.corpora, "data.corpora")
    first, second = build_curriculum(recipe, records, processor, collator_of(processor))
    assert {example.corpus for example in first.dataset.examples} == {"b"}
    assert {example.corpus for example in second.dataset.examples} == {"a", "b"}
    tasks = {(e.corpus, t.task) for e in second.dataset.examples for t in e.targets}
    assert tasks == {("a", "asr"), ("b", "asr"), ("b", "ast"), ("b", "mt")}
    assert first.dataset.seed != second.dataset.seed
    drawn = [second.dataset.examples[key.example] for step in second.plan.plan(0) for batch in step for key in batch]
    assert {example.source_modality for example in drawn} == {"speech"}
    speech = [example.corpus for example in drawn]
    assert speech.count("b") == 2 * speech.count("a")


def test_examples_larger_than_a_batch_are_left_out(tones, processor):
    recipe = make(
        {"data": {"corpora": corpora(tones, a={}), "batch": {"max_seconds": 0.6}}, "training": {"max_steps": 1}}
    )
    (phase,) = build_curriculum(
        recipe, load_records(recipe.data.corpora, "data.corpora"), processor, collator_of(processor)
    )
    seconds = [example.duration_seconds for example in phase.dataset.examples if example.source_modality == "speech"]
    assert seconds and max(seconds) <= 0.6


def test_development_sets_hold_every_example_once(tones, processor):
    recipe = make({"evaluation": {"corpora": corpora(tones, dev={})}})
    records = load_records(recipe.evaluation.corpora, "evaluation.corpora")
    sets = build_development_sets(recipe, records, processor, collator_of(processor), make_tiny_config())
    indices = sorted(key.example for batch in sets["dev"].batches for key in batch)
    assert indices == list(range(len(sets["dev"].dataset.examples)))
