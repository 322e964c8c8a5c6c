# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What a trained model can do, declared by its class, and the methods by which every family is used.

Transcription, alignment, language identification, evaluation and upload ask for capabilities and never for a class: a
new family declares its own and implements the methods that belong to them.
Shapes: B batch, T input frames (or samples), N output frames, D width, V vocabulary, G languages.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .language_codes import canonical_language
from .modules_layers import linear
from .modules_lengths import downsample_attention_mask
from .modules_losses import mask_ctc_logits


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What the models of a class can do.

    Attributes:
        tasks: names of tasks: `asr`, `ast`, ... of `TASKS`, whose text `write_tokens` gives (for text sources,
            `generate`); `qa`, answers to questions; `classification`, classes of texts or pairs of texts.
        has_ctc: whether `encode_speech` gives CTC logits, from which words get their times.
        identifies_languages: whether `encode_speech` and `compute_languages` give logits of languages.
        generates: whether `write_tokens` accepts the options of `generate`.
        options: names of the options that `write_tokens` of a model that does not generate accepts.
        embeds: whether its encoder gives states of speech or text, from which vectors are made.
        reads_prompts: whether prompts tell it what to write: its processor has `encode_prompts`, whose result is the
            argument `prompts` of `write_tokens`, and tasks and languages are arguments of the processor instead of
            `generate`.
        reads_whole_recordings: whether `encode_whole` and `compute_ctc_logits` read a recording of any length in one
            pass.
        pools: whether its forward pass gives one vector of each item, `pooler_output`, for the dot product; its
            processor takes the `language` of an item.
    """

    tasks: tuple[str, ...] = ()
    has_ctc: bool = False
    identifies_languages: bool = False
    generates: bool = False
    options: tuple[str, ...] = ()
    embeds: bool = False
    reads_prompts: bool = False
    reads_whole_recordings: bool = False
    pools: bool = False

    @property
    def translates(self) -> bool:
        """Whether it writes another language than that of the source."""
        return bool({"ast", "mt"} & set(self.tasks))

    def unsupported_options(self, options: Iterable[str]) -> list[str]:
        """Those of some options that `write_tokens` does not accept, sorted."""
        return [] if self.generates else sorted(set(options) - set(self.options))


def capabilities_of(model: Any) -> Capabilities:
    """The capabilities of a model or class; none for one that does not declare them."""
    return getattr(model, "capabilities", Capabilities())


@dataclass(kw_only=True)
class EncodedSpeech:
    """What the encoder of a model makes of recordings.

    Attributes:
        states: `(B, N, D)`, from which `write_tokens` writes.
        frame_mask: `(B, N)`, 1 or True on frames of the recordings.
        ctc_logits: `(B, N, V)` with the blank `config.pad_token_id`; None without a CTC head.
        language_logits: `(B, G)` in the order of `language_labels`; None without a language head.
    """

    states: Tensor
    frame_mask: Tensor
    ctc_logits: Tensor | None = None
    language_logits: Tensor | None = None


class InferenceMixin:
    """Base of the models that inference uses; see [`Capabilities`] for the methods that each capability needs."""

    capabilities = Capabilities()
    config: Any
    main_input_name: str
    __call__: Callable[..., Any]

    @property
    def samples_per_frame(self) -> int:
        """Audio samples per output frame."""
        return self.config.inputs_to_logits_ratio

    @property
    def speech_input_name(self) -> str:
        """Name of the input for speech, `input_features` or `input_values`."""
        return self.main_input_name

    @property
    def language_labels(self) -> list[str]:
        """Codes of the languages that `encode_speech` distinguishes, in the order of its logits."""
        return list(self.config.languages)

    def encode_speech(self, speech: Tensor, attention_mask: Tensor, language_ids: Tensor) -> EncodedSpeech:
        """Encode recordings.

        Args:
            speech: `(B, T, M)` features or `(B, samples)` waveforms, the input `speech_input_name` of the model.
            attention_mask: `(B, T)`, 1 on real frames.
            language_ids: `(B,)` int64 rows of the spoken languages; 0 means unknown.
        """
        raise TypeError(f"{type(self).__name__} does not read speech.")

    def write_tokens(
        self,
        states: Sequence[Tensor],
        ctc_log_probs: Sequence[Tensor | None],
        *,
        source_langs: Sequence[str | None],
        target_langs: Sequence[str | None],
        transcripts: Sequence[Sequence[int]] | None = None,
        **options: Any,
    ) -> list[list[int]]:
        """Write a text for each recording.

        Args:
            states: `(N, D)` of each recording, from `encode_speech`.
            ctc_log_probs: `(N, V)` of each recording, restricted to tokens of its language; None without a CTC head.
            source_langs: spoken languages; None means unknown.
            target_langs: languages to write.
            transcripts: tokens of the transcripts of the recordings, to be translated in place of the states.
            **options: of `generate`, if the model generates, else those of `Capabilities.options`.

        Returns:
            the token ids of each text.
        """
        raise TypeError(f"{type(self).__name__} does not write text.")


class CTCInferenceMixin(InferenceMixin):
    """Use of models whose forward pass gives CTC logits `(B, N, V)`: the text is the best path."""

    capabilities = Capabilities(tasks=("asr",), has_ctc=True, embeds=True, reads_whole_recordings=True)
    base_model: Any
    ctc_head: nn.Linear

    def encode_speech(self, speech: Tensor, attention_mask: Tensor, language_ids: Tensor) -> EncodedSpeech:
        """As in [`InferenceMixin`]; the states are the logits."""
        inputs = {self.main_input_name: speech, "attention_mask": attention_mask, "language_ids": language_ids}
        logits = self(**inputs, return_dict=True).logits
        return EncodedSpeech(states=logits, frame_mask=self.compute_frame_mask(attention_mask), ctc_logits=logits)

    def encode_whole(self, speech: Tensor, language_ids: Tensor) -> Tensor:
        """Encoder states `(N, D)` of a recording of any length.

        Args:
            speech: `(1, T, M)` features or `(1, samples)` waveform.
            language_ids: `(1,)` int64 row of the spoken language.
        """
        inputs = {self.main_input_name: speech, "language_ids": language_ids}
        return self.base_model(**inputs, return_dict=True).last_hidden_state[0]

    def compute_ctc_logits(self, states: Tensor) -> Tensor:
        """CTC logits `(..., N, V)`, at least float32, of encoder states `(..., N, D)`."""
        return mask_ctc_logits(linear(self.ctc_head, states), self.config)

    def compute_frame_mask(self, attention_mask: Tensor) -> Tensor:
        """Mask `(B, N)` of the output frames of inputs with the mask `(B, T)`."""
        return downsample_attention_mask(attention_mask, self.config.encoder_config)

    def write_tokens(
        self, states: Sequence[Tensor], ctc_log_probs: Sequence[Tensor | None], **options: Any
    ) -> list[list[int]]:
        """The best path of each recording, without repetitions and blanks; see [`InferenceMixin`]."""
        paths = [torch.unique_consecutive(log_probs.argmax(dim=-1)) for log_probs in ctc_log_probs]
        return [path[path != self.config.pad_token_id].tolist() for path in paths]


class ClassifierInferenceMixin(InferenceMixin):
    """Use of classifiers of recordings or texts whose classes are languages."""

    capabilities = Capabilities(tasks=("classification",), identifies_languages=True, embeds=True)

    @property
    def language_labels(self) -> list[str]:
        """Codes of the classes, in the order of the logits.

        Raises:
            ValueError: the classes are not languages.
        """
        names = [self.config.id2label[index] for index in range(self.config.num_labels)]
        try:
            return [canonical_language(name) for name in names]
        except ValueError:
            raise ValueError(f"the classes of this model are not languages: {', '.join(names[:5])}") from None

    def encode_speech(self, speech: Tensor, attention_mask: Tensor, language_ids: Tensor) -> EncodedSpeech:
        """As in [`InferenceMixin`]; the language is not an input."""
        logits = self.compute_languages(**{self.main_input_name: speech, "attention_mask": attention_mask})
        mask = torch.ones(len(logits), 1, dtype=torch.int64, device=logits.device)
        return EncodedSpeech(states=logits[:, None], frame_mask=mask, language_logits=logits)

    def compute_languages(self, **inputs: Any) -> Tensor:
        """Logits `(B, G)` of recordings or texts."""
        return self(**inputs, return_dict=True).logits
