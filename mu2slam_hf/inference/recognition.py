# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recognition of the windows of recordings in batches: one pass of the encoder for languages, CTC and decoder.

Shapes: `n` samples, N encoder frames, D width, V vocabulary.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mu2slam_hf.data.sound_features import measure_sound
from mu2slam_hf.data.text import decode_written
from mu2slam_hf.inference.alignment import AlignedWord, align_log_probs, default_level
from mu2slam_hf.inference.language_average import language_probabilities
from mu2slam_hf.inference.no_speech import AGREEMENT, NoSpeechSettings, measure_agreement, measure_ctc
from mu2slam_hf.inference.transcripts import join_words
from mu2slam_hf.inference.translation import translate
from mu2slam_hf.inference.windows import RecognizedWindow, Window
from mu2slam_hf.models.generation_assisted import SourceAssistant, map_assistant_languages
from mu2slam_hf.models.generation_settings import DEFAULT_MAX_REPEATS, find_setting
from mu2slam_hf.models.generation_tokens import exclude_from_ctc, excluded_tokens, find_loop
from mu2slam_hf.models.modules_capabilities import EncodedSpeech, capabilities_of
from mu2slam_hf.models.modules_language_adapters import use_adapter
from mu2slam_hf.models.modules_lengths import group_by_size
from mu2slam_hf.models.modules_speech_inputs import extract_speech


