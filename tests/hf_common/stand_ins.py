# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Stand-ins for what transformers' common tests import and its source distribution does not carry.

Missing are folders (`tests/generation`, `tests/exporters`, `tests/utils`, `tests/pipelines`) and a helper of its CI.
The mixins are empty and only make the import possible; no test class of ours names them. Generation is tested by
`tests/contract/test_generation.py`; the package offers no export. The pipeline tests need a body, which is here.
"""

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np


class GenerationTesterMixin:
    """Imported by `test_modeling_common`; contains no test."""


class ExportTesterMixin:
    """A base of `ModelTesterMixin`; contains no test."""


# What the configuration tests set and expect to find again, all of it fields of `PreTrainedConfig`.
CONFIG_COMMON_KWARGS = {
    "return_dict": False,
    "output_hidden_states": True,
    "output_attentions": True,
    "dtype": "float16",
    "chunk_size_feed_forward": 5,
    "architectures": ["BertModel"],
    "id2label": {0: "label"},
    "label2id": {"label": "0"},
    "problem_type": "regression",
}


class AutomaticSpeechRecognitionPipelineTests:
    """What a speech recognition pipeline owes for a silent clip of any length, from an instance of a model."""

    def get_test_pipeline(
        self, model, tokenizer=None, feature_extractor=None, processor=None, dtype="float32", **kwargs
    ):
        """The pipeline and two examples that it has to take in batches, or None where there is no tokenizer."""
        from transformers import pipeline

        if tokenizer is None:
            return None, None
        if model.can_generate():
            model.generation_config.max_new_tokens = 4
            model.generation_config.num_beams = 1
        recognizer = pipeline(
            "automatic-speech-recognition",
            model=model,
            tokenizer=tokenizer,
            feature_extractor=feature_extractor,
            dtype=dtype,
            device="cpu",
        )
        return recognizer, [np.zeros(34_000), np.zeros(16_000)]

    def run_pipeline_test(self, recognizer, examples):
        """One input alone, a list, and a dictionary with a rate; the text is a string in each answer."""
        alone = recognizer(examples[0])
        assert set(alone) == {"text"} and isinstance(alone["text"], str), alone
        assert recognizer(examples) == [recognizer(example) for example in examples]
        assert recognizer({"raw": examples[0], "sampling_rate": 16_000}) == alone


def _module(name: str, package: ModuleType | None = None, **attributes: object) -> ModuleType:
    """Put a module of the given attributes among the imported ones."""
    full_name = f"{package.__name__}.{name}" if package else name
    module = ModuleType(full_name)
    vars(module).update(attributes)
    sys.modules[full_name] = module
    return module


def install_stand_ins(package: ModuleType) -> None:
    """Make the missing modules importable below the package that holds the common tests."""
    for folder, name, attributes in (
        ("exporters", "test_export", {"ExportTesterMixin": ExportTesterMixin}),
        ("generation", "test_utils", {"GenerationTesterMixin": GenerationTesterMixin}),
        ("utils", "test_configuration_utils", {"config_common_kwargs": CONFIG_COMMON_KWARGS}),
    ):
        _module(name, _module(folder, package, __path__=[]), **attributes)
    # A lookup of files that the CI of transformers has downloaded before; here there are none.
    _module("fetch_hub_objects_for_ci", url_to_local_path=lambda url, return_url_if_not_found=True: url)


def describe_tiny_models(folder: Path, summary: dict[str, dict]) -> None:
    """Write the table by which the pipeline tests find tiny checkpoints.

    Args:
        folder: receives `reports/tiny_model_summary.json`.
        summary: class name of a model -> names of its tokenizer and processor classes.
    """
    reports = folder / "reports"
    reports.mkdir(parents=True, exist_ok=True)
    (reports / "tiny_model_summary.json").write_text(json.dumps(summary), encoding="utf-8")
