# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`model.train_only` and `model.freeze`: what is trained, and that nothing else changes."""

import pytest
import torch
from helpers import save_tiny_checkpoint
from training_runs import QUIET_CPU

from mu2slam_hf import Mu2SLAMForCTC
from mu2slam_hf.recipes.runs.models import select_trained
from mu2slam_hf.recipes.runs.registry import build_run, load_recipe
from mu2slam_hf.recipes.schema.loader import RecipeError


@pytest.fixture
def load(tones, tmp_path):
    """The recipe of adapters on a frozen encoder, for a tiny model that already has the languages of the tones."""
    start = save_tiny_checkpoint(tmp_path / "start")

    def load_one(*overrides: str):
        settings = [
            *(
                f"model.init_from={start}",
                "model.overrides.encoder_config.num_adapters=2",
                "processor.add_languages={}",
            ),
            *("data.corpora={}", f"data.corpora.tones={{manifest: {tones}}}", "data.per_device_train_batch_size=4"),
            *("evaluation.corpora={}", "training.max_steps=3", "training.eval_steps=0", "training.save_steps=3"),
            *(f"output.dir={tmp_path / 'run'}", "processor.allow_unknown_characters=true", *QUIET_CPU),
        ]
        return load_recipe("usm/adapt_frozen", [*settings, *overrides])

    return load_one


def test_adapters_are_trained_and_everything_else_keeps_its_bits(load, tmp_path):
    start = Mu2SLAMForCTC.from_pretrained(tmp_path / "start").state_dict()
    build_run(load("optim.warmup_steps=1")).run()
    after = Mu2SLAMForCTC.from_pretrained(tmp_path / "run" / "final").state_dict()
    new = {name for name in after if name not in start}
    assert new and all(".adapters." in name for name in new)
    changed = {name for name, values in start.items() if not torch.equal(values, after[name])}
    # The table of tokens is the output layer.
    assert changed == {"encoder.embed_tokens.weight", "ctc_head.weight", "ctc_head.bias"}
    assert all(after[name].any() for name in new if name.endswith("up_weight"))


def test_one_name_of_a_shared_parameter_is_enough_and_freezing_comes_last(load):
    recipe = load("model.train_only=[ctc_head]")
    run = build_run(recipe)
    data = run.load_data()
    model = run.build_model(run.build_processor(data), data)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {"encoder.embed_tokens.weight", "ctc_head.bias"}
    select_trained(model, ["ctc_head.b"], ["encoder.conformer.layers.*.conv.", "ctc_head"])
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert "encoder.embed_tokens.weight" in trained and "ctc_head.bias" not in trained
    rest = trained - {"encoder.embed_tokens.weight"}
    assert rest and all(".conv." in name for name in rest)


def test_a_prefix_that_no_parameter_has_is_refused(load):
    run = build_run(load("model.train_only=[encoder.layers]"))
    data = run.load_data()
    with pytest.raises(RecipeError, match="train_only: no parameter of the model has a name that starts with 'enc"):
        run.build_model(run.build_processor(data), data)
