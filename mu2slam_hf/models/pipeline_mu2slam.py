# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The pipeline `pipeline("automatic-speech-recognition", model=...)` for the models of this package.

Files and bytes are decoded by soundfile and resampled by soxr, so neither an ffmpeg binary nor torchaudio is required;
results do not depend on the batch. All other models get the original pipeline.
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
except ImportError:  # not required for arrays
    soundfile = None

TASK = "automatic-speech-recognition"
# Values of `return_timestamps` and the corresponding levels of alignment.
TIMESTAMP_LEVELS = {"word": "word", "char": "token"}
# Key under which the steps of the pipeline pass on the recording.
_WAVEFORM = "waveform_to_align"
OUR_MODEL_TYPES = ("mu2slam", "mu2slam_ctc", "mslam_ctc")


class Mu2SLAMSpeechRecognitionPipeline(AutomaticSpeechRecognitionPipeline):
    """Speech recognition and translation; see the pipeline of transformers for further arguments and results.

    An input is a path, a URL, the bytes of a file, an array of samples at the rate of the feature extractor, or a
    mapping with `sampling_rate` and `raw` or `array` (any rate, as in `datasets`) or with `bytes` or `path`
    (`datasets.Audio(decode=False)`); or a list, a data set or a generator of them. `generate_kwargs` are passed to
    `generate`: `{"target_lang": "fr"}` translates.

    `return_timestamps="word"` (or "char") is also supported for encoder-decoders: the output is aligned with the
    recording by the model's CTC head. It is not supported for translations.

    Choice: generation parameters are those of the model's generation configuration, not `num_beams=5,
    max_new_tokens=256` of the original pipeline, so that pipeline and `generate` give the same text and no text is
    truncated.
    """

    def __new__(cls, model: Any = None, *args: Any, **kwargs: Any):
        """This class for the models of this package (and for copying, without a model), else the original pipeline."""
        model_type = getattr(getattr(model, "config", None), "model_type", None)
        if model is None or model_type in OUR_MODEL_TYPES:
            return super().__new__(cls)
        # Not an instance of this class, so that Python does not call __init__ a second time.
        return cls._stock(model, *args, **kwargs)

    # The pipeline class for all other models; `register_pipeline` finds it in the table of tasks.
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
                f"A CTC model only transcribes in the spoken language and does not support {', '.join(unknown)}. Use "
                "a Mu2SLAMForConditionalGeneration checkpoint to translate."
            )
        return preprocess, forward, postprocess

    def preprocess(self, inputs: Any, keep_waveform: bool = False, **kwargs: Any):
        """Convert any input to `{"raw": (n,) float32 at the model's rate, "sampling_rate": ...}`."""
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
            # The whole recording, with its last chunk, so that times refer to the recording and not to a chunk.
            yield {**item, _WAVEFORM: waveform if item["is_last"] else None} if keep_waveform else item

    @staticmethod
    def _decode(source: Any) -> tuple[Any, str]:
        """A recording for `read_waveforms`, and its name in errors."""
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
                    f"{name}: a mapping must contain `sampling_rate` and `raw` or `array`, or else `bytes` or `path`; "
                    f"got the keys {', '.join(map(repr, source)) or 'none'}."
                )
            return [{"array": samples, "sampling_rate": source["sampling_rate"]}], name
        # Inside a list, a two-dimensional array is one recording with several channels, never a batch.
        return [source], "the audio"

    def _forward(self, model_inputs: dict, **kwargs: Any) -> dict:
        stride = model_inputs.get("stride")
        attention_mask = model_inputs.get("attention_mask")
        outputs = super()._forward(model_inputs, **kwargs)
        if self.type == "ctc" and attention_mask is not None:
            # The output of the head on padding frames must not become text.
            real = downsample_attention_mask(attention_mask, self.model.config.encoder_config)
            real = real.to(outputs["tokens"].device)
            outputs["tokens"] = outputs["tokens"].masked_fill(~real, self.model.config.pad_token_id)
        if self.type == "seq2seq" and stride is not None:
            # The original pipeline drops the stride here, which repeats the overlap of two chunks.
            outputs["stride"] = stride
        return outputs

    def postprocess(
        self, model_outputs: Any, align_level: str | None = None, source_lang: str | None = None, **kwargs: Any
    ):
        """As in the base class; with `align_level` also `chunks`, the words (tokens) with their times in seconds."""
        if align_level is None:
            return super().postprocess(model_outputs, **kwargs)
        outputs = list(model_outputs)
        waveforms = [output.pop(_WAVEFORM) for output in outputs]
        result = super().postprocess(outputs, **kwargs)
        # Batching adds a leading axis to each array.
        waveform = next(wave for wave in waveforms if wave is not None).reshape(-1)
        return {**result, "chunks": self._align(waveform, result["text"], align_level, source_lang)}

    def _align(self, waveform: np.ndarray, text: str, level: str, source_lang: str | None) -> list[dict[str, Any]]:
        if not text.strip():
            return []
        languages = getattr(self.model.config, "languages", None)
        processor = Mu2SLAMProcessor(self.feature_extractor, self.tokenizer, languages=languages)
        try:
            words = align_waveform(self.model, processor, waveform, text, source_lang, level=level).words
        except ValueError:  # a text too long for the recording
            return [{"text": word, "timestamp": (None, None)} for word in text.split()]
        return [{"text": word.text, "timestamp": (word.start_seconds, word.end_seconds)} for word in words]


