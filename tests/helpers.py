# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Shared test code: models of a few thousand parameters, their processors, and a clean interpreter to run code in."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY_ROOT = Path(__file__).resolve().parent.parent
TINY_LANGUAGES = ("und", "en", "es", "fr", "it", "ru")
TINY_TEXTS = (
    "press one to leave a message",
    "marque cinco para dejar el mensaje número siete ñ",
    "appuyez sur la touche étoile ça où être",
    "premere il tasto cancelletto è più già",
    "нажмите пять чтобы оставить голосовое сообщение ещё",
)


def make_tiny_config(vocab_size: int = 160, num_speech_tokens: int = 16, languages=TINY_LANGUAGES, **encoder_options):
    """A configuration with 2 + 2 layers of 16; options go to the encoder's."""
    from mu2slam_hf import ConformerEncoderConfig, Mu2SLAMConfig, Mu2SLAMDecoderConfig

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return Mu2SLAMConfig(
        encoder_config=ConformerEncoderConfig(**sizes, subsampling_conv_channels=[4, 2], **encoder_options),
        decoder_config=Mu2SLAMDecoderConfig(**sizes),
        vocab_size=vocab_size,
        num_speech_tokens=num_speech_tokens,
        text_token_offset=64 + num_speech_tokens,
        languages=list(languages),
    )


def make_tiny_processor(num_speech_tokens: int = 16, languages=TINY_LANGUAGES):
    """A processor with a character tokenizer trained on a line of each language."""
    from mu2slam_hf import Mu2SLAMFeatureExtractor, Mu2SLAMProcessor, Mu2SLAMTokenizer

    tokenizer = Mu2SLAMTokenizer.train_from_iterator(
        TINY_TEXTS, vocab_size=200, kind="char", num_speech_tokens=num_speech_tokens
    )
    return Mu2SLAMProcessor(Mu2SLAMFeatureExtractor(), tokenizer, languages=list(languages))


def make_tiny_pair(seed: int = 0):
    """A model with random weights, in evaluation mode, and a processor that fits it."""
    import torch

    from mu2slam_hf import Mu2SLAMForConditionalGeneration

    processor = make_tiny_processor()
    torch.manual_seed(seed)
    model = Mu2SLAMForConditionalGeneration(make_tiny_config(vocab_size=len(processor.tokenizer)))
    return model.eval(), processor


def save_tiny_checkpoint(folder, seed: int = 0) -> str:
    """The pair of `make_tiny_pair`, saved; returns the folder."""
    model, processor = make_tiny_pair(seed)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


def run_python(code: str, *arguments: str, timeout: float = 240, **environment: str) -> subprocess.CompletedProcess:
    """Runs code in a fresh interpreter outside the repository; if it fails, so does the test, showing its output."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd="/",
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
