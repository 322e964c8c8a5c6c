# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`processor.add_languages` and unknown characters: a run trains, resumes and does not grow twice."""

from pathlib import Path

import pytest
import yaml
from helpers import save_tiny_checkpoint

from mu2slam_hf import Mu2SLAMConfig, Mu2SLAMProcessor
from mu2slam_hf.checkpoints import default_checkpoint
from mu2slam_hf.recipes.loader import RecipeError
from mu2slam_hf.recipes.runs import build_run, load_recipe


@pytest.fixture
def load(tones, tmp_path):
    """A tiny trained model, and a corpus whose English is now Mbosi with letters of its own."""
    save_tiny_checkpoint(tmp_path / "model")
    rows = Path(tones).read_text(encoding="utf-8").splitlines()
    header = rows[0].split("\t")
    lang, text = header.index("lang"), header.index("text")
    changed = []
    for row in rows[1:]:
        cells = row.split("\t")
        if cells[lang] == "en":
            cells[lang], cells[text] = "mdw", cells[text].replace("o", "\u0254").replace("e", "\u025b")
            changed.append("\t".join(cells))
    manifest = Path(tones).with_name("mdw.tsv")
    manifest.write_text("\n".join([rows[0], *changed]) + "\n", encoding="utf-8")
    tree = {
        "model": {"init_from": str(tmp_path / "model")},
        "data": {"corpora": {"mine": {"manifest": str(manifest), "tasks": ["asr"]}}, "batch": {"max_examples": 2}},
        "training": {"max_steps": 2, "save_steps": 1, "eval_steps": 0, "use_cpu": True, "report_to": []},
        "output": {"dir": str(tmp_path / "run")},
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return lambda *overrides: load_recipe(path, overrides)


GROW = "processor.add_languages={mdw: {like: [fr]}}"


def test_a_run_grows_the_model_once_and_resumes(load, tmp_path):
    build_run(load(GROW)).run()
    final = tmp_path / "run" / "final"
    config = Mu2SLAMConfig.from_pretrained(final)
    assert config.languages[-1] == "mdw" and len(config.restricted_tokens["mdw"]) == 4
    assert Mu2SLAMProcessor.from_pretrained(final).languages == config.languages
    resumed = build_run(load(GROW, "training.max_steps=3"))
    assert resumed.checkpoint is not None
    resumed.run()
    again = Mu2SLAMConfig.from_pretrained(final)
    assert (again.languages, again.vocab_size) == (config.languages, config.vocab_size)
    assert again.restricted_tokens == config.restricted_tokens


def test_unknown_characters_are_an_error_unless_allowed(load):
    run = build_run(load())
    data = run.load_data()
    with pytest.raises(RecipeError, match=r"(?s)4 characters .*U\+0254 LATIN SMALL LETTER OPEN O, .*add_languages"):
        run.build_processor(data)
    run = build_run(load("processor.allow_unknown_characters=true"))
    assert "mdw" not in run.build_processor(data).languages


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["processor.languages=[mdw]"], r"processor\.languages: .*has no mdw.*add_languages"),
        (["processor.add_languages={mdw: {like: [de]}}"], r"add_languages\.mdw: .*does not support language 'de'"),
        (["model.init_from=null", GROW], r"add_languages: requires model\.init_from"),
    ],
)
def test_what_cannot_be_added_is_named(load, overrides, message):
    run = build_run(load(*overrides))
    with pytest.raises(RecipeError, match=message):
        run.build_processor(run.load_data())


def test_adapters_do_not_train_new_rows(load):
    with pytest.raises(RecipeError, match="adapters do not train the rows"):
        load(GROW, "lora.r=2")


def test_default_is_the_checkpoint_of_the_package(load, load_tiny):
    assert load("model.init_from=default").model.init_from == default_checkpoint()
    for kind in ("mu2slam", "mslam"):
        assert load_tiny(kind, "model.init_from=default").model.init_from == default_checkpoint()
