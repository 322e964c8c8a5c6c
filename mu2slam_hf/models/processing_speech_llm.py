# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Processor of a speech encoder with a text model: recordings, prompts and targets to model inputs.

Shapes: B prompts, R recordings, T frames or samples, L positions of a prompt, S tokens of a target.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import BatchFeature, ProcessorMixin

from .language_codes import UNDETERMINED, language_index
from .modules_adapter_growth import AdapterProcessorMixin
from .modules_lengths import audio_embedding_length
from .modules_losses import IGNORE_INDEX
from .modules_speech_inputs import extract_speech, speech_input_name
from .modules_waveforms import read_waveforms
from .processing_mu2slam import check_languages
from .processing_speech_tokenizer import one_per_item
from .task_prompts import PROMPT_TASKS, TEST_PROMPTS, fill_prompt

AUDIO_TOKEN = "<|audio|>"
"""Stands for the recording in a prompt that is given as text."""


class SpeechLLMProcessor(AdapterProcessorMixin, ProcessorMixin):
    """Combines the feature extractor of a speech encoder and the tokenizer of a text model.

    Args:
        feature_extractor: of the speech encoder.
        tokenizer: of the text model.
        languages: languages that prompts may name, `und` first (`config.languages`).
        audio_token_id: `config.audio_token_id`.
        audio_lengths: `config.audio_lengths`.
        is_encoder_decoder: whether the text model is an encoder-decoder. Its prompts end with `</s>` and are padded on
            the right; those of causal text models on the left.
        prompts: prompt of each task in tests and in use, with `{language}` and `{target}`; those of the paper by
            default.
        default_prompt: prompt of calls with audio alone.
        max_audio_seconds: longer recordings are an error; transcription and the pipeline cut them before.
        chat_template: template of the text model's prompts for a user's turn, None for no template.

    Raises:
        ValueError: an invalid list of languages, or an unknown task in `prompts`.
    """

    def __init__(
        self,
        feature_extractor: Any = None,
        tokenizer: Any = None,
        languages: Sequence[str] | None = None,
        audio_token_id: int = 0,
        audio_lengths: Mapping[str, Any] | None = None,
        is_encoder_decoder: bool = True,
        prompts: Mapping[str, str] | None = None,
        default_prompt: str = "Transcribe the preceding audio:",
        max_audio_seconds: float = 30.0,
        chat_template: str | None = None,
    ) -> None:
        super().__init__(feature_extractor, tokenizer, chat_template=chat_template)
        self.languages = check_languages((UNDETERMINED,) if languages is None else languages)
        self.audio_token_id = audio_token_id
        self.audio_lengths = dict(audio_lengths or {"frontend": "conv2d", "stride": 2})
        self.is_encoder_decoder = is_encoder_decoder
        self.prompts = {**TEST_PROMPTS, **(prompts or {})}
        if unknown := sorted(set(self.prompts) - set(PROMPT_TASKS)):
            raise ValueError(f"prompts: unknown task {unknown[0]!r}; these are {', '.join(PROMPT_TASKS)}.")
        self.default_prompt = default_prompt
        self.max_audio_seconds = max_audio_seconds
        self.audio_token = AUDIO_TOKEN

    @property
    def speech_input_name(self) -> str:
        """Name of the recordings in a batch: `input_features` or `input_values`."""
        return speech_input_name(self.feature_extractor.model_input_names) or "input_features"

    @property
    def model_input_names(self) -> list[str]:
        """Names of the outputs of a call with audio and targets."""
        speech = self.speech_input_name
        return [speech, f"{speech}_mask", "input_ids", "attention_mask", "labels"]

    def __call__(
        self,
        audio: Any = None,
        text: str | Sequence[str] | None = None,
        task: str | None = None,
        source_lang: str | Sequence[str | None] | None = None,
        target_lang: str | Sequence[str | None] | None = None,
        text_target: str | Sequence[str] | None = None,
        sampling_rate: float | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Model inputs of a batch.

        Args:
            audio: recordings, in any form that `read_waveforms` accepts.
            text: with audio the prompt, one or one for each recording, in which `<|audio|>` is the place of the
                recording (the beginning by default); without audio the source text for `task="mt"`, else the prompt.
                Text is never read as special tokens.
            task: "asr", "ast" or "mt", whose test prompt is used. Without task and text, the prompt is
                `default_prompt`.
            source_lang: language of the source, one or one for each item.
            target_lang: language of the text to write, likewise.
            text_target: texts that the model shall write.
            sampling_rate: Hz of recordings that do not include their own rate.
            **kwargs: `return_tensors`, always "pt"; `padding`, always by length. Ignored.

        Returns:
            `input_ids` and `attention_mask` `(B, L)`; with audio `input_features` `(R, T, M)` and
            `input_features_mask` `(R, T)` (or `input_values`, `input_values_mask`); with targets `labels`: `(B, S)`,
            or for causal text models `(B, L)` with the targets at the end of `input_ids`; -100 elsewhere.

        Raises:
            ValueError: no input, a recording above `max_audio_seconds`, a language that the prompt names and that is
                not given or unknown, a task that does not match the input, or numbers of items that differ.
        """
        if audio is None and text is None:
            raise ValueError("Nothing to process: pass audio= (recordings), text= (prompts or source texts) or both.")
        if task is not None and task not in PROMPT_TASKS:
            raise ValueError(f"Unknown task {task!r}; known tasks: {', '.join(PROMPT_TASKS)}.")
        if task is not None and (task == "mt") == (audio is not None):
            raise ValueError(f"task={task!r} {'reads texts: omit audio=' if task == 'mt' else 'requires audio='}.")
        outputs: dict[str, Any] = {}
        lengths: list[int] | None = None
        if audio is not None:
            outputs, lengths = self.extract(audio, sampling_rate)
        texts = [text] if isinstance(text, str) else None if text is None else list(text)
        size = len(lengths if lengths is not None else texts or [])
        sources, targets = (
            one_per_item("source_lang", source_lang, size),
            one_per_item("target_lang", target_lang, size),
        )
        if texts is not None and len(texts) == 1:
            texts = texts * size
        if texts is not None and len(texts) != size:
            raise ValueError(f"Expected one prompt, or one for each of {size} recordings; got {len(texts)}.")
        rows = [
            self._build_row(
                None if lengths is None else lengths[index],
                None if texts is None else texts[index],
                task,
                sources[index],
                targets[index],
            )
            for index in range(size)
        ]
        text_targets = [text_target] if isinstance(text_target, str) else text_target
        if text_targets is not None and len(text_targets) != size:
            raise ValueError(f"Every item must have one target: got {len(text_targets)} for {size} items.")
        return BatchFeature(outputs | self.pad_rows(rows, text_targets))

    def extract(self, audio: Any, sampling_rate: float | None) -> tuple[dict[str, Any], list[int]]:
        """Inputs of the encoder, and the number of audio embeddings of each recording; see `__call__`."""
        rate = self.feature_extractor.sampling_rate
        waveforms = read_waveforms(audio, sampling_rate, rate)
        for index, waveform in enumerate(waveforms):
            if len(waveform) > self.max_audio_seconds * rate:
                raise ValueError(
                    f"Recording {index} has {len(waveform) / rate:.1f} s, more than the {self.max_audio_seconds:g} s "
                    "that this model reads at once: use transcribe_recordings or the pipeline for speech recognition, "
                    "which cut recordings at pauses."
                )
        inputs = extract_speech(self.feature_extractor, waveforms, rate, padding=True, return_tensors="pt")
        name, mask = self.speech_input_name, inputs["attention_mask"]
        return {name: inputs[name], f"{name}_mask": mask}, self.count_embeddings(mask)

    def count_embeddings(self, mask: torch.Tensor) -> list[int]:
        """Number of audio embeddings of each recording with the mask `(R, T)` of its features."""
        return [int(count) for count in audio_embedding_length(mask.sum(-1), self.audio_lengths)]

    def encode_prompts(
        self,
        num_embeddings: Sequence[int],
        task: str,
        source_langs: Sequence[str | None],
        target_langs: Sequence[str | None],
    ) -> dict[str, torch.Tensor]:
        """Test prompts of recordings that are encoded already.

        Args:
            num_embeddings: number of audio embeddings of each recording.
            task: asr or ast.
            source_langs: spoken languages.
            target_langs: languages to write.

        Returns:
            `input_ids` and `attention_mask` `(B, L)`.
        """
        items = zip(num_embeddings, source_langs, target_langs, strict=True)
        return self.pad_rows([self._build_row(count, None, task, source, target) for count, source, target in items])

    def build_prompt(self, task: str | None, source_lang: str | None, target_lang: str | None) -> str:
        """The test prompt of a task; the default prompt without one."""
        for code in (source_lang, target_lang):
            if code is not None:
                self.language_row(code)
        return self.default_prompt if task is None else fill_prompt(self.prompts[task], task, source_lang, target_lang)

    def _build_row(
        self, num_embeddings: int | None, text: str | None, task: str | None, source: str | None, target: str | None
    ) -> list[int]:
        if task == "mt":
            prompt = f"{self.build_prompt(task, source, target)} {text}"
        else:
            prompt = text if text is not None else self.build_prompt(task, source, target)
        return self.build_ids(prompt, num_embeddings)

    def build_ids(self, prompt: str, num_embeddings: int | None = None) -> list[int]:
        """Token ids of a prompt, with what the text model expects around it.

        Args:
            prompt: the prompt.
            num_embeddings: number of audio embeddings of its recording; None without one.

        Raises:
            ValueError: the prompt has several places for one recording.
        """
        before, after = self._surroundings()
        if num_embeddings is None:
            return [*before, *self.encode(prompt), *after]
        parts = prompt.split(AUDIO_TOKEN)
        if len(parts) > 2:
            raise ValueError(f"A prompt has {len(parts) - 1} places {AUDIO_TOKEN} for one recording; leave one.")
        first, second = ("", parts[0]) if len(parts) == 1 else parts
        audio = [self.audio_token_id] * num_embeddings
        return [*before, *self.encode(first), *audio, *self.encode(second), *after]

    def encode(self, text: str) -> list[int]:
        """Token ids of a user's text, whose characters are never read as special tokens."""
        if not text:
            return []
        tokenizer = self.tokenizer
        ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        if not special & set(ids):
            return list(ids)
        # A vocabulary of Unigram, as mT5's, has `</s>` among its pieces: written as characters instead.
        rows = [list(tokenizer.convert_ids_to_tokens(one)) if one in special else one for one in ids]
        rows = [tokenizer.convert_tokens_to_ids(row) if isinstance(row, list) else [row] for row in rows]
        return [one for row in rows for one in row if one is not None]

    def _surroundings(self) -> tuple[list[int], list[int]]:
        """Ids before and after a prompt: of the chat template, else those that the tokenizer adds."""
        tokenizer = self.tokenizer
        if self.chat_template is not None:
            turn = [{"role": "user", "content": AUDIO_TOKEN}]
            options = {"tokenize": False, "add_generation_prompt": True}
            shown = tokenizer.apply_chat_template(turn, chat_template=self.chat_template, **options)
            parts = [tokenizer(part, add_special_tokens=False)["input_ids"] for part in shown.split(AUDIO_TOKEN)]
            return parts[0], parts[1]
        plain = tokenizer("a", add_special_tokens=False)["input_ids"]
        whole = tokenizer("a")["input_ids"]
        start = next(index for index in range(len(whole)) if whole[index : index + len(plain)] == plain)
        before, after = whole[:start], whole[start + len(plain) :]
        if not self.is_encoder_decoder:
            return before, []
        return before, after if tokenizer.eos_token_id in after else [*after, tokenizer.eos_token_id]

    def pad_rows(self, rows: Sequence[Sequence[int]], targets: Sequence[str] | None = None) -> dict[str, torch.Tensor]:
        """Padded prompts, and labels if there are targets; see `__call__`."""
        labels: list[list[int]] | None = None
        if targets is not None:
            labels = [[*self.encode(target), self.tokenizer.eos_token_id] for target in targets]
            if not self.is_encoder_decoder:
                prompts = rows
                rows = [[*row, *target] for row, target in zip(rows, labels, strict=True)]
                labels = [[IGNORE_INDEX] * len(row) + own for row, own in zip(prompts, labels, strict=True)]
        left = not self.is_encoder_decoder
        batch = {
            "input_ids": _pad(rows, self.tokenizer.pad_token_id, left),
            "attention_mask": _pad([[1] * len(row) for row in rows], 0, left),
        }
        return batch if labels is None else {**batch, "labels": _pad(labels, IGNORE_INDEX, left)}

    def language_row(self, code: str | None) -> int:
        """Position of a language in `languages`; None is `und`.

        Raises:
            ValueError: it is not there; the message lists the most similar codes.
        """
        return 0 if code is None else language_index(code, self.languages)

    def apply_transcription_request(
        self, audio: Any, language: str | Sequence[str | None] | None = None, **kwargs: Any
    ) -> BatchFeature:
        """Inputs that ask for transcripts, as in processors of transformers.

        Args:
            audio: recordings.
            language: their language, one or one for each.
            **kwargs: of `__call__`.
        """
        return self(audio, task="asr", source_lang=language, **kwargs)

    def post_process_multimodal_output(
        self, generated_outputs: Any, skip_special_tokens: bool = True, **kwargs: Any
    ) -> list[str]:
        """Texts of prompts or of generated ids, for the pipeline `any-to-any`; places of audio have no text."""
        rows = [[token for token in row if token != self.audio_token_id] for row in generated_outputs.tolist()]
        return list(self.tokenizer.batch_decode(rows, skip_special_tokens=skip_special_tokens))

    def check_config(self, config: Any) -> None:
        """Check that this processor matches a model.

        Args:
            config: configuration of the model.

        Raises:
            ValueError: lengths, languages, placeholder or kind of text model differ; the message has all differences.
        """
        names = ("languages", "audio_token_id", "audio_lengths", "is_encoder_decoder")
        differences = [
            f"{name} is {getattr(config, name)!r} in the model and {getattr(self, name)!r} here"
            for name in names
            if getattr(config, name) != getattr(self, name)
        ]
        if len(self.tokenizer) > config.vocab_size:
            differences.append(f"the tokenizer has {len(self.tokenizer)} ids and the text model {config.vocab_size}")
        if differences:
            raise ValueError("This processor does not match this model: " + "; ".join(differences) + ".")


def _pad(rows: Sequence[Sequence[int]], value: int, left: bool) -> torch.Tensor:
    """`(B, L)` int64."""
    length = max(map(len, rows), default=0)
    fills = [[value] * (length - len(row)) for row in rows]
    padded = [[*fill, *row] if left else [*row, *fill] for row, fill in zip(rows, fills, strict=True)]
    return torch.tensor(padded, dtype=torch.int64)


__all__ = ["SpeechLLMProcessor"]
