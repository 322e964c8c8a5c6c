# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Fully sharded models (FSDP2): every process has its part of each parameter, gradient and optimizer state.

Choice: sharded here, on CPU and GPU, not by accelerate. accelerate puts the embedding table and the softmax tied to it
into one group and all other parameters into another; in these models three more modules share that table (decoder, CTC
and masked prediction), and torch does not allow a parameter in two groups. On CPU accelerate and the Trainer's `fsdp`
flag run plain DDP without a warning.
"""

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import (
    CPUOffloadPolicy,
    FSDPModule,
    MixedPrecisionPolicy,
    OffloadPolicy,
    fully_shard,
    register_fsdp_forward_method,
)
from transformers import PreTrainedModel

OPTIMIZER_FOLDER = "sharded_optimizer"
"""Sub-folder of a checkpoint with one file per process; any number of processes may read it."""


@dataclass(frozen=True, kw_only=True)
class ShardingSettings:
    """Settings of sharding.

    Attributes:
        num_replicas: see `build_mesh`.
        reshard_after_forward: see `shard_model`.
        cpu_offload: see `shard_model`.
    """

    num_replicas: int = 1
    reshard_after_forward: bool = True
    cpu_offload: bool = False


def take_over_launch_settings(num_replicas: int = 1) -> ShardingSettings | None:
    """Settings of an `accelerate launch` configuration with `distributed_type: FSDP`; None without one.

    They are removed from the environment, so that accelerate does not shard the model a second time.

    Raises:
        ValueError: a setting that this package does not support.
    """
    if not _is_set("ACCELERATE_USE_FSDP"):
        return None
    if os.environ.get("FSDP_VERSION", "1") != "2":
        raise ValueError(
            "The launch configuration requests FSDP 1, which is deprecated in torch; set fsdp_version: 2 as in "
            "configuration/accelerate/fsdp2.yaml."
        )
    if _is_set("FSDP_CPU_RAM_EFFICIENT_LOADING"):
        raise ValueError(
            "Set fsdp_cpu_ram_efficient_loading: false in the launch configuration: every process starts from whole "
            "weights here, and with that key only the first one would have them."
        )
    if _is_set("FSDP_ACTIVATION_CHECKPOINTING"):
        raise ValueError(
            "Set fsdp_activation_checkpointing: false in the launch configuration, and "
            "training.activation_checkpointing: true in the recipe."
        )
    os.environ["ACCELERATE_USE_FSDP"] = "false"
    return ShardingSettings(
        num_replicas=num_replicas,
        reshard_after_forward=_is_set("FSDP_RESHARD_AFTER_FORWARD", "true"),
        cpu_offload=_is_set("FSDP_OFFLOAD_PARAMS"),
    )


def _is_set(name: str, default: str = "false") -> bool:
    return os.environ.get(name, default).lower() in ("true", "1")


def build_mesh(device_type: str, *, num_replicas: int = 1) -> DeviceMesh:
    """Arrange all processes of the run, whose process group must exist.

    Args:
        device_type: "cpu" (gloo) or "cuda" (nccl).
        num_replicas: number of copies of each part; parameters are split over `world size / num_replicas`
            processes. With one copy per node, only gradients cross the network.

    Raises:
        ValueError: if the number of processes is not a multiple of `num_replicas`.
    """
    num_processes = dist.get_world_size()
    if num_replicas < 1 or num_processes % num_replicas:
        raise ValueError(
            f"The number of processes ({num_processes}) must be a multiple of num_replicas ({num_replicas})."
        )
    if num_replicas == 1:
        return init_device_mesh(device_type, (num_processes,), mesh_dim_names=("shard",))
    shape = (num_replicas, num_processes // num_replicas)
    return init_device_mesh(device_type, shape, mesh_dim_names=("replicate", "shard"))


def bfloat16_policy() -> MixedPrecisionPolicy:
    """Compute in bfloat16; parameters and the sums of gradients are float32."""
    return MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)


def shard_model(
    model: nn.Module,
    mesh: DeviceMesh,
    *,
    mixed_precision: MixedPrecisionPolicy | None = None,
    reshard_after_forward: bool = True,
    cpu_offload: bool = False,
) -> nn.Module:
    """Shard a model in place: each Conformer and decoder layer is a group, all other parameters are the root's.

    Gradients are averaged over the processes, as in DDP. Every process must run the same number of forward and
    backward passes, and every parameter must take part in each: both hold for `Mu2SLAMForPreTraining`. The optimizer
    is created afterwards, from the parameters of the sharded model.

    Args:
        model: whole model, the same on every process, on the device of `mesh`; its class names its layers
            (`_no_split_modules`).
        mesh: mesh of `build_mesh`.
        mixed_precision: policy such as `bfloat16_policy`; None computes in the dtype of the parameters.
        reshard_after_forward: whether to free a whole layer after its forward pass and gather it again for the
            backward pass; False requires the memory of all layers and saves that communication.
        cpu_offload: whether to keep parameters, gradients and optimizer states in CPU memory.

    Returns:
        `model`, whose parameters are now `DTensor`s; tied weights remain one parameter.

    Raises:
        ValueError: if the model is already sharded, or has no layers to shard.
    """
    if isinstance(model, FSDPModule):
        raise ValueError("The model is already sharded.")
    names = set(getattr(model, "_no_split_modules", None) or ())
    layers = [module for module in model.modules() if type(module).__name__ in names]
    if not layers:
        raise ValueError(
            f"{type(model).__name__} has no layers to shard: its `_no_split_modules` ({sorted(names) or 'none'}) "
            "match none of its modules."
        )
    settings: dict[str, Any] = {
        "mesh": mesh,
        "mp_policy": mixed_precision or MixedPrecisionPolicy(),
        "offload_policy": CPUOffloadPolicy() if cpu_offload else OffloadPolicy(),
    }
    for layer in layers:
        fully_shard(layer, reshard_after_forward=reshard_after_forward, **settings)
    # The root stays gathered from its forward to its backward pass: the heads run last, and first again.
    fully_shard(model, **settings)
    if hasattr(model, "generate"):
        # It calls the encoder directly, which does not gather the parameters of the root.
        register_fsdp_forward_method(model, "generate")
    setattr(model, "_is_fsdp_managed_module", True)  # noqa: B010 - transformers asks for it; torch types it as Tensor
    return model


def gather_weights(model: nn.Module) -> dict[str, Tensor]:
    """Whole weights of a sharded model on the CPU of the first process; empty on others; all must call this.

    Tied weights occur under each of their names and share their memory, as in an ordinary state dict.
    """
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights: dict[str, Any] = get_model_state_dict(model, options=options)
    if not weights:
        return {}
    tied: Mapping[str, str] = getattr(model, "all_tied_weights_keys", None) or {}
    return {name: weights[tied.get(name, name)] for name in weights}


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load whole weights into a sharded model; every process must call this with all of them.

    Args:
        model: sharded model.
        weights: weights by name; one name is sufficient for tied weights.

    Raises:
        ValueError: a weight is missing, or the model has no weight of that name.
    """
    tied: Mapping[str, str] = getattr(model, "all_tied_weights_keys", None) or {}
    given = {**weights, **{name: weights[source] for name, source in tied.items() if source in weights}}
    # They are sent one by one, so every process must have them in the same order.
    ordered: dict[str, Any] = dict(sorted(given.items()))
    result = set_model_state_dict(model, ordered, options=StateDictOptions(full_state_dict=True, strict=False))
    odd = [*result.missing_keys, *result.unexpected_keys]
    if odd:
        raise ValueError(f"State dict mismatch: for example {odd[0]} is only in one of the model and the weights.")


def build_whole_model(model: PreTrainedModel) -> PreTrainedModel | None:
    """An ordinary copy of a sharded model on the CPU of the first process; None on others; all must call this."""
    weights = gather_weights(model)
    if not weights:
        return None
    # `fully_shard` creates a class with the bases (FSDPModule, the model's class).
    whole = type(model).__bases__[1](copy.deepcopy(model.config))
    whole.load_state_dict(weights)
    if whole.can_generate():
        whole.generation_config = copy.deepcopy(model.generation_config)
    return whole.train(model.training)


def save_sharded_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, folder: str | os.PathLike[str]) -> None:
    """Write the optimizer of a sharded model, each process its part; every process must call this."""
    state = get_optimizer_state_dict(model, optimizer)
    dcp.state_dict_saver.save({"optimizer": state}, checkpoint_id=os.fspath(folder))


def load_sharded_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, folder: str | os.PathLike[str]) -> None:
    """Restore what `save_sharded_optimizer` wrote, on the same or another number of processes; all must call this."""
    state = {"optimizer": get_optimizer_state_dict(model, optimizer)}
    dcp.state_dict_loader.load(state, checkpoint_id=os.fspath(folder))
    set_optimizer_state_dict(model, optimizer, state["optimizer"])
