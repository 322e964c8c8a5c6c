# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`import mu2slam_hf` and `mu2slam --help` import nothing heavy; the Auto classes know our models all the same."""

import subprocess
import sys
import time

import pytest
from helpers import run_python

HEAVY = (
    *("torch", "transformers", "datasets", "evaluate", "numpy", "tokenizers", "soundfile", "sacrebleu", "yaml"),
    *("fastapi", "uvicorn", "prometheus_client", "onnx", "onnxruntime"),
)
COMMANDS = (
    *("transcribe", "listen", "translate", "evaluate", "train", "plan"),
    *("align", "retrieve", "identify-language", "calibrate", "compare", "tone-corpus"),
    *("corpora", "recipes", "adapt", "init", "add-language", "average", "serve", "publish", "export"),
)
WRONG = (
    *([], ["no-such-command"], ["--no-such-option"], ["clip.wav"], ["help", "no-such-command"]),
    *([command, "--no-such-option"] for command in COMMANDS),
    *(["transcribe", "clip.wav", "--task", "sing"], ["transcribe", "clip.wav", "--chunk-length", "long"]),
    *(["transcribe", "clip.wav", "--lang"], ["translate", "--num-beams", "0.5", "hello"]),
)


def loaded_heavy_modules(code: str) -> list[str]:
    done = run_python(f"{code}\nimport sys\nprint('LOADED', *[m for m in {HEAVY} if m in sys.modules])")
    return done.stdout.splitlines()[-1].split()[1:]


def test_import_loads_nothing_heavy():
    assert loaded_heavy_modules("import mu2slam_hf; dir(mu2slam_hf); mu2slam_hf.__version__") == []


def test_import_with_transformers_does_not_load_torch():
    assert "torch" not in loaded_heavy_modules("import mu2slam_hf, transformers")


def test_default_checkpoint_needs_nothing_heavy():
    assert loaded_heavy_modules("import mu2slam_hf; mu2slam_hf.default_checkpoint()") == []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([command, "--help"] for command in COMMANDS)])
def test_help_loads_nothing_heavy(arguments):
    code = f"""
from mu2slam_hf.cli import main
try:
    main({arguments})
except SystemExit as end:
    assert end.code == 0
"""
    assert loaded_heavy_modules(code) == []


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_wrong_arguments_load_nothing_heavy(arguments):
    code = f"""
from mu2slam_hf.cli import main
try:
    main({arguments})
except SystemExit as end:
    assert end.code == 2, end.code
else:
    raise AssertionError("accepted")
"""
    assert loaded_heavy_modules(code) == []


@pytest.mark.parametrize(
    "arguments",
    [["transcribe"], ["transcribe", "/no/such/clip.wav"], ["transcribe", __file__, "--from", "no-such-language"]],
    ids=["no recording", "no such recording", "no such language"],
)
def test_wrong_values_are_reported_before_torch_is_loaded(arguments):
    loaded = loaded_heavy_modules(f"from mu2slam_hf.cli import main\nassert main({arguments}) in (1, 2)")
    assert not {"torch", "transformers"} & set(loaded)


def test_help_of_the_module_answers_at_once():
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "mu2slam_hf.cli", "--help"], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0
    assert all(command in done.stdout for command in COMMANDS)
    # A fifth of a second on an idle machine; importing torch takes seconds. The bound leaves room for a busy one.
    assert time.perf_counter() - started < 5.0


@pytest.mark.parametrize(
    "imports",
    [
        "import mu2slam_hf; from transformers import AutoConfig",
        "import mu2slam_hf; from transformers import pipeline; from transformers import AutoConfig",
        "from transformers import AutoConfig; import mu2slam_hf",
        "from transformers import pipeline, AutoConfig; import mu2slam_hf",
        "from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMModel; from transformers import AutoConfig",
        "import mu2slam_hf; import peft; from transformers import AutoConfig",
    ],
)
def test_auto_classes_know_our_models_whatever_is_imported_first(imports):
    run_python(
        f"""
{imports}
assert AutoConfig.for_model("mu2slam").model_type == "mu2slam"
from transformers import AutoModelForSpeechSeq2Seq, AutoProcessor, AutoTokenizer, AutoModelForCTC
from transformers.models.auto.modeling_auto import MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING
from mu2slam_hf import Mu2SLAMConfig, Mu2SLAMForConditionalGeneration
assert MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING[Mu2SLAMConfig] is Mu2SLAMForConditionalGeneration
import sys
assert not any(type(finder).__name__ == "_TransformersWatch" for finder in sys.meta_path)
"""
    )


def test_the_watch_leaves_transformers_modules_as_they_are():
    """Their source can still be read (auto_docstring and pickling by value need it) and their loaders are plain."""
    run_python(
        """
import mu2slam_hf
from transformers import AutoConfig, pipelines
import inspect
assert "class AutoConfig" in inspect.getsource(AutoConfig)
for module in (inspect.getmodule(AutoConfig), pipelines):
    assert "exec_module" not in vars(module.__spec__.loader)
"""
    )