def _with_adapter(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of the recognizer that uses its adapter; between calls, others may use other ones."""

    @wraps(method)
    def call(self: "WindowRecognizer", *args: Any, **kwargs: Any) -> Any:
        with use_adapter(self.model, self.adapter_name):
            return method(self, *args, **kwargs)

    return call


class WindowRecognizer:
    """Runs a model on windows.

    Args:
        model: a model with the capability `asr` or `identifies_languages`, in evaluation mode.
        processor: its processor.
        batch_seconds: maximum seconds of audio in a batch, including padding.
        adapter_name: adapter of the model; None: the one in use.
        generate_kwargs: passed to `generate`.
        ctc_decoder: see `TranscriptionOptions`.

    Raises:
        ValueError: the model can do neither, or does not support the options.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        batch_seconds: float = 60.0,
        adapter_name: str | None = None,
        generate_kwargs: Mapping[str, Any] | None = None,
        ctc_decoder: Callable[[np.ndarray], str] | None = None,
    ):
        self.capabilities = capabilities_of(model)
        if "asr" not in self.capabilities.tasks and not self.capabilities.identifies_languages:
            raise ValueError(
                f"{type(model).__name__} cannot transcribe; use Mu2SLAMForConditionalGeneration or Mu2SLAMForCTC."
            )
        if unsupported := self.capabilities.unsupported_options(generate_kwargs or ()):
            given = ", ".join(unsupported)
            raise ValueError(f"A CTC model writes the spoken language only, and does not support {given}.")
        self.model, self.processor = model, processor
        self.language_labels = model.language_labels if self.capabilities.identifies_languages else []
        self.batch_seconds, self.adapter_name, self.ctc_decoder = batch_seconds, adapter_name, ctc_decoder
        self.generate_kwargs = dict(generate_kwargs or {})
        self.assistant = self.generate_kwargs.pop("assistant_model", None)
        if self.assistant is not None:
            self.batch_seconds = 0.0
            self.assistant_rows = map_assistant_languages(model, self.assistant)
        self.sampling_rate = processor.feature_extractor.sampling_rate
        self.frame_seconds = model.samples_per_frame / self.sampling_rate
        self.no_speech = NoSpeechSettings.from_model(model)
        self.max_repeats = find_setting(model, "max_repeats", default=DEFAULT_MAX_REPEATS)

    @torch.no_grad()
    @_with_adapter
    def compute_blanks(self, waveform: np.ndarray, source_lang: str | None = None) -> np.ndarray:
        """Probability `(N,)` of the CTC blank in each encoder frame of `(n,)` samples in a language."""
        parts = []
        for start in range(0, len(waveform), 30 * self.sampling_rate):
            piece = waveform[start : start + 30 * self.sampling_rate]
            _, (log_probs,), (probabilities,) = self._encode_batch([piece], [source_lang])
            assert log_probs is not None  # asked of models with a CTC head only
            log_probs = self._restrict(log_probs, source_lang, probabilities)
            parts.append(log_probs[:, self.model.config.pad_token_id].exp().numpy())
        return np.concatenate(parts)

    @torch.no_grad()
    @_with_adapter
    def encode(
        self, windows: Sequence[Window], source_langs: Sequence[str | None] | None = None
    ) -> list[RecognizedWindow]:
        """Run the encoder; decides, as far as possible without the decoder, which windows have no speech.

        Args:
            windows: windows of any recordings.
            source_langs: the spoken language of each window; None means unknown.
        """
        langs = source_langs or [None] * len(windows)
        results = [
            RecognizedWindow(window=window, num_samples=len(window.waveform), source_lang=lang)
            for window, lang in zip(windows, langs, strict=True)
        ]
        for result in results:
            result.level_dbfs, result.features = measure_sound(result.window.waveform, self.sampling_rate)
            is_silent = self.no_speech.is_silent(result.level_dbfs)
            result.has_speech = not is_silent and self.no_speech.score(result.features) > 0
        sounding = [result for result in results if result.has_speech]
        for batch in self._batches(sounding, [result.num_samples / self.sampling_rate for result in sounding]):
            encoded = self._encode_windows(batch)
            for result, states, log_probs, probabilities in zip(batch, *encoded, strict=True):
                result.states, result.log_probs, result.language_probabilities = states, log_probs, probabilities
                if self.assistant is not None:
                    result.assistant_states = self._encode_for_assistant(result)
                if log_probs is not None:
                    restricted = self._restrict(log_probs, result.source_lang, probabilities)
                    blank = self.model.config.pad_token_id
                    result.features |= measure_ctc(restricted, blank, 1 / self.frame_seconds)
                result.has_speech = self.no_speech.score(result.features) > 0
        for result in results:
            result.window = replace(result.window, waveform=result.window.waveform[:0], states=None)
        return results

    @torch.no_grad()
    @_with_adapter
    def encode_whole(self, waveform: np.ndarray, source_lang: str | None = None) -> Tensor:
        """Encoder states `(N, D)` on the CPU of `(n,)` samples of any length, which are read in one pass."""
        inputs = extract_speech(self.processor.feature_extractor, [waveform], self.sampling_rate, return_tensors="pt")
        speech = inputs[self.model.speech_input_name].to(self.model.device, self.model.dtype)
        row = torch.tensor([self.processor.language_row(source_lang)], device=self.model.device)
        return self.model.encode_whole(speech, row).cpu()

    def _encode_windows(self, windows: Sequence[RecognizedWindow]) -> Any:
        """As `_encode_batch`; windows of a channel that was encoded whole have its states."""
        if windows[0].window.states is None:
            return self._encode_batch(
                [result.window.waveform for result in windows], [result.source_lang for result in windows]
            )
        states, log_probs = [], []
        for result in windows:
            assert result.window.states is not None
            whole, per_frame = result.window.states, self.model.samples_per_frame
            first = min(round(result.window.start_sample / per_frame), len(whole) - 1)
            states.append(whole[first : first + max(1, -(-result.num_samples // per_frame))].to(self.model.device))
            log_probs.append(self.model.compute_ctc_logits(states[-1]).float().log_softmax(dim=-1).cpu())
        return states, log_probs, [None] * len(states)

    def _encode_for_assistant(self, result: RecognizedWindow) -> Tensor:
        """States `(N, D)` of the assistant of assisted decoding."""
        assert self.assistant is not None
        inputs = self.processor(audio=[result.window.waveform], sampling_rate=self.sampling_rate, return_tensors="pt")
        features = inputs[self.assistant.main_input_name].to(self.assistant.device, self.assistant.dtype)
        row = self.assistant_rows[[self.processor.language_row(result.source_lang)]].to(self.assistant.device)
        encoder, name = self.assistant.get_encoder(), self.assistant.main_input_name
        return encoder(**{name: features}, language_ids=row, return_dict=True).last_hidden_state[0]

    def _encode_batch(
        self, waveforms: Sequence[np.ndarray], source_langs: Sequence[str | None]
    ) -> tuple[list[Tensor], list[Tensor | None], Sequence[Mapping[str, float] | None]]:
        """States, CTC log posteriors and language probabilities of each recording."""
        model = self.model
        extractor = self.processor.feature_extractor
        inputs = extract_speech(extractor, list(waveforms), self.sampling_rate, return_tensors="pt")
        speech = inputs[model.speech_input_name].to(model.device, model.dtype)
        rows = torch.tensor([self.processor.language_row(lang) for lang in source_langs], device=model.device)
        encoded: EncodedSpeech = model.encode_speech(speech, inputs["attention_mask"].to(model.device), rows)
        lengths = [int(length) for length in encoded.frame_mask.sum(dim=-1).tolist()]
        log_probs: list[Tensor | None] = [None] * len(lengths)
        if encoded.ctc_logits is not None:
            every = encoded.ctc_logits.float().log_softmax(dim=-1).cpu()
            log_probs = [every[row, :length] for row, length in enumerate(lengths)]
        states = [encoded.states[row, :length] for row, length in enumerate(lengths)]
        if not all(bool(frames.isfinite().all()) for frames in states):
            raise ValueError(
                f"the encoder gives NaN or infinite values in {model.dtype}; use float32, or another model"
            )
        if encoded.language_logits is None:
            return states, log_probs, [None] * len(lengths)
        return states, log_probs, language_probabilities(encoded.language_logits, self.language_labels)

    @torch.no_grad()
    @_with_adapter
    def transcribe(
        self, windows: Sequence[RecognizedWindow], languages: Sequence[str | None], level: str | None = None
    ) -> None:
        """Write the transcripts of windows with speech and align them; the agreement of CTC may find no speech.

        Args:
            windows: from `encode`.
            languages: the language to write, one for each window.
            level: of the words, "word" or "token"; None means that of the language.
        """
        for result, lang in zip(windows, languages, strict=True):
            result.written_language = lang
        speaking = [result for result in windows if result.has_speech]
        for batch in self._batches(speaking, [len(result.states) * self.frame_seconds for result in speaking]):
            if self.ctc_decoder is not None:
                ids = [self._decode_ctc(result) for result in batch]
            else:
                ids = self._write(batch, [result.written_language for result in batch], task="asr")
            for result, tokens in zip(batch, ids, strict=True):
                self._finish(result, tokens, level or default_level(result.written_language))

    def _finish(self, one: RecognizedWindow, ids: list[int], level: str) -> None:
        blank = self.model.config.pad_token_id
        if AGREEMENT in self.no_speech.weights and one.log_probs is not None:
            one.features[AGREEMENT] = measure_agreement(self._written_log_probs(one), ids, blank)
            one.has_speech = self.no_speech.score(one.features) > 0
        one.no_speech_probability = self.no_speech.no_speech_probability(one.features)
        one.text = self._to_text(ids) if one.has_speech else ""
        one.has_speech = bool(one.text)
        one.token_ids = ids if one.has_speech else []
        if not one.has_speech or one.log_probs is None:
            return
        try:
            one.words = self._align(one, level)
        except ValueError:  # a text too long for the window
            return

    def _align(self, one: RecognizedWindow, level: str) -> tuple[AlignedWord, ...]:
        """The words (tokens) of a transcript with their times in the recording."""
        start = one.window.start_sample / self.sampling_rate
        alignment = align_log_probs(
            self.processor.tokenizer,
            [self._written_log_probs(one)],
            one.text,
            blank=self.model.config.pad_token_id,
            level=level,
            frame_seconds=self.frame_seconds,
            duration_seconds=one.num_samples / self.sampling_rate,
        )
        return tuple(
            replace(word, start_seconds=word.start_seconds + start, end_seconds=word.end_seconds + start)
            for word in alignment.words
        )

    def _written_log_probs(self, one: RecognizedWindow) -> Tensor:
        """CTC log posteriors `(N, V)` of a window in the language of its transcript."""
        assert one.log_probs is not None
        return self._restrict(one.log_probs, one.written_language, one.language_probabilities)

    def _restrict(
        self, log_probs: Tensor, language: str | None, probabilities: Mapping[str, float] | None = None
    ) -> Tensor:
        """CTC log posteriors `(N, V)` without tokens of other languages (`config.restricted_tokens`).

        Args:
            log_probs: `(N, V)` of all tokens.
            language: the language; None means the most probable one, else unknown.
            probabilities: by language.
        """
        if not getattr(self.model.config, "restricted_tokens", None):
            return log_probs
        row = self.processor.language_row(language)
        if row == 0 and language is None and probabilities:
            row = self.processor.language_row(max(probabilities, key=lambda code: probabilities[code]))
        excluded = excluded_tokens(self.model.config, [row])
        return exclude_from_ctc(log_probs[None], excluded)[0].log_softmax(dim=-1)

    def _decode_ctc(self, result: RecognizedWindow) -> list[int]:
        assert self.ctc_decoder is not None
        text = self.ctc_decoder(self._written_log_probs(result).numpy())
        return self.processor.tokenizer(text, add_special_tokens=False)["input_ids"]

    def read_best_path(self, one: RecognizedWindow) -> str:
        """The text of CTC alone, without a search: a guess at what `transcribe` writes; "" without speech or CTC."""
        if one.log_probs is None or not one.has_speech:
            return ""
        ids = torch.unique_consecutive(self._written_log_probs(one).argmax(dim=-1)).tolist()
        return self._to_text([token for token in ids if token != self.model.config.pad_token_id])

    @torch.no_grad()
    @_with_adapter
    def translate(self, windows: Sequence[RecognizedWindow], target_lang: str) -> None:
        """Write the translations of windows with speech; only of the speech between their cuts.

        A model that translates transcripts (`translate_transcript`) reads those that were written before.
        """
        speaking = [(result, self._core_tokens(result, target_lang)) for result in windows if result.has_speech]
        for pairs in ([pair for pair in speaking if pair[1]], [pair for pair in speaking if not pair[1]]):
            seconds = [len(result.states) * self.frame_seconds for result, _ in pairs]
            for batch in self._batches(pairs, seconds):
                results, texts = zip(*batch, strict=True)
                transcripts = texts if texts[0] else None
                ids = self._write(results, [target_lang] * len(results), only_core=True, transcripts=transcripts)
                for result, tokens in zip(results, ids, strict=True):
                    result.translations[target_lang] = self._to_text(tokens)

    @_with_adapter
    def translate_texts(self, texts: Sequence[str], source_lang: str | None, target_lang: str) -> list[str]:
        """Translations of texts that were not spoken; see `translation.translate`."""
        options = {name: value for name, value in self.generate_kwargs.items() if name != "translate_transcript"}
        return translate(
            self.model, self.processor, texts, source_lang=source_lang, target_lang=target_lang, **options
        )

    def _core_tokens(self, one: RecognizedWindow, target_lang: str) -> list[int]:
        """Transcript tokens between the cuts of a window; none if the translation is made from the speech."""
        is_read = find_setting(self.model, "translate_transcript", self.generate_kwargs.get("translate_transcript"))
        if not is_read or self.assistant is not None or target_lang == one.written_language:
            return []
        if one.window.core_start == 0 and one.window.core_stop >= one.num_samples:
            return one.token_ids
        start, stop = (
            (one.window.start_sample + cut) / self.sampling_rate
            for cut in (one.window.core_start, one.window.core_stop)
        )
        words = [word for word in one.words if start <= (word.start_seconds + word.end_seconds) / 2 < stop]
        return self.processor.tokenizer(join_words(words), add_special_tokens=False)["input_ids"]

    def _write(
        self,
        windows: Sequence[RecognizedWindow],
        target_langs: Sequence[str | None],
        only_core: bool = False,
        transcripts: Sequence[Sequence[int]] | None = None,
        **options: Any,
    ) -> list[list[int]]:
        """Tokens for each window, written from its states or, if they are given, from transcripts."""
        source_langs = [result.written_language for result in windows]
        parts = [self._core_frames(result) if only_core else slice(None) for result in windows]
        states = [result.states[part] for result, part in zip(windows, parts, strict=True)]
        if self.assistant is not None and windows[0].assistant_states is not None:
            # One at a time, as in transformers.
            own = self.assistant.stack_states([windows[0].assistant_states[parts[0]]])
            options["assistant_model"] = SourceAssistant(self.assistant, own, self.assistant_rows)
        if self.capabilities.reads_prompts:
            lengths, task = [len(row) for row in states], options.pop("task", "ast")
            options["prompts"] = self.processor.encode_prompts(lengths, task, source_langs, target_langs)
        if self.capabilities.generates:
            options = {"max_repeats": self.max_repeats, **options}
        ids = self.model.write_tokens(
            states,
            [None if result.log_probs is None else self._written_log_probs(result) for result in windows],
            source_langs=source_langs,
            target_langs=target_langs,
            transcripts=transcripts,
            **options | self.generate_kwargs,
        )
        if not self.capabilities.generates:
            return ids
        special = set(self.processor.tokenizer.all_special_ids)
        texts = [[token for token in row if token not in special] for row in ids]
        weight = self.generate_kwargs.get("ctc_weight", getattr(self.model.generation_config, "ctc_weight", None))
        # What CTC scores may repeat itself, if that is what is spoken; as in `generate`.
        return [
            row if weight and source == target else row[: find_loop(row, self.max_repeats)]
            for row, source, target in zip(texts, source_langs, target_langs, strict=True)
        ]

    def _core_frames(self, one: RecognizedWindow) -> slice:
        """The encoder frames of the piece itself, without what it shares with its neighbours."""
        per_frame = self.model.samples_per_frame
        first = min(one.window.core_start // per_frame, len(one.states) - 1)
        return slice(first, max(first + 1, -(-one.window.core_stop // per_frame)))

    def _to_text(self, ids: list[int]) -> str:
        return " ".join(decode_written(self.processor.tokenizer, [ids])[0].split())

    def _batches(self, items: Sequence[Any], seconds: Sequence[float]) -> Iterator[list[Any]]:
        """Batches of similar length, longest first; one by one if there is no budget."""
        budget, size = (self.batch_seconds, max(len(items), 1)) if self.batch_seconds > 0 else (float("inf"), 1)
        for indices in group_by_size(seconds, budget, size):
            yield [items[index] for index in indices]
