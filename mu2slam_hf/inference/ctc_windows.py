# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""CTC posteriors of a recording of any length, window by window.

Shapes: `n` samples, N encoder frames, V vocabulary.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mu2slam_hf.models.generation_tokens import exclude_from_ctc
from mu2slam_hf.models.modules_capabilities import capabilities_of


def check_has_ctc(model: Any) -> None:
    """Raises ValueError if a model has no CTC head."""
    if not capabilities_of(model).has_ctc:
        raise ValueError(
            f"{type(model).__name__} has no CTC head; use a Mu2SLAMForConditionalGeneration, Mu2SLAMForCTC or "
            "MSLAMForCTC checkpoint."
        )


def check_reads_whole(model: Any) -> None:
    """Raises ValueError if a model cannot read a recording of any length in one pass."""
    name = type(model).__name__
    if not capabilities_of(model).reads_whole_recordings:
        raise ValueError(
            f"whole_recording: {name} reads recordings in windows between pauses; only CTC models and "
            "transducers read a recording in one pass (Mu2SLAMForCTC.from_pretrained loads the CTC part of an "
            "encoder-decoder)."
        )
    encoder_config = model.config.encoder_config
    if encoder_config.conv_norm == "group":
        raise ValueError(
            f"whole_recording: {name} has conv_norm 'group', whose statistics cover all frames that are read at once, "
            "so that a whole recording would be normalised in another way than utterances; use a model with conv_norm "
            "'layer' or 'batch'."
        )
    if encoder_config.attention_chunk_frames is None:
        raise ValueError(
            f"whole_recording: {name} attends to all frames that are read at once; limit its attention to chunks of 8 "
            "seconds by --attention-chunk 8 in the shell, model.set_attention_chunk(200) in Python, or "
            "encoder_config.attention_chunk_frames in its config.json."
        )


def iterate_ctc_log_probs(
    model: Any,
    processor: Any,
    blocks: Iterable[np.ndarray],
    language_row: int = 0,
    window_seconds: float = 30.0,
    context_seconds: float = 3.0,
    excluded: Tensor | None = None,
) -> Iterator[Tensor]:
    """CTC log probabilities of one recording in windows; one window is in memory at a time.

    Args:
        model: model with the capability `has_ctc`, in evaluation mode.
        processor: its processor.
        blocks: `(n,)` or `(n, 1)` float blocks of the recording, from `stream_audio_source` for example.
        language_row: row of the language table; 0 means unknown.
        window_seconds: length of a window. A recording of up to one window and two contexts is not split.
        context_seconds: additional input on both sides of each window, whose output is discarded.
        excluded: `(V,)` bool, True on tokens that no frame may have, such as those of other languages; None means
            that there are none.

    Yields:
        `(n, V)` float32 on the CPU, N rows in all.

    Raises:
        ValueError: the model has no CTC head.

    Choice: windows begin at encoder frames. A feature extractor that normalises by utterance does so by window.
    """
    check_has_ctc(model)
    rate = processor.feature_extractor.sampling_rate
    per_frame = model.samples_per_frame
    num_frames = max(1, round(window_seconds * rate / per_frame))
    window, context = num_frames * per_frame, max(1, round(context_seconds * rate / per_frame)) * per_frame
    buffer, offset, start = np.zeros(0, dtype=np.float32), 0, 0

    def read_window() -> Tensor:
        """The window at `start`; what the next one does not need is dropped from the buffer."""
        nonlocal buffer, offset, start
        piece = buffer[: start + window + context - offset]
        place = (start - offset) // per_frame
        log_probs = _ctc_log_probs(model, processor, piece, language_row, excluded)[place : place + num_frames]
        start += window
        dropped = max(0, start - context) - offset
        buffer, offset = buffer[dropped:].copy(), offset + dropped
        return log_probs

    for block in blocks:
        block = np.asarray(block, dtype=np.float32).reshape(-1)
        buffer = np.concatenate([buffer, block]) if len(buffer) else block
        while offset + len(buffer) > start + window + 2 * context:
            yield read_window()
    if start == 0:
        yield _ctc_log_probs(model, processor, buffer, language_row, excluded)
        return
    while start < offset + len(buffer):
        yield read_window()


@torch.no_grad()
def _ctc_log_probs(
    model: Any, processor: Any, waveform: np.ndarray, language_row: int, excluded: Tensor | None
) -> Tensor:
    """`(N, V)` float32 of `(n,)` samples."""
    rate = processor.feature_extractor.sampling_rate
    inputs = processor(audio=[waveform], sampling_rate=rate, return_tensors="pt").to(model.device)
    speech = inputs[model.main_input_name].to(model.dtype)
    rows = torch.tensor([language_row], device=model.device)
    logits = model.encode_speech(speech, inputs["attention_mask"], rows).ctc_logits
    excluded = None if excluded is None else excluded[None].to(logits.device)
    return exclude_from_ctc(logits.float(), excluded)[0].log_softmax(dim=-1).cpu()
