# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Initialisation of the modules that transformers' own rules do not cover."""

from torch import nn
from transformers import initialization as init

from .modules_conformer import SequenceGroupNorm


def initialize_module(module: nn.Module) -> None:
    """Fill the parameters of one of our own modules, through transformers' guarded initialisers.

    A bare parameter missing from a checkpoint would otherwise come back as uninitialised memory.
    """
    if isinstance(module, SequenceGroupNorm):
        init.ones_(module.weight)
        init.zeros_(module.bias)
