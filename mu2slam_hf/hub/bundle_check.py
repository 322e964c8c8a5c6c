# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Checks of an upload folder: completeness, and loading without this package."""

import ast
import inspect
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from mu2slam_hf.checkpoints.model_types import MODEL_TYPES
from mu2slam_hf.hub.auto_names import find_auto_name
from mu2slam_hf.hub.card_check import check_card
from mu2slam_hf.models.modules_capabilities import capabilities_of

REQUIRED_FILES = ("README.md", "config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json")
WEIGHTS_FILES = ("model.safetensors", "model.safetensors.index.json")
PACKAGE = "mu2slam_hf"
WITHOUT_PACKAGE = f"""
import importlib.abc, sys
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "{PACKAGE}":
            raise ImportError("blocked: the folder must load without the package")
sys.meta_path.insert(0, Blocker())
"""
"""Beginning of a program in which this package cannot be imported."""

_TIMEOUT_SECONDS = 600
_NUM_SAMPLES, _TARGET_IDS = 6_600, (1, 70, 90)

# Runs in a separate process, after `WITHOUT_PACKAGE` and the source of `compute_outputs`.
_BARE_PROGRAM = """
import torch, transformers
from safetensors.torch import save_file
folder, auto_name, output = sys.argv[1:4]
trust = {"trust_remote_code": True}
model = getattr(transformers, auto_name).from_pretrained(folder, dtype=torch.float32, **trust).eval()
processor = transformers.AutoProcessor.from_pretrained(folder, **trust)
tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **trust)
extractor = transformers.AutoFeatureExtractor.from_pretrained(folder, **trust)
config = transformers.AutoConfig.from_pretrained(folder, **trust)
for mine, expected in ((processor.tokenizer, tokenizer), (processor.feature_extractor, extractor)):
    assert type(mine).__name__ == type(expected).__name__, (type(mine), type(expected))
objects = (model, processor, tokenizer, extractor, config)
stock = [x for x in (extractor, tokenizer) if type(x).__module__.startswith("transformers.")]
ours = [x for x in objects if not any(x is other for other in stock)]
assert all(type(x).__module__.startswith("transformers_modules.") for x in ours), objects
results = compute_outputs(model, processor, tokenizer, torch.load(output + ".inputs.pt"))
save_file({name: tensor.contiguous() for name, tensor in results.items()}, output)
print("CLASSES", " ".join(type(x).__name__ for x in objects))
"""


class BundleError(ValueError):
    """An upload folder that cannot be written or is invalid."""


def check_bundle(folder: str | os.PathLike[str], auto_map: Mapping[str, str]) -> None:
    """Check the files of an upload folder without running them.

    Args:
        folder: the folder.
        auto_map: expected classes, see `bundle.build_auto_map`.

    Raises:
        BundleError: files are missing or invalid; the message contains all problems.
    """
    folder = Path(folder)
    problems = [f"{name} is missing" for name in REQUIRED_FILES if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in WEIGHTS_FILES):
        problems.append(f"weights are missing ({' or '.join(WEIGHTS_FILES)})")
    if not problems:
        problems += _check_auto_map(folder, auto_map)
        for file in sorted(folder.glob("*.py")):
            problems += _check_code(file)
        for file in sorted(folder.rglob("*.json")):
            problems += _check_json(file)
        problems += check_card(folder / "README.md")
    if problems:
        raise BundleError(f"{folder} cannot be uploaded: " + "; ".join(problems) + ".")


def _check_auto_map(folder: Path, auto_map: Mapping[str, str]) -> list[str]:
    problems = []
    written = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("auto_map", {})
    for name, reference in auto_map.items():
        if written.get(name) != reference:
            problems.append(f"auto_map of config.json gives {written.get(name)!r} for {name}, expected {reference!r}")
        module_name, class_name = reference.split(".")
        file = folder / f"{module_name}.py"
        if not file.is_file():
            problems.append(f"{file.name} (for {name}) is missing")
        elif class_name not in {
            n.name for n in ast.parse(file.read_text("utf-8")).body if isinstance(n, ast.ClassDef)
        }:
            problems.append(f"{file.name} does not define {class_name}")
    return problems


