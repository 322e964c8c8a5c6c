# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The pipeline `pipeline("automatic-speech-recognition", model=...)` for the models of this package.

It writes what `transcribe_recordings` writes, for recordings of any length; neither an ffmpeg binary nor torchaudio is
required. All other models get the original pipeline.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import GeneratorType
from typing import Any

from transformers import AutoModelForSpeechSeq2Seq
from transformers.pipelines.automatic_speech_recognition import AutomaticSpeechRecognitionPipeline

from mu2slam_hf.inference.pipelines.base import OurModelsMixin
from mu2slam_hf.inference.pipelines.transcripts import TIMESTAMPS, RecognitionIterator, ResultFormatter
from mu2slam_hf.inference.transcription import TranscriptionOptions, transcribe_recordings
from mu2slam_hf.inference.transcripts import Transcript
from mu2slam_hf.models.generation_settings import find_chunk_seconds, find_setting
from mu2slam_hf.models.language_codes import language_index
from mu2slam_hf.models.modules_capabilities import Capabilities, capabilities_of
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.models.task_types import check_task, resolve_task_arguments

# Generation with these options reads one recording at a time.
_UNBATCHED_OPTIONS = ("assistant_model", "prompt_lookup_num_tokens")


class Mu2SLAMSpeechRecognitionPipeline(OurModelsMixin, AutomaticSpeechRecognitionPipeline):
    """Speech recognition and translation of recordings of any length.

    An input is a path, a URL, the bytes of a file, an array of samples at the rate of the feature extractor, an
    `AudioDecoder` of torchcodec, or a mapping with `sampling_rate` and `raw` or `array` (any rate, as in `datasets`)
    or with `bytes` or `path` (`datasets.Audio(decode=False)`); or a list, a data set or a generator of them. Channels
    are averaged. Other keys of a mapping are in its result, as a list of one value. With `stride`, the numbers of
    samples at the beginning and end that belong to other recordings (of a microphone, for example), their words are
    omitted.

    The parameters of a call, which are those of the pipeline of transformers, may also be given at construction:

    - `return_timestamps`: True, "word" or "char" adds `chunks`, the segments, words or characters (pieces) with
      `timestamp`, their start and end in seconds; (None, None) for words that cannot be aligned. Translations have
      segments only.
    - `return_language`: adds `language`, the code of the spoken language or `und`, to the result and all chunks.
    - `generate_kwargs`: `source_lang` (or `language`), `target_lang`, `task` ("asr" or "transcribe", "ast" or
      "translate"), and everything that `generate` accepts. With a target language, the text is the translation.
      `adapter_names` is the name of the adapter for this call (`load_adapter`).
    - `chunk_length_s`: maximum seconds of speech that the model reads at once. Recordings are cut at pauses if there
      are any; `stride_length_s` has no effect.
    - `batch_size`: maximum number of chunks of this length in a batch; 1, the default of transformers, means the
      default of `TranscriptionOptions`, which is several. Results do not depend on it. Recordings of a generator are
      finished one by one if `batch_size` is 1, since it may be a microphone. `num_workers` has no effect.

    A recording without speech has the text "". For a recording that cannot be read, `ValueError` is raised; an
    iterator over a data set or generator can be continued after it.

    Choice: generation parameters are those of the model's generation configuration, not `num_beams=5,
    max_new_tokens=256` of the original pipeline, so that pipeline and `generate` give the same text and no text is
    truncated.
    """

    _stock = AutomaticSpeechRecognitionPipeline
    # Optional: models that read prompts need theirs.
    _load_processor = None

    @staticmethod
    def is_for(capabilities: Capabilities) -> bool:
        """Whether the class is for a model with these capabilities."""
        return "asr" in capabilities.tasks

    def __init__(self, model: Any, *args: Any, **kwargs: Any):
        if isinstance(kwargs.get("assistant_model"), str):
            # transformers cannot load an assistant by name if its class is not one of its own.
            name = kwargs["assistant_model"]
            assistant = AutoModelForSpeechSeq2Seq.from_pretrained(name, dtype=model.dtype)
            kwargs["assistant_model"] = assistant.to(model.device).eval()
        super().__init__(model, *args, **kwargs)
        self._generation_defaults: dict[str, Any] = {}

    def _sanitize_parameters(
        self,
        chunk_length_s: float | None = None,
        stride_length_s: Any = None,
        ignore_warning: bool | None = None,
        decoder_kwargs: dict[str, Any] | None = None,
        return_timestamps: bool | str | None = None,
        return_language: bool | None = None,
        **generate_kwargs: Any,
    ) -> tuple[dict, dict, dict]:
        capabilities = capabilities_of(self.model)
        forward = dict(generate_kwargs.pop("generate_kwargs", None) or {}) | generate_kwargs
        if unsupported := capabilities.unsupported_options(forward):
            raise ValueError(
                f"A CTC model only transcribes in the spoken language and does not support "
                f"{', '.join(unsupported)}. Use a Mu2SLAMForConditionalGeneration checkpoint to translate."
            )
        if not capabilities.generates and return_language:
            raise ValueError("A CTC model does not predict the language: omit return_language.")
        if return_timestamps and return_timestamps not in TIMESTAMPS:
            raise ValueError(
                "return_timestamps must be True (segments), 'word', 'char' or False, got " + repr(return_timestamps)
            )
        if return_timestamps in ("word", "char") and not capabilities.has_ctc:
            raise ValueError(
                f"return_timestamps={return_timestamps!r}: this model has no CTC head, from which words get their "
                "times; use return_timestamps=True for segments, or align the text with a CTC model (mu2slam align)."
            )
        if getattr(self, "assistant_model", None) is not None:
            forward["assistant_model"] = self.assistant_model
        if getattr(self, "assistant_tokenizer", None) is not None:
            forward |= {"tokenizer": self.tokenizer, "assistant_tokenizer": self.assistant_tokenizer}
        results = {
            "decoder_kwargs": decoder_kwargs,
            "return_timestamps": return_timestamps,
            "return_language": return_language,
        }
        preprocess = {} if chunk_length_s is None else {"chunk_length_s": chunk_length_s}
        return preprocess, forward, {name: value for name, value in results.items() if value is not None}

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:
        """Transcribe (or translate) a recording, or each recording of a list, data set or generator.

        Args:
            inputs: see the class.
            **kwargs: see the class.

        Returns:
            a dict with `text` and, if asked for, `chunks` and `language`; for a list a list of them, for a data set or
            generator an iterator.

        Raises:
            ValueError: a recording that cannot be read, or parameters that do not fit the model.
        """
        if hasattr(inputs, "column_names"):
            raise ValueError(
                "Expected the recordings of a data set, got the data set itself: pass KeyDataset(dataset, column) "
                f"with one of the columns {inputs.column_names}."
            )
        if type(inputs).__name__ in ("Column", "IterableColumn"):
            # `dataset["audio"]`, which was a list in older versions of datasets.
            inputs = list(inputs) if hasattr(inputs, "__len__") else (item for item in inputs)
        return [] if isinstance(inputs, list) and not inputs else super().__call__(inputs, **kwargs)

    def get_iterator(
        self,
        inputs: Any,
        num_workers: int,
        batch_size: int,
        preprocess_params: dict,
        forward_params: dict,
        postprocess_params: dict,
    ) -> "RecognitionIterator":
        """The results of all inputs, in order."""
        languages = getattr(self.model.config, "languages", None)
        generate_kwargs = (
            self._prepare_generate_kwargs(forward_params)
            if capabilities_of(self.model).generates
            else dict(forward_params)
        )
        source_lang, target_lang, generate_kwargs = _split_languages(
            generate_kwargs, languages, getattr(self.model, "generation_config", None)
        )
        adapter_name = generate_kwargs.pop("adapter_names", None)
        formatter = ResultFormatter(
            target_lang=target_lang,
            timestamps=postprocess_params.get("return_timestamps") or None,
            with_language=bool(postprocess_params.get("return_language")),
        )
        chunk_length_s = preprocess_params.get("chunk_length_s") or None
        options = TranscriptionOptions(
            source_lang=source_lang,
            target_langs=() if target_lang is None else (target_lang,),
            timestamps="token" if formatter.timestamps == "char" else "word",
            chunk_length_s=chunk_length_s,
            adapter_name=adapter_name,
            generate_kwargs=generate_kwargs,
            ctc_decoder=self._ctc_decoder(postprocess_params.get("decoder_kwargs") or {}),
        )
        if any(generate_kwargs.get(name, find_setting(self.model, name)) for name in _UNBATCHED_OPTIONS):
            options = replace(options, batch_seconds=0.0)
        elif batch_size > 1:
            options = replace(options, batch_seconds=batch_size * find_chunk_seconds(self.model, chunk_length_s))
        processor = self.processor
        if not capabilities_of(self.model).reads_prompts:
            processor = Mu2SLAMProcessor(self.feature_extractor, self.tokenizer, languages=languages)

        def transcribe(recordings: Iterable[Any]) -> Iterator[Transcript | ValueError]:
            return transcribe_recordings(self.model, processor, recordings, options)

        one_by_one = isinstance(inputs, GeneratorType) and batch_size <= 1
        return RecognitionIterator(inputs, transcribe, formatter, one_by_one=one_by_one)

    def _ctc_decoder(self, decoder_kwargs: dict[str, Any]) -> Callable[[Any], str] | None:
        """The beam search of `decoder=` (pyctcdecode) for CTC models, which returns the best text first."""
        if self.type != "ctc_with_lm":
            return None
        return lambda log_probs: self.decoder.decode_beams(log_probs, **decoder_kwargs)[0][0]

    def run_single(self, inputs: Any, preprocess_params: dict, forward_params: dict, postprocess_params: dict) -> dict:
        """The result of one input."""
        return next(self.get_iterator([inputs], 0, 1, preprocess_params, forward_params, postprocess_params))


