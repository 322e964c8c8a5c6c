# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Pipelines that replace those of transformers for the models of this package only."""

import importlib
import re
from typing import Any

import transformers.pipelines
from transformers.pipelines import PIPELINE_REGISTRY, SUPPORTED_TASKS

from mu2slam_hf.models.modules_adapter_growth import AdapterGrowth, add_adapter_characters
from mu2slam_hf.models.modules_capabilities import Capabilities, capabilities_of


class OurModelsMixin:
    """First base of a pipeline class; for models of other types, the pipeline that was registered before is built."""

    # The pipeline for all other models: that of transformers, unless `register_for_task` finds another one.
    _stock: Any = None

    def __new__(cls, model: Any = None, *args: Any, **kwargs: Any) -> Any:
        """This class for our models (and for copying, without a model), else the other pipeline."""
        if model is None or cls.is_for(capabilities_of(model)):
            return super().__new__(cls)
        # Not an instance of this class, so that Python does not call __init__ a second time.
        return cls._stock(model, *args, **kwargs)

    @staticmethod
    def is_for(capabilities: Capabilities) -> bool:
        """Whether the class is for a model with these capabilities."""
        return False

    def load_adapter(self, peft_model_id: str, adapter_name: str, **hub_arguments: Any) -> None:
        """Load an adapter into the model and the tokenizer; calls choose it by `adapter_names` among their arguments.

        The model without adapters stays in use for all other calls.

        Args:
            peft_model_id: folder or name on the Hub.
            adapter_name: name of the adapter.
            hub_arguments: `revision`, `token`, ... as in `cached_file` of transformers.

        Raises:
            ValueError: the name is in use, or the adapter belongs to another model.
        """
        pipeline: Any = self
        before = pipeline.model.adapter_in_use
        pipeline.model.load_adapter(peft_model_id, adapter_name, **hub_arguments)
        pipeline.model.set_adapter(before)
        growth = AdapterGrowth.load(peft_model_id, **hub_arguments)
        if growth is not None:
            add_adapter_characters(pipeline.tokenizer, growth)


def register_for_task(task: str, ours: Any) -> None:
    """Register a pipeline class for a task of transformers; calling it again has no effect.

    Args:
        task: name of the task.
        ours: subclass of [`OurModelsMixin`]; the class that is registered now is used for all other models.
    """
    entry = SUPPORTED_TASKS[task]
    current: Any = entry["impl"]
    if isinstance(current, str):  # a lazy import of transformers
        module_name, class_name = current.rsplit(".", 1)
        current = getattr(importlib.import_module(module_name), class_name)
    if issubclass(current, ours):
        return
    if current is not ours._stock:
        ours = type(ours.__name__, (ours,), {"_stock": current, "__module__": ours.__module__})
    entry["impl"] = ours


class LanguagePairs(dict):
    """Aliases of tasks, with `translation_en_to_fr` and all other pairs of languages as aliases of `translation`."""

    pattern = re.compile(r"translation_(.+)_to_(.+)")

    def __contains__(self, task: object) -> bool:
        return super().__contains__(task) or (isinstance(task, str) and bool(self.pattern.fullmatch(task)))

    def __missing__(self, task: str) -> str:
        if self.pattern.fullmatch(task):
            return "translation"
        raise KeyError(task)


def register_new_task(task: str, ours: Any, auto_class: Any) -> None:
    """Register a task that transformers does not have (any more), also with languages in its name.

    Args:
        task: name of the task.
        ours: pipeline class.
        auto_class: the Auto class (or another class with `from_pretrained`) that loads its models.
    """
    if task in SUPPORTED_TASKS:
        register_for_task(task, ours)
        return
    SUPPORTED_TASKS[task] = {"impl": ours, "pt": (auto_class,), "default": {}, "type": "text"}
    getattr(transformers.pipelines, "REMOVED_TASKS", {}).pop(task, None)
    PIPELINE_REGISTRY.task_aliases = LanguagePairs(PIPELINE_REGISTRY.task_aliases)
