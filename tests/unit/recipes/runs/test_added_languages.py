# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`processor.add_languages` and unknown characters: a run trains, resumes and does not grow twice."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from helpers import save_tiny_checkpoint
from safetensors.torch import load_file

from mu2slam_hf import Mu2SLAMConfig, Mu2SLAMForConditionalGeneration, Mu2SLAMProcessor
from mu2slam_hf.checkpoints import default_checkpoint
from mu2slam_hf.recipes.runs.registry import build_run, load_recipe
from mu2slam_hf.recipes.schema.loader import RecipeError


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


ADAPTERS = (GROW, "lora.r=2", "optim.weight_decay=0", "optim.learning_rate=0.01")


def test_adapters_train_new_rows_only_and_resume(load, tmp_path):
    """Six updates in two runs give the weights of six in one; the rows of the base model do not change."""
    once = build_run(load(*ADAPTERS, "training.max_steps=6", f"output.dir={tmp_path}/once"))
    once.run()
    build_run(load(*ADAPTERS, "training.max_steps=6", "training.save_steps=3")).run()
    shutil.rmtree(tmp_path / "run" / "checkpoint-6")
    resumed = build_run(load(*ADAPTERS, "training.max_steps=6", "training.save_steps=3"))
    assert resumed.checkpoint is not None and resumed.checkpoint.endswith("checkpoint-3")
    resumed.run()
    folder = tmp_path / "run" / "final"
    weights, expected = (
        load_file(one / "final" / "adapter_model.safetensors") for one in (tmp_path / "run", tmp_path / "once")
    )
    assert weights.keys() == expected.keys() and all(torch.equal(weights[name], expected[name]) for name in weights)
    base = Mu2SLAMForConditionalGeneration.from_pretrained(tmp_path / "model").state_dict()
    merged = Mu2SLAMForConditionalGeneration.from_pretrained(folder / "merged").state_dict()
    rows = {name.split("grown_rows.")[1] for name in weights if "grown_rows." in name}
    assert {"encoder.embed_tokens.weight", "lm_head.bias", "language_head.weight"} <= rows
    for name in rows:
        key = name if name in base else f"model.{name}"
        old = base[key]
        assert torch.equal(merged[key][: len(old)], old)
        stored = weights[f"base_model.model.grown_rows.{name}"]
        assert torch.equal(merged[key][len(old) :], stored)
    growth = json.loads((folder / "adapter_growth.json").read_text(encoding="utf-8"))
    assert (
        growth["new_languages"] == ["mdw"] and len(growth["characters"]) == 4 and growth["languages"] == ["fr", "mdw"]
    )
    # The new rows were trained: they are no longer those that a run starts from.
    run = build_run(load(*ADAPTERS, "training.resume=false"))
    data = run.load_data()
    start = run.build_model(run.build_processor(data), data).get_base_model().lm_head.bias
    assert not torch.allclose(start[-4:].detach(), weights["base_model.model.grown_rows.lm_head.bias"], atol=1e-4)


def test_adapters_average_their_new_rows(load, tmp_path):
    build_run(load(*ADAPTERS, "training.average_last=2")).run()
    name = "base_model.model.grown_rows.ctc_head.bias"
    parts = [
        load_file(tmp_path / "run" / one / "adapter_model.safetensors")[name]
        for one in ("checkpoint-1", "checkpoint-2")
    ]
    final = load_file(tmp_path / "run" / "final" / "adapter_model.safetensors")[name]
    torch.testing.assert_close(final, (parts[0] + parts[1]) / 2)
    assert not torch.equal(parts[0], parts[1])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optim.weight_decay=0.01"], r"optim\.weight_decay: would change the rows of all languages"),
        (["lora.modules_to_save=[language_head]"], "lora: language_head has rows of new languages"),
    ],
)
def test_adapters_that_would_change_old_rows(load, overrides, message):
    with pytest.raises(RecipeError, match=message):
        run = build_run(load(*ADAPTERS, *overrides))
        data = run.load_data()
        run.build_model(run.build_processor(data), data)


def test_default_is_the_checkpoint_of_the_package(load, load_tiny):
    assert load("model.init_from=default").model.init_from == default_checkpoint()
    for kind in ("mu2slam", "mslam"):
        assert load_tiny(kind, "model.init_from=default").model.init_from == default_checkpoint()
