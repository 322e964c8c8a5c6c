# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Linear layers in 8 bits by torchao, beside float32 and bfloat16: size and speed (extra: quantization).

"int8" multiplies in 8 bits, "int8_weight_only" only stores the weights so; other weights are in float32 or bfloat16.
Measured are the checkpoint of the package on the recordings of `examples/` (greedy transcription, encoders included),
and a model of random weights with `--encoder-layers` of `--width` and 6 decoder layers (encoder on clips of 10 s, and
60 tokens). Megabytes are those of the weights in memory. A system whose encoder states differ from those of float32 by
more than 0.15 (RMS; the last normalisation gives states a scale of 1) is refused.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from benchmarks.interleaved import measure_interleaved
from mu2slam_hf import Mu2SLAMConfig, Mu2SLAMForConditionalGeneration, Mu2SLAMProcessor, default_checkpoint
from mu2slam_hf.checkpoints.quantization import build_quantization_config
from mu2slam_hf.data.audio import SAMPLING_RATE, load_audio

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SYSTEMS: dict[str, tuple[torch.dtype, str | None]] = {
    "float32": (torch.float32, None),
    "bfloat16": (torch.bfloat16, None),
    "int8, float32": (torch.float32, "int8"),
    "int8, bfloat16": (torch.bfloat16, "int8"),
    "int8_weight_only, bfloat16": (torch.bfloat16, "int8_weight_only"),
}
TOLERANCE = 0.15
NUM_TOKENS, NUM_POSITIONS, DECODER_LAYERS, VOCABULARY = 60, 250, 6, 8192


def add_options(parser: argparse.ArgumentParser) -> None:
    """Sizes."""
    parser.add_argument("--encoder-layers", type=int, default=24, help="of the model of random weights (24)")
    parser.add_argument("--width", type=int, default=1024, help="of the model of random weights (1024)")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 4], metavar="N")
    parser.add_argument("--clips", type=int, help="recordings of examples/ (all)")


def load_systems(folder: str) -> dict[str, Any]:
    """The model of a folder in every form."""
    models = {}
    for name, (dtype, quantization) in SYSTEMS.items():
        options: dict[str, Any] = {"dtype": dtype}
        if quantization is not None:
            options["quantization_config"] = build_quantization_config(quantization)
        models[name] = Mu2SLAMForConditionalGeneration.from_pretrained(folder, **options).eval()
    return models


def count_bytes(model: nn.Module) -> int:
    """Size of all weights; those of torchao are integers with their scales."""
    tensors: list[Tensor] = []
    for parameter in model.parameters():
        parts = [getattr(parameter, name, None) for name in ("qdata", "scale", "zero_point")]
        tensors += [parameter] if parts[0] is None else [part for part in parts if part is not None]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def check_states(models: dict[str, Any], inputs: dict[str, Tensor]) -> dict[str, float]:
    """RMS differences of encoder states from those in float32.

    Raises:
        RuntimeError: a difference is larger than `TOLERANCE`.
    """
    with torch.inference_mode():
        states = {name: model.get_encoder()(**inputs).last_hidden_state.float() for name, model in models.items()}
    errors = {name: (one - states["float32"]).pow(2).mean().sqrt().item() for name, one in states.items()}
    for name, error in errors.items():
        if not error <= TOLERANCE:
            raise RuntimeError(
                f"{name}: states differ from float32 by {error:.2g} (RMS), expected at most {TOLERANCE}"
            )
    return errors


def measure(
    work: str, models: dict[str, Any], calls: dict[str, Callable[[], object]], errors: dict[str, float], repeats: int
) -> list[dict[str, object]]:
    """One row for each system."""
    with torch.inference_mode():
        times = measure_interleaved(calls, repeats)
    reference = times["float32"]
    return [
        {
            "work": work,
            "weights": name,
            "megabytes": count_bytes(models[name]) / 1e6,
            "milliseconds": 1e3 * seconds["wall_seconds"],
            "speed in relation to float32": reference["wall_seconds"] / seconds["wall_seconds"],
            "by process time": reference["process_seconds"] / seconds["process_seconds"],
            "states differ by": errors[name],
        }
        for name, seconds in times.items()
    ]


