# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import json

import pytest
import torch
from helpers import make_tiny_pair, save_tiny_checkpoint

from mu2slam_hf import Mu2SLAMForConditionalGeneration, Mu2SLAMProcessor
from mu2slam_hf.cli import main
from mu2slam_hf.training.model_average import write_average


@pytest.fixture
def folders(tmp_path):
    """Two models, the second as a checkpoint of a run."""
    first, second = (save_tiny_checkpoint(tmp_path / name, seed) for name, seed in (("first", 0), ("checkpoint-5", 1)))
    for name in ("optimizer.pt", "trainer_state.json", "README.md"):
        (tmp_path / "checkpoint-5" / name).write_text("{}")
    return [first, second]


def test_the_mean_is_a_model_with_its_processor(folders, tmp_path, capsys):
    target = tmp_path / "mean"
    assert main(["average", *folders, folders[1], "--output", str(target)]) == 0
    assert "mean of 3 models" in capsys.readouterr().out
    mean, first, second = (Mu2SLAMForConditionalGeneration.from_pretrained(path) for path in (target, *folders))
    for name, parameter in mean.state_dict().items():
        expected = (first.state_dict()[name] + 2 * second.state_dict()[name]) / 3
        torch.testing.assert_close(parameter, expected, msg=name)
    assert Mu2SLAMProcessor.from_pretrained(target).languages == Mu2SLAMProcessor.from_pretrained(folders[0]).languages
    # What belongs to the run or to one of the models is not copied.
    assert not {path.name for path in target.iterdir()} & {"optimizer.pt", "trainer_state.json", "README.md"}


def test_models_that_cannot_be_averaged_are_refused_and_nothing_is_written(folders, tmp_path):
    with pytest.raises(ValueError, match="at least two models"):
        write_average(folders[:1], tmp_path / "mean")
    config = tmp_path / "first" / "config.json"
    values = json.loads(config.read_text())
    decoder = values["decoder_config"] | {"layer_norm_eps": 0.5}
    config.write_text(json.dumps(values | {"transformers_version": "1", "decoder_config": decoder}))
    with pytest.raises(ValueError, match=r"`decoder_config.layer_norm_eps` in config.json is 0.5 and"):
        write_average(folders, tmp_path / "mean")
    config.write_text(json.dumps(values))
    tokenizer = tmp_path / "first" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + " ")
    with pytest.raises(ValueError, match="different tokenizers"):
        write_average(folders, tmp_path / "mean")
    (tmp_path / "first" / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="none of the files"):
        write_average(folders, tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
    with pytest.raises(ValueError, match="not an empty folder"):
        write_average(folders, tmp_path / "first")


def test_dropout_caching_and_keys_of_another_version_make_no_other_model(folders, tmp_path):
    config = tmp_path / "first" / "config.json"
    values = json.loads(config.read_text())
    values["decoder_config"]["hidden_dropout"] = 0.4
    values["use_cache"] = not values["use_cache"]
    del values["encoder_config"]["subsampling_keeps_variance"]
    config.write_text(json.dumps(values))
    write_average(folders, tmp_path / "mean")
    assert (tmp_path / "mean" / "model.safetensors").is_file()


def test_adapters_of_one_model_are_averaged(tmp_path):
    from peft import LoraConfig, get_peft_model

    folders = []
    for seed in (1, 2):
        adapted = get_peft_model(make_tiny_pair()[0], LoraConfig(r=2, target_modules=["q_proj"]))
        torch.manual_seed(seed)
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter)
        folders.append(tmp_path / str(seed))
        adapted.save_pretrained(folders[-1])
    write_average(folders, tmp_path / "mean")
    assert {"adapter_model.safetensors", "adapter_config.json"} <= {p.name for p in (tmp_path / "mean").iterdir()}
    base = save_tiny_checkpoint(tmp_path / "base")
    with pytest.raises(ValueError, match="one is a model, the other an adapter"):
        write_average([base, folders[0]], tmp_path / "other")
