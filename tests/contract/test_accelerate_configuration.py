# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Every launch shape in the repository is one that accelerate reads, and names layers that our models have."""

from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import FullyShardedDataParallelPlugin
from accelerate.utils.launch import prepare_multi_gpu_env

from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMPreTrainedModel

FOLDER = Path(__file__).resolve().parents[2] / "configuration" / "accelerate"
FILES = sorted(FOLDER.glob("*.yaml"))
DISTRIBUTED_TYPES = {"cpu": "NO", "ddp": "MULTI_GPU", "fsdp2": "FSDP", "deepspeed_zero2": "DEEPSPEED"}


def test_every_shape_is_here():
    assert {path.stem for path in FILES} == DISTRIBUTED_TYPES.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_accelerate_reads_it(path):
    """Unknown keys at the top level and unknown enumeration values raise in accelerate's own loader."""
    config = load_config_from_file(str(path))
    assert config.distributed_type.value == DISTRIBUTED_TYPES[path.stem]
    assert config.num_machines == 1 and config.machine_rank == 0
    assert config.mixed_precision == ("no" if path.stem == "cpu" else "bf16")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_keys_of_sections_are_arguments_of_the_launcher(path):
    """Accelerate passes over a misspelt key of a section in silence, so we look them up among its arguments."""
    known = vars(launch_command_parser().parse_args(["script.py"])).keys()
    config = load_config_from_file(str(path))
    for section in (config.fsdp_config, config.deepspeed_config):
        assert section.keys() <= known


def test_fsdp2_names_the_layers_of_the_models(monkeypatch):
    parser = launch_command_parser()
    arguments = parser.parse_args(["--config_file", str(FOLDER / "fsdp2.yaml"), "--num_processes", "2", "script.py"])
    arguments, _, _ = _validate_launch_command(arguments)
    arguments.main_process_port = 0
    environment = prepare_multi_gpu_env(arguments)
    assert environment["ACCELERATE_USE_FSDP"] == "true"
    for name, value in environment.items():
        if name.startswith("FSDP_"):
            monkeypatch.setenv(name, value)
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2 and plugin.reshard_after_forward is True
    assert set(plugin.transformer_cls_names_to_wrap) == set(Mu2SLAMPreTrainedModel._no_split_modules)
    assert plugin.state_dict_type.name == "FULL_STATE_DICT"
    assert not plugin.cpu_ram_efficient_loading