def transcribe(model: Any, batches: list[tuple[Any, tuple[str, ...]]]) -> None:
    """Greedy transcription of all batches."""
    for inputs, languages in batches:
        model.generate(**inputs, source_lang=languages, num_beams=1)


def measure_checkpoint(options: argparse.Namespace) -> list[dict[str, object]]:
    """Transcription by the checkpoint of the package."""
    models = load_systems(default_checkpoint())
    processor = Mu2SLAMProcessor.from_pretrained(default_checkpoint())
    clips = [(load_audio(path), path.parent.name) for path in sorted(EXAMPLES.glob("*/*.opus"))[: options.clips]]
    clips.sort(key=lambda clip: len(clip[0]))
    rows: list[dict[str, object]] = []
    for batch_size in options.batch_sizes:
        batches = []
        for start in range(0, len(clips), batch_size):
            waveforms, languages = zip(*clips[start : start + batch_size], strict=True)
            batches.append((processor(audio=list(waveforms), sampling_rate=SAMPLING_RATE), languages))
        errors = check_states(models, dict(batches[-1][0]))
        calls = {name: partial(transcribe, model, batches) for name, model in models.items()}
        work = f"checkpoint, {len(clips)} recordings, batch {batch_size}"
        rows += measure(work, models, calls, errors, options.repeats)
    return rows


def write_tokens(model: Any, source: Tensor) -> None:
    """Exactly `NUM_TOKENS` tokens for every source `(B, S, D)`."""
    outputs = model.build_encoder_outputs(BaseModelOutput(last_hidden_state=source))
    ids = model.generate(
        encoder_outputs=outputs,
        source_modality="speech",
        source_lang="en",
        target_lang="en",
        num_beams=1,
        ctc_draft=False,
        min_new_tokens=NUM_TOKENS,
        max_new_tokens=NUM_TOKENS,
    )
    if ids.shape[1] - 1 != NUM_TOKENS:
        raise RuntimeError(f"{ids.shape[1] - 1} tokens were written, expected {NUM_TOKENS}")


def measure_random(options: argparse.Namespace) -> list[dict[str, object]]:
    """Encoder and decoder of a model of random weights."""
    sizes = {
        "hidden_size": options.width,
        "num_attention_heads": max(1, options.width // 128),
        "intermediate_size": 4 * options.width,
    }
    config = Mu2SLAMConfig(
        encoder_config={**sizes, "num_hidden_layers": options.encoder_layers},
        decoder_config={**sizes, "num_hidden_layers": DECODER_LAYERS},
        vocab_size=VOCABULARY,
        num_speech_tokens=64,
        languages=["und", "en"],
    )
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        Mu2SLAMForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(folder)
        models = load_systems(folder)
    size = f"{options.encoder_layers} + {DECODER_LAYERS} layers of {options.width}"
    rows: list[dict[str, object]] = []
    for batch_size in options.batch_sizes:
        features = {"input_features": torch.randn(batch_size, 4 * NUM_POSITIONS, 80)}
        errors = check_states(models, features)
        encode = {name: partial(model.get_encoder(), **features) for name, model in models.items()}
        rows += measure(f"{size}, encoder, {batch_size} x 10 s", models, encode, errors, options.repeats)
        source = torch.randn(batch_size, NUM_POSITIONS, options.width)
        write = {name: partial(write_tokens, model, source.to(model.dtype)) for name, model in models.items()}
        rows += measure(f"{size}, {NUM_TOKENS} tokens, batch {batch_size}", models, write, errors, options.repeats)
    return rows


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """One row for each kind of work, batch size and system."""
    return measure_checkpoint(options) + measure_random(options)
