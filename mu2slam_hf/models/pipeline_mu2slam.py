# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The stock call `pipeline("automatic-speech-recognition", model=...)`, made right for our models.

Files and bytes are decoded by soundfile and resampled by soxr, so neither an ffmpeg binary nor torchaudio is needed;
a text does not depend on the batch it was made in. Models that are not ours get the stock pipeline itself.
"""

import importlib
import io
import os
from typing import Any

import numpy as np
from huggingface_hub.utils import get_session
from transformers.pipelines import SUPPORTED_TASKS
from transformers.pipelines.automatic_speech_recognition import AutomaticSpeechRecognitionPipeline

from .modules_lengths import downsample_attention_mask
from .modules_waveforms import read_waveforms
from .processing_alignment import align_waveform
from .processing_mu2slam import Mu2SLAMProcessor

try:
    import soundfile
except ImportError:  # arrays can be transcribed without it
    soundfile = None

TASK = "automatic-speech-recognition"
# What `return_timestamps` may say, and what is aligned for it.
TIMESTAMP_LEVELS = {"word": "word", "char": "token"}
# Under this name a recording goes through the stock steps to where its text is known.
_WAVEFORM = "waveform_to_align"
OUR_MODEL_TYPES = ("mu2slam", "mu2slam_ctc", "mslam_ctc")


class Mu2SLAMSpeechRecognitionPipeline(AutomaticSpeechRecognitionPipeline):
    """Speech recognition and translation with our models; see the stock pipeline for arguments and results.

    An input is a path, a URL, the bytes of a file, an array of samples at the rate of the feature extractor, or a
    mapping with `sampling_rate` and `raw` or `array` (any rate, as `datasets` gives it) or with `bytes` or `path`
    (`datasets.Audio(decode=False)`); or a list, a data set or a generator of them. `generate_kwargs` goes to
    `generate`: `{"target_lang": "fr"}` translates.

    `return_timestamps="word"` (or "char") works for encoder-decoders too: what was written is aligned with the
    recording by the model's CTC head. A translation has no such times.

    Choice: generation parameters are those of the model's own generation configuration, not the stock pipeline's
    `num_beams=5, max_new_tokens=256`, so that pipeline and `generate` write the same text and no text is cut off.
    """

    def __new__(cls, model: Any = None, *args: Any, **kwargs: Any):
        """Ours for our models (and for copying, which gives no model); the stock pipeline for all others."""
        model_type = getattr(getattr(model, "config", None), "model_type", None)
        if model is None or model_type in OUR_MODEL_TYPES:
            return super().__new__(cls)
        # No instance of this class, so that Python does not call __init__ on it a second time.
        return cls._stock(model, *args, **kwargs)

    # What this class stands in for; `register_pipeline` finds it in the table of tasks.
    _stock = AutomaticSpeechRecognitionPipeline

    def __init__(self, model: Any, *args: Any, **kwargs: Any):
        super().__init__(model, *args, **kwargs)
        self._generation_defaults: dict[str, Any] = {}

    def _sanitize_parameters(self, **kwargs: Any) -> tuple[dict, dict, dict]:
        timestamps = kwargs.pop("return_timestamps", None) if self.type == "seq2seq" else None
        preprocess, forward, postprocess = super()._sanitize_parameters(**kwargs)
        if timestamps:
            _check_timestamps(timestamps, forward)
            preprocess["keep_waveform"] = True
            postprocess |= {"align_level": TIMESTAMP_LEVELS[timestamps], "source_lang": forward.get("source_lang")}
        unknown = sorted(forward.keys() - {"return_timestamps", "return_language"})
        if self.type == "ctc" and unknown:
            raise ValueError(
                f"A CTC model writes what was said, in the language that was spoken; it does not take "
                f"{', '.join(unknown)}. Use a Mu2SLAMForConditionalGeneration checkpoint to translate."
            )
        return preprocess, forward, postprocess

    def preprocess(self, inputs: Any, keep_waveform: bool = False, **kwargs: Any):
        """Bring any input to `{"raw": (n,) float32 at the rate of the model, "sampling_rate": ...}`, then as stock."""
        rate = self.feature_extractor.sampling_rate
        extra: dict[str, Any] = {}
        if isinstance(inputs, dict):
            extra = {key: value for key, value in inputs.items() if key not in ("array", "raw", "path", "bytes")}
            if inputs.get("raw") is None and inputs.get("array") is None:
                inputs = inputs.get("bytes") or inputs.get("path") or inputs
        recording, name = self._decode(inputs)
        try:
            waveform = read_waveforms(recording, rate, rate)[0].astype(np.float32)
        except ValueError as error:
            raise ValueError(str(error).replace("audio[0]", name)) from None
        stride = extra.pop("stride", None)
        if stride is not None:
            ratio = rate / (extra.get("sampling_rate") or rate)
            extra["stride"] = tuple(round(samples * ratio) for samples in stride)
        for item in super().preprocess({**extra, "raw": waveform, "sampling_rate": rate}, **kwargs):
            # Whole, with the last piece, so that times are those of the recording and not of a piece.
            yield {**item, _WAVEFORM: waveform if item["is_last"] else None} if keep_waveform else item

    @staticmethod
    def _decode(source: Any) -> tuple[Any, str]:
        """A recording that `read_waveforms` takes, and what errors shall call it."""
        if source is None or isinstance(source, (str, os.PathLike, bytes, bytearray)):
            return _decode_file(source)
        if type(source).__module__.startswith("torchcodec"):
            samples = source.get_all_samples()
            return [{"array": samples.data, "sampling_rate": samples.sample_rate}], "the decoded audio"
        if isinstance(source, dict):
            name = str(source.get("path") or "the audio")
            samples = source.get("raw") if source.get("raw") is not None else source.get("array")
            if samples is None or source.get("sampling_rate") is None:
                raise ValueError(
                    f"{name}: a mapping needs `sampling_rate` and `raw` or `array`, or else `bytes` or `path`; "
                    f"it has {', '.join(map(repr, source)) or 'nothing'}."
                )
            return [{"array": samples, "sampling_rate": source["sampling_rate"]}], name
        # In a list, an array of two dimensions is one recording of several channels and never a batch.
        return [source], "the audio"

    def _forward(self, model_inputs: dict, **kwargs: Any) -> dict:
        stride = model_inputs.get("stride")
        attention_mask = model_inputs.get("attention_mask")
        outputs = super()._forward(model_inputs, **kwargs)
        if self.type == "ctc" and attention_mask is not None:
            # Frames of padding read nothing; whatever the head says of them must not become text.
            real = downsample_attention_mask(attention_mask, self.model.config.encoder_config)
            real = real.to(outputs["tokens"].device)
            outputs["tokens"] = outputs["tokens"].masked_fill(~real, self.model.config.pad_token_id)
        if self.type == "seq2seq" and stride is not None:
            # The stock pipeline drops it here, and then writes the overlap of two chunks twice.
            outputs["stride"] = stride
        return outputs

    def postprocess(
        self, model_outputs: Any, align_level: str | None = None, source_lang: str | None = None, **kwargs: Any
    ):
        """As stock; with `align_level` also `chunks`, the words (tokens) with their times in seconds."""
        if align_level is None:
            return super().postprocess(model_outputs, **kwargs)
        outputs = list(model_outputs)
        waveforms = [output.pop(_WAVEFORM) for output in outputs]
        result = super().postprocess(outputs, **kwargs)
        # A batch of items gives each array an axis in front.
        waveform = next(wave for wave in waveforms if wave is not None).reshape(-1)
        return {**result, "chunks": self._align(waveform, result["text"], align_level, source_lang)}

    def _align(self, waveform: np.ndarray, text: str, level: str, source_lang: str | None) -> list[dict[str, Any]]:
        if not text.strip():
            return []
        languages = getattr(self.model.config, "languages", None)
        processor = Mu2SLAMProcessor(self.feature_extractor, self.tokenizer, languages=languages)
        try:
            words = align_waveform(self.model, processor, waveform, text, source_lang, level=level).words
        except ValueError:  # a text that cannot be said in this time
            return [{"text": word, "timestamp": (None, None)} for word in text.split()]
        return [{"text": word.text, "timestamp": (word.start_seconds, word.end_seconds)} for word in words]


def _check_timestamps(timestamps: Any, forward: dict) -> None:
    """Raises ValueError where times are asked for that there are not."""
    if timestamps not in TIMESTAMP_LEVELS:
        raise ValueError(f"return_timestamps must be 'word' or 'char', got {timestamps!r}.")
    target, task = forward.get("target_lang"), str(forward.get("task") or "asr").lower()
    if task != "asr" or (target is not None and target != forward.get("source_lang")):
        raise ValueError(
            "Timestamps are those of what is said, and a translation is not said: leave out return_timestamps, or "
            "target_lang and task. (To write in a language that you know is spoken, give it as source_lang.)"
        )


def _decode_file(source: str | os.PathLike | bytes | bytearray | None) -> tuple[list[dict], str]:
    """Samples and rate of an audio file, and what errors shall call it.

    Args:
        source: path, URL, or the bytes of a file.

    Returns:
        A list of one mapping with `array` `(n, channels)` float32 and `sampling_rate`; the name.

    Raises:
        ValueError: naming the file and the reason.
    """
    is_bytes = isinstance(source, (bytes, bytearray))
    name = f"audio of {len(source)} bytes" if is_bytes else str(source)
    if soundfile is None:
        raise ValueError(
            f"{name}: reading audio files needs the package soundfile (pip install soundfile); or pass the samples as "
            'a mapping {"raw": array, "sampling_rate": rate}.'
        )
    if is_bytes:
        data = bytes(source)
    elif name.startswith(("http://", "https://")):
        data = _download(name)
    elif source is None or not os.path.isfile(source):
        kind = "is a folder, not an audio file" if source is not None and os.path.isdir(source) else "no such file"
        raise ValueError(f"{name}: {kind}.")
    else:
        with open(source, "rb") as file:
            data = file.read()
    if not data:
        raise ValueError(f"{name}: the file is empty.")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            samples = file.read(dtype="float32", always_2d=True)
            # Of a stream (opus, mp3) the length is not always known before; then it is a huge number.
            expected, rate = file.frames, file.samplerate
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise ValueError(
            f"{name}: cannot be decoded as audio ({error}); wav, flac, ogg, opus and mp3 are understood."
        ) from error
    if len(samples) < expected < 2**40:
        raise ValueError(f"{name}: the file is cut off; it has {len(samples)} of {expected} samples.")
    # Averaged here, where it is known which axis holds the channels.
    return [{"array": samples.mean(axis=1), "sampling_rate": rate}], name


def _download(url: str) -> bytes:
    """The content behind a URL, or an error that names it."""
    try:
        response = get_session().get(url, follow_redirects=True)
        response.raise_for_status()
    except Exception as error:
        raise ValueError(f"{url}: cannot be downloaded ({error}).") from error
    return response.content


def register_pipeline() -> None:
    """Make the stock call build this pipeline; a second call changes nothing.

    Where another package has put its own class in this place, that class stays in charge of the models that are not
    ours.
    """
    entry = SUPPORTED_TASKS[TASK]
    current = entry["impl"]
    if isinstance(current, str):  # as transformers writes it, to import it late
        module_name, class_name = current.rsplit(".", 1)
        current = getattr(importlib.import_module(module_name), class_name)
    if issubclass(current, Mu2SLAMSpeechRecognitionPipeline):
        return
    ours: type = Mu2SLAMSpeechRecognitionPipeline
    if current is not AutomaticSpeechRecognitionPipeline:
        ours = type(ours.__name__, (ours,), {"_stock": current, "__module__": ours.__module__})
    entry["impl"] = ours


__all__ = ["Mu2SLAMSpeechRecognitionPipeline", "register_pipeline"]