def _check_timestamps(timestamps: Any, forward: dict) -> None:
    """Check that the requested timestamps are supported."""
    if timestamps not in TIMESTAMP_LEVELS:
        raise ValueError(f"return_timestamps must be 'word' or 'char', got {timestamps!r}.")
    target, task = forward.get("target_lang"), str(forward.get("task") or "asr").lower()
    if task != "asr" or (target is not None and target != forward.get("source_lang")):
        raise ValueError(
            "Timestamps are not supported for translations: omit return_timestamps, or omit target_lang and task. "
            "(If you know the spoken language, pass it as source_lang.)"
        )


def _decode_file(source: str | os.PathLike | bytes | bytearray | None) -> tuple[list[dict], str]:
    """Samples and rate of an audio file, and its name in errors.

    Args:
        source: path, URL, or the bytes of a file.

    Returns:
        A list of one mapping with `array` `(n, channels)` float32 and `sampling_rate`; the name.

    Raises:
        ValueError: the file cannot be read; the message contains its name and the reason.
    """
    is_bytes = isinstance(source, (bytes, bytearray))
    name = f"audio of {len(source)} bytes" if is_bytes else str(source)
    if soundfile is None:
        raise ValueError(
            f"{name}: reading audio files requires the package soundfile (pip install soundfile); or pass samples as "
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
            # The length of a stream (opus, mp3) is not always known in advance; it is then reported as a huge number.
            expected, rate = file.frames, file.samplerate
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise ValueError(
            f"{name}: cannot be decoded as audio ({error}); supported formats are wav, flac, ogg, opus and mp3."
        ) from error
    if len(samples) < expected < 2**40:
        raise ValueError(f"{name}: the file is truncated: it has {len(samples)} of {expected} samples.")
    # Averaged here, where the axis of the channels is known.
    return [{"array": samples.mean(axis=1), "sampling_rate": rate}], name


def _download(url: str) -> bytes:
    """Download the content of a URL; errors contain the URL."""
    try:
        response = get_session().get(url, follow_redirects=True)
        response.raise_for_status()
    except Exception as error:
        raise ValueError(f"{url}: cannot be downloaded ({error}).") from error
    return response.content


def register_pipeline() -> None:
    """Register this pipeline for the ASR task; calling it again has no effect.

    If another package has registered its own class, that class is still used for the models of other packages.
    """
    entry = SUPPORTED_TASKS[TASK]
    current = entry["impl"]
    if isinstance(current, str):  # a lazy import of transformers
        module_name, class_name = current.rsplit(".", 1)
        current = getattr(importlib.import_module(module_name), class_name)
    if issubclass(current, Mu2SLAMSpeechRecognitionPipeline):
        return
    ours: type = Mu2SLAMSpeechRecognitionPipeline
    if current is not AutomaticSpeechRecognitionPipeline:
        ours = type(ours.__name__, (ours,), {"_stock": current, "__module__": ours.__module__})
    entry["impl"] = ours


__all__ = ["Mu2SLAMSpeechRecognitionPipeline", "register_pipeline"]
