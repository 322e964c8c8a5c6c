# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Streams of a recipe: sizes in one unit, sources by the recipe's names, a first look, and a run that resumes."""

import json

import pytest
import torch
import yaml
from helpers import REPOSITORY_ROOT
from public_schema import write_public_corpora
from safetensors.torch import load_file

from mu2slam_hf.recipes.data.streams import build_sources, declared_languages, look_at_streams
from mu2slam_hf.recipes.runs.registry import build_run, load_recipe
from mu2slam_hf.recipes.schema.loader import RecipeError
from mu2slam_hf.training.checkpoints import list_checkpoints

RECIPE = REPOSITORY_ROOT / "configuration" / "recipes" / "mu2slam" / "pretrain_tiny_test.yaml"


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> dict[str, str]:
    return write_public_corpora(tmp_path_factory.mktemp("corpora"))


@pytest.fixture
def load(corpora, tmp_path):
    tree = yaml.safe_load(RECIPE.read_text())
    tree["model"]["config"] = str(RECIPE.parents[2] / "models" / "mu2slam" / "tiny.json")
    names = {"speech": ["common_voice"], "text": ["mc4"], "asr": ["common_voice"], "ast": ["covost2"], "mt": ["ted59"]}
    tree["data"] = {
        "streaming": True,
        "block_size": 4,
        "max_failed_share": 1.0,
        "corpora": {name: {"name": name, "root": corpora[name]} for part in names.values() for name in part},
        "tasks": {task: {"share": 1, "corpus_weights": dict.fromkeys(part, 1)} for task, part in names.items()},
    }
    tree["data"]["corpora"]["ted59"]["options"] = {"languages": ["ar", "fa", "tr"]}
    tree["training"].update(eval_steps=0)
    del tree["evaluation"]
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(tree))

    def load(*overrides):
        return load_recipe(path, [f"output.dir={tmp_path / 'run'}", *overrides])

    return load


def sources_of(recipe, *tasks):
    return build_sources(recipe, list(tasks), rank=0, num_ranks=1, failures=None)


def test_sizes_are_declared_given_or_those_of_files(load, corpora):
    whole = "data.corpora.common_voice.split=all"
    hours = {source.lang: source.size for source in sources_of(load(whole), "speech")}
    assert hours["en"] == 2181 and hours["tr"] == 22, "declared hours, not the bytes of small copies"
    of_train = {source.lang: source.size for source in sources_of(load(), "speech")}
    assert not set(of_train.items()) & set(hours.items()), "declared are the hours of all recordings, not of `train`"
    (first, *_) = documents = sources_of(load(), "text")
    assert first.task == "text" and {s.lang: s.size for s in documents}["en"] == 3079081989
    more = (f"data.corpora.babel={{name: babel, root: '{corpora['babel']}'}}", "data.tasks.asr.corpus_weights.babel=1")
    with pytest.raises(RecipeError, match=r"data\.tasks\.asr: the sizes of babel are known in bytes only"):
        sources_of(load(whole, *more), "asr")
    given = sources_of(load(whole, *more, "data.corpora.babel.total_size=1000"), "asr")
    assert sum(source.size for source in given if source.corpus == "babel") == pytest.approx(1000)


def test_hours_of_translation_count_each_direction_and_totals_each_task(load):
    """Paper, A.1: of 9.5k hours of CoVoST 2, 430 hours of English in 15 languages are 8.4k."""
    totals = "data.corpora.covost2.total_size={asr: 2900, ast: 9500}"
    codes = {"asr": 430, "ast": 15 * 430}
    for task in codes:
        weights = f"data.tasks.{task}.corpus_weights={{covost2: 1}}"
        declared = {source.lang: source.size for source in sources_of(load(weights), task)}
        assert declared["en"] == codes[task] and declared["fr"] == 264
        scaled = {source.lang: source.size for source in sources_of(load(weights, totals), task)}
        assert sum(scaled.values()) == pytest.approx({"asr": 2900, "ast": 9500}[task])
        assert scaled["en"] / scaled["fr"] == pytest.approx(declared["en"] / declared["fr"])
    with pytest.raises(RecipeError, match=r"data\.corpora\.covost2\S* total_size\.st: unknown; the tasks are speech"):
        load("data.corpora.covost2.total_size={st: 9500}")


def test_sources_have_the_names_of_the_recipe(load, corpora):
    renamed = f"data.corpora.web={{name: mc4, root: '{corpora['mc4']}', options: {{languages: [en, de]}}}}"
    sources = sources_of(load(renamed, "data.tasks.text.corpus_weights={mc4: 0, web: 2}"), "text")
    assert sorted(source.name for source in sources) == ["text/web/de", "text/web/en"]


@pytest.mark.parametrize(
    "override, message",
    [
        ("data.corpora.mc4.options={lang: en}", r"data\.corpora\.mc4: .*no option 'lang'"),
        ("data.corpora.mc4.limit=3", r"data\.corpora\.mc4\.limit: is supported for tables only"),
        ("data.corpora.mc4.name=prompts5", r"data\.corpora\.mc4: prompts5 is small and has no shards"),
    ],
)
def test_what_cannot_be_streamed(load, override, message):
    with pytest.raises(RecipeError, match=message):
        sources_of(load(override), "text")


def test_languages_are_those_that_corpora_are_declared_to_hold(load):
    assert declared_languages(load("data.languages=[fr, en]"), {}) == ["und", "en", "fr"]
    languages = declared_languages(load(), {})
    assert languages[0] == "und" and {"zu", "cy", "fa"} <= set(languages) and len(languages) > 100
    only = ("data.corpora.mc4.options={languages: [iw]}", "data.corpora.common_voice.options={languages: [sv-SE]}")
    assert {"he", "sv"} <= set(declared_languages(load(*only), {})) and "zu" not in declared_languages(load(*only), {})


def test_a_first_look_keeps_few_recordings(load):
    records = look_at_streams(load("processor.records_per_language=3", "processor.feature_statistics_utterances=1"))
    for name, part in records.items():
        by_lang: dict[str, list] = {}
        for record in part:
            assert record.corpus == name
            by_lang.setdefault(record.lang, []).append(record)
        assert all(len(found) <= 3 for found in by_lang.values())
        assert all(sum(record.audio is not None for record in found) <= 1 for found in by_lang.values())
    assert any(record.text for record in records["mc4"]) and any(record.audio for record in records["common_voice"])


def test_a_streamed_run_resumes_bit_for_bit(load, tmp_path):
    settings = ("processor.records_per_language=5", "training.dataloader_num_workers=1")
    run = build_run(load(*settings))
    assert run.load_data() == {}
    processor = run.build_processor({})

    def make(output):
        run = build_run(load(*settings, f"output.dir={tmp_path / output}"))
        return run.build_trainer(processor, run.build_model(processor), {})

    # A trainer seeds the generators when it is made, so each is made right before it runs.
    whole = make("whole")
    whole.train()
    stopped = make("stopped")
    stopped.args.max_steps = 4
    stopped.train()
    first = list_checkpoints(tmp_path / "stopped")[-1]
    assert json.loads((first / "data_progress.json").read_text()) == {"num_rank_states": 1}
    resumed = make("stopped")
    resumed.train(resume_from_checkpoint=True)
    one, other = (load_file(tmp_path / name / "checkpoint-8" / "model.safetensors") for name in ("whole", "stopped"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    logs = [logs for logs in whole.state.log_history if "loss_text_mlm" in logs]
    assert {"loss_mt_decoder", "loss_ast_alignment_mlm", "loss_speech_decoder"} <= logs[-1].keys()