def _check_code(file: Path) -> list[str]:
    problems = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            where, names = f"{file.name} line {node.lineno}", [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            where, names = f"{file.name} line {node.lineno}", [node.module or ""] if node.level == 0 else []
            if node.level > 1 or (node.level == 1 and (node.module is None or "." in node.module)):
                problems.append(f"{where}: only `from .file import name` is supported in an upload")
            elif node.level == 1 and not (file.parent / f"{node.module}.py").is_file():
                problems.append(f"{where}: {node.module}.py is missing")
        else:
            continue
        if any(name.split(".")[0] == PACKAGE for name in names):
            problems.append(f"{where}: imports the package {PACKAGE}")
    return problems


def _check_json(file: Path) -> list[str]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        return [f"{file.name} is not valid JSON ({error})"]
    # A local path is invalid on other machines, and may contain a user name.
    if file.name == "tokenizer.json":
        return []
    results = [text for text in _strings(content) if text.startswith(("/", "~/")) and Path(text).expanduser().exists()]
    return [f"{file.name} contains the local path {path!r}" for path in results if path != "/"]


def _strings(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    values = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    return [text for value in values for text in _strings(value)]


def compare_in_bare_process(folder: str | os.PathLike[str], model: Any, processor: Any) -> list[str]:
    """Load a folder in a process that cannot import this package, and compare its outputs with the originals.

    Args:
        folder: the folder.
        model: the model that was saved.
        processor: the processor that was saved.

    Returns:
        Names of the classes in that process: model, processor, tokenizer, feature extractor, configuration.

    Raises:
        BundleError: the folder does not load, or its outputs differ.
    """
    auto_name = find_auto_name(model, MODEL_TYPES[model.config.model_type])
    noise = torch.randn(_NUM_SAMPLES, generator=torch.Generator().manual_seed(0)).numpy()
    features = processor(audio=noise, sampling_rate=16000, return_tensors="pt")
    inputs = {model.main_input_name: features[model.main_input_name]}
    capabilities = capabilities_of(model)
    if capabilities.reads_prompts:
        inputs = dict(features)
    if capabilities.generates and model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = torch.tensor([_TARGET_IDS])
    elif auto_name == "AutoModelForPreTraining":
        inputs = {name: tensor.cpu() for name, tensor in model.dummy_inputs.items()}
    with tempfile.TemporaryDirectory() as temporary:
        output = os.path.join(temporary, "outputs.safetensors")
        torch.save(inputs, f"{output}.inputs.pt")
        # A separate cache, without modules of earlier loads; isolated mode ignores PYTHONPATH.
        environment = {**os.environ, "HF_HOME": temporary, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
        for name in ("HF_MODULES_CACHE", "TRANSFORMERS_CACHE", "HF_HUB_CACHE"):
            environment.pop(name, None)
        program = f"{WITHOUT_PACKAGE}from typing import Any\n{inspect.getsource(compute_outputs)}{_BARE_PROGRAM}"
        done = subprocess.run(
            [sys.executable, "-I", "-c", program, os.path.abspath(folder), auto_name, output],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            cwd=temporary,
            env=environment,
        )
        if done.returncode != 0:
            raise BundleError(f"{folder} does not load without the package {PACKAGE}:\n{done.stderr[-3000:]}")
        actual = load_file(output)
    _compare(folder, actual, model, processor, inputs)
    return done.stdout.split("CLASSES", 1)[1].split()


def compute_outputs(model: Any, processor: Any, tokenizer: Any, inputs: Any) -> dict[str, Any]:
    """Outputs of a model and its processor for fixed inputs; also runs in the other process, from its source."""
    import torch

    audio = torch.sin(torch.arange(16000) * 0.05).numpy()
    results = {
        "features": processor(audio=audio, sampling_rate=16000)[model.main_input_name],
        "ids": torch.tensor(tokenizer("a b").input_ids),
    }
    with torch.no_grad():
        outputs = model(**inputs)
        name = next(name for name in ("logits", "loss_sums", "pooler_output") if name in outputs)
        results["outputs"] = outputs[name].float().cpu()
        if model.can_generate():
            sources = {name: value for name, value in inputs.items() if name != "decoder_input_ids"}
            results["generated"] = model.generate(**sources, max_new_tokens=5, num_beams=2)
        if getattr(processor, "speech_tokenizer", None) is not None:
            results["codes"] = torch.tensor(processor.tokenize_speech(audio, sampling_rate=16000))
    return results


def _compare(folder: Any, actual: Mapping[str, Any], model: Any, processor: Any, inputs: Mapping[str, Any]) -> None:
    training, device = model.training, model.device
    # The process computes in float32 on a CPU; a model in half precision or on a GPU agrees only approximately.
    is_exact = model.dtype == torch.float32 and device.type == "cpu"
    inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
    expected = compute_outputs(model.eval(), processor, processor.tokenizer, inputs)
    if not is_exact:  # the search may take another path
        expected.pop("generated", None)
    model.train(training)
    for name, tensor in expected.items():
        tolerance = 1e-5 if is_exact or name != "outputs" else 0.1
        if actual[name].shape != tensor.shape or not torch.allclose(actual[name], tensor, rtol=0, atol=tolerance):
            raise BundleError(f"{folder}: {name} differ between loading with and without the package {PACKAGE}.")