def _split_languages(
    generate_kwargs: Mapping[str, Any], languages: Sequence[str] | None, generation_config: Any
) -> tuple[str | None, str | None, dict[str, Any]]:
    """Spoken language, language to translate into, and the remaining options of `generate`.

    Raises:
        ValueError: unknown languages or tasks, or a task that does not match the languages.
    """
    rest = dict(generate_kwargs)
    modality = rest.pop("target_modality", None)
    if modality not in (None, "text"):
        raise ValueError(f"The pipeline writes text, but got target_modality={modality!r}: use generate.")
    given = {name: rest.pop(name, None) for name in ("task", "language", "source_lang", "target_lang")}
    if languages is None:
        return given["source_lang"] or given["language"], given["target_lang"], rest
    arguments = resolve_task_arguments(languages, "speech", defaults=generation_config, **given)
    # The first row, `und`, is the same as None.
    codes: tuple[Any, Any] = (arguments.source_lang, arguments.target_lang)
    rows = [0 if code is None else language_index(code, languages) for code in codes]
    source, target = (languages[row] if row else None for row in rows)
    if arguments.task is not None:
        check_task(arguments.task, "speech", "text", source, target)
    if arguments.task == "asr":
        return source or target, None, rest
    return source, None if target == source else target, rest


__all__ = ["Mu2SLAMSpeechRecognitionPipeline"]
