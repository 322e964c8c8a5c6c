# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Speech from texts and recordings, by way of speech ids and the speech synthesizer of a processor, and its pipeline.

Shapes: n samples at 16 kHz.
"""

import os
from pathlib import Path
from typing import Any

import soundfile
import torch
from transformers.pipelines.text_to_audio import TextToAudioPipeline

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.data.audio import SAMPLING_RATE, FloatArray, load_audio
from mu2slam_hf.data.text import prepare_text
from mu2slam_hf.inference.pipelines.base import OurModelsMixin
from mu2slam_hf.models.modules_capabilities import Capabilities


@torch.no_grad()
def speak(
    model: Any,
    processor: Any,
    source: Any,
    *,
    source_lang: str | None = None,
    target_lang: str | None = None,
    speaker: str | None = None,
    seed: int = 0,
    **generate_kwargs: Any,
) -> FloatArray:
    """Speech of a text, or of a recording in another language, by the speech ids that a model writes.

    Args:
        model: `Mu2SLAMForConditionalGeneration` that was trained to write speech ids (tasks `tts` and `s2st`).
        processor: its processor, with a speech synthesizer.
        source: a text, or a mapping with `audio`: a recording in any form that `load_audio` accepts.
        source_lang: language of the source; None means unknown.
        target_lang: language to speak; default: that of the source.
        speaker: voice of the synthesizer; default: the usual one of the language.
        seed: seed of the first phases of Griffin-Lim.
        **generate_kwargs: passed to `generate`.

    Returns:
        `(n,)` float32 at 16 kHz, 640 samples for each id.

    Raises:
        ValueError: the processor has no synthesizer, an unknown language or voice, an empty text, or no id was
            written.
        AudioError: a recording that cannot be read.
    """
    target_lang = target_lang or source_lang
    processor.check_speaks(target_lang, speaker)
    if isinstance(source, str):
        text = prepare_text(source, processor.tokenizer, "auto")
        if not text:
            raise ValueError("the text is empty; there is nothing to speak")
        inputs, task = processor(text=[text], return_tensors="pt"), "tts"
    else:
        waveform = load_audio(source["audio"])
        inputs, task = processor(audio=[waveform], sampling_rate=SAMPLING_RATE, return_tensors="pt"), "s2st"
    languages = {"source_lang": source_lang, "target_lang": target_lang}
    ids = model.generate(**inputs.to(model.device), task=task, **languages, **generate_kwargs)
    (row,) = getattr(ids, "sequences", ids).tolist()
    entries = processor.tokenizer.convert_ids_to_tokens(row, skip_special_tokens=True)
    if not entries:
        raise ValueError("the model wrote no speech ids for this input: was it trained on speech as a target?")
    waveform = processor.decode_speech(row, lang=target_lang, speaker=speaker, seed=seed)
    return waveform


def speak_again(
    processor: Any, recording: Any, *, source_lang: str | None = None, speaker: str | None = None, seed: int = 0
) -> FloatArray:
    """What the speech ids of a recording keep of it, as sound.

    Args:
        processor: processor with speech tokenizer and synthesizer.
        recording: in any form that `load_audio` accepts.
        source_lang: its language; None means unknown.
        speaker: voice of the synthesizer; default: the usual one of the language.
        seed: seed of the first phases of Griffin-Lim.

    Returns:
        `(n,)` float32 at 16 kHz, 640 samples for each id.

    Raises:
        ValueError: the processor has no synthesizer or no speech tokenizer, or an unknown language or voice.
        AudioError: a recording that cannot be read.
    """
    processor.check_speaks(source_lang, speaker)
    if processor.speech_tokenizer is None:
        raise ValueError("this processor has no speech tokenizer, which turns recordings into speech ids")
    (ids,) = processor.tokenize_speech([load_audio(recording)], SAMPLING_RATE)
    offset = getattr(processor.tokenizer, "speech_token_offset", 0)
    waveform: FloatArray = processor.decode_speech(
        [index + offset for index in ids], lang=source_lang, speaker=speaker, seed=seed
    )
    return waveform


def check_sound_file(path: str | os.PathLike[str]) -> str:
    """The format of a sound file by the ending of its name, as libsndfile calls it.

    Raises:
        ValueError: libsndfile does not know the ending.
    """
    ending = Path(path).suffix.removeprefix(".").upper()
    if ending not in soundfile.available_formats():
        raise ValueError(f"{path}: unknown format {ending.lower() or '(no ending)'}; use .wav, .flac or .ogg")
    return ending


def write_recording(path: str | os.PathLike[str], waveform: FloatArray) -> None:
    """Write samples `(n,)` at 16 kHz in the format of the ending of a name: wav, flac, ogg, ...

    Raises:
        ValueError: libsndfile does not know the ending.
    """
    name = check_sound_file(path)
    with atomic_path(path) as temporary:
        soundfile.write(temporary, waveform, SAMPLING_RATE, format=name)


class Mu2SLAMTextToAudioPipeline(OurModelsMixin, TextToAudioPipeline):
    """Speech of texts: `{"audio": (n,) float32, "sampling_rate": 16000}` for each.

    Arguments of a call, among those of `generate` in `generate_kwargs` or `forward_params`: `source_lang`,
    `target_lang`, `speaker` and `seed` of `speak`.
    """

    @staticmethod
    def is_for(capabilities: Capabilities) -> bool:
        """Whether the class is for a model with these capabilities."""
        return "tts" in capabilities.tasks

    def preprocess(self, text: str, **kwargs: Any) -> dict[str, Any]:
        """The text as it is: it is prepared by `speak`."""
        return {"text": text}

    def _forward(self, model_inputs: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        options = {**kwargs["forward_params"], **kwargs["generate_kwargs"]}
        return {"waveform": speak(self.model, self.processor, model_inputs["text"], **options)}

    def postprocess(self, audio: dict[str, Any]) -> dict[str, Any]:
        """The samples with their rate."""
        return {"audio": audio["waveform"], "sampling_rate": SAMPLING_RATE}
