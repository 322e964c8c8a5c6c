# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The part of a processor that turns speech ids into sound: it holds, saves, loads and calls the speech synthesizer.

Shapes: `B` items, `N` speech ids (25 per second), 640 samples for each at 16 kHz.
"""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import BatchFeature

from .language_codes import language_index
from .modeling_speech_synthesizer import SpeechSynthesizerModel
from .processing_speech_tokenizer import SPEECH_TOKENIZER_FOLDER, SpeechTokenizerProcessorMixin, one_per_item

# Subfolder of the speech synthesizer in a saved processor.
SPEECH_SYNTHESIZER_FOLDER = "speech_synthesizer"
# Choice: batches of about a minute, so that a long list of items needs no more memory than this.
_IDS_AT_ONCE = 1500


class SpeechOutputProcessorMixin(SpeechTokenizerProcessorMixin):
    """Base of processors that also hold an optional speech synthesizer, in the subfolder `speech_synthesizer`."""

    held_models = {
        **SpeechTokenizerProcessorMixin.held_models,
        SPEECH_SYNTHESIZER_FOLDER: (SpeechSynthesizerModel, "has_speech_synthesizer"),
    }
    speech_synthesizer: Any

    def set_speech_synthesizer(self, speech_synthesizer: Any) -> None:
        """Set the model of `decode_speech`; None for none.

        Raises:
            ValueError: it is not a synthesizer of ids, or has another codebook than the speech tokenizer.
        """
        if speech_synthesizer is not None:
            check_synthesizer(speech_synthesizer, self._num_speech_tokens())
        self.speech_synthesizer = speech_synthesizer

    def check_speaks(
        self, lang: str | Sequence[str | None] | None = None, speaker: str | Sequence[str | None] | None = None
    ) -> Any:
        """The speech synthesizer, after a check that it has languages and voices.

        Args:
            lang: as in `decode_speech`.
            speaker: as in `decode_speech`.

        Raises:
            ValueError: there is no synthesizer, or the language or the voice is unknown.
        """
        synthesizer = self.speech_synthesizer
        if synthesizer is None:
            raise ValueError(
                "This processor has no speech synthesizer, which makes sound of speech ids: train one by `mu2slam "
                "train --recipe speech_synthesizer/prompts5`, then call set_speech_synthesizer("
                "SpeechSynthesizerModel.from_pretrained(folder)) and save_pretrained."
            )
        codes, voices = ([item] if item is None or isinstance(item, str) else item for item in (lang, speaker))
        for code in codes:
            language_row(synthesizer.config, code)
        for voice in voices:
            if voice is not None:
                speaker_row(synthesizer.config, voice)
        return synthesizer

    def _num_speech_tokens(self) -> int | None:
        """Size of the codebook; None if it is not known."""
        tokenizer = self.speech_tokenizer
        return None if tokenizer is None else tokenizer.config.num_codevectors_per_group

    def _codebook_entries(self, ids: Sequence[int]) -> list[int]:
        """Entries of the codebook for the ids of one item."""
        return [int(entry) for entry in ids]

    @torch.no_grad()
    def decode_speech(
        self,
        ids: Any,
        lang: str | Sequence[str | None] | None = None,
        speaker: str | Sequence[str | None] | None = None,
        seed: int = 0,
    ) -> Any:
        """Waveforms of speech ids: the reverse of `encode_speech`.

        Args:
            ids: ids of one item, or of a list of items: lists, arrays or tensors; special tokens are left out.
            lang: language, a code for all items or one for each; None means unknown.
            speaker: voice, one of the training data, for all items or one for each; None: that of the language.
            seed: seed of the first phases of Griffin-Lim.

        Returns:
            `(640 N,)` float32 at 16 kHz for one item, else a list of these.

        Raises:
            ValueError: there is no synthesizer, an item has no ids, an id is outside the codebook, or the language or
                the voice is unknown.
        """
        synthesizer = self.check_speaks(lang, speaker)
        rows, is_single = split_id_rows(ids)
        entries = [self._codebook_entries(row) for row in rows]
        for number, row in enumerate(entries):
            if not row:
                raise ValueError(f"Item {number} has no speech ids, of which sound could be made.")
        codes, voices = one_per_item("lang", lang, len(rows)), one_per_item("speaker", speaker, len(rows))
        languages = [language_row(synthesizer.config, code) for code in codes]
        speakers = [speaker_row(synthesizer.config, voice, code) for voice, code in zip(voices, codes, strict=True)]
        waveforms: list[Any] = [None] * len(rows)
        # Longest first, so that the items of a batch have similar lengths.
        order = sorted(range(len(rows)), key=lambda number: -len(entries[number]))
        while order:
            size = max(1, _IDS_AT_ONCE // len(entries[order[0]]))
            batch, order = order[:size], order[size:]
            input_ids, mask = pad_id_rows([entries[number] for number in batch])
            device = synthesizer.device
            samples = synthesizer.synthesize(
                input_ids.to(device),
                mask.to(device),
                torch.tensor([languages[number] for number in batch], device=device),
                torch.tensor([speakers[number] for number in batch], device=device),
                seed=seed,
            )
            for number, row, length in zip(batch, samples.cpu().numpy(), mask.sum(dim=1).tolist(), strict=True):
                waveforms[number] = row[: length * (len(row) // mask.shape[1])].copy()
        return waveforms[0] if is_single else waveforms


class SpeechSynthesizerProcessor(SpeechOutputProcessorMixin):
    """The processor in the folder of a speech synthesizer: recordings to its inputs, and its ids to sound.

    Args:
        feature_extractor: [`Mu2SLAMFeatureExtractor`] of the log-mel frames.
        speech_tokenizer: [`SpeechTokenizerModel`] of the ids, saved in the subfolder `speech_tokenizer`.
        speech_synthesizer: the [`SpeechSynthesizerModel`]; the one of the folder is set by the caller.
        chat_template: ignored; accepted because transformers passes it to every processor.
    """

    # The model of the folder is beside the processor, not in a subfolder.
    held_models = {SPEECH_TOKENIZER_FOLDER: SpeechTokenizerProcessorMixin.held_models[SPEECH_TOKENIZER_FOLDER]}
    # There is no text; the Trainer of transformers aligns these with the model.
    tokenizer = SimpleNamespace(eos_token_id=None, bos_token_id=None, pad_token_id=None)

    def __init__(
        self,
        feature_extractor: Any = None,
        speech_tokenizer: Any = None,
        speech_synthesizer: Any = None,
        chat_template: str | None = None,
    ) -> None:
        super().__init__(feature_extractor, chat_template=chat_template)
        self.set_speech_tokenizer(speech_tokenizer)
        self.set_speech_synthesizer(speech_synthesizer)

    @classmethod
    def get_attributes(cls) -> list[str]:
        """The parts that transformers loads and saves."""
        return ["feature_extractor"]

    def to_dict(self) -> dict[str, Any]:
        """As in the base class, without the synthesizer."""
        synthesizer = self.__dict__.pop(SPEECH_SYNTHESIZER_FOLDER, None)
        try:
            return super().to_dict()
        finally:
            self.speech_synthesizer = synthesizer

    @property
    def model_input_names(self) -> list[str]:
        """Names of the outputs of a call."""
        return ["input_ids", "attention_mask"]

    def __call__(self, audio: Any, sampling_rate: float | None = None, **kwargs: Any) -> BatchFeature:
        """Speech ids of recordings, as inputs of the synthesizer.

        Args:
            audio: recordings, in any form that [`Mu2SLAMFeatureExtractor`] accepts.
            sampling_rate: Hz of the audio.
            **kwargs: ignored.

        Returns:
            `input_ids` and `attention_mask` `(B, N)` int64.
        """
        input_ids, mask = pad_id_rows(self.tokenize_speech(audio, sampling_rate))
        return BatchFeature({"input_ids": input_ids, "attention_mask": mask})


def check_synthesizer(model: Any, num_speech_tokens: int | None) -> None:
    """Check that a model makes sound of the ids of a codebook.

    Raises:
        ValueError: another model, or another size of the codebook.
    """
    if not isinstance(model, SpeechSynthesizerModel):
        raise ValueError(f"speech_synthesizer must be a SpeechSynthesizerModel, got {type(model).__name__}.")
    if num_speech_tokens is not None and model.config.num_speech_tokens != num_speech_tokens:
        raise ValueError(
            f"The codebook of the speech synthesizer has {model.config.num_speech_tokens} entries, that of the speech "
            f"ids {num_speech_tokens}: they belong to different speech tokenizers."
        )


def split_id_rows(ids: Any) -> tuple[list[Any], bool]:
    """The rows of ids of one or several items, and whether it is one item."""
    if isinstance(ids, torch.Tensor):
        ids = ids.detach().cpu().numpy()
    if isinstance(ids, np.ndarray):
        return (list(ids), False) if ids.ndim == 2 else ([ids], True)
    rows = [row.tolist() if isinstance(row, (torch.Tensor, np.ndarray)) else row for row in ids]
    if rows and all(isinstance(row, (list, tuple)) for row in rows):
        return rows, False
    return [rows], True


def pad_id_rows(rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids of several items, 0 on padding, and their mask, 1 on real ids: `(B, N)` int64 both."""
    tensors = [torch.tensor(list(row), dtype=torch.int64) for row in rows]
    return pad_sequence(tensors, batch_first=True), pad_sequence([torch.ones_like(row) for row in tensors], True)


def language_row(config: Any, code: str | None) -> int:
    """Row of a language in the table of a synthesizer; None is `und`.

    Raises:
        ValueError: its training data have no such language; the message lists those that they have.
    """
    return 0 if code is None else language_index(code, config.languages)


def speaker_row(config: Any, speaker: str | None, lang: str | None = None) -> int:
    """Row of a voice in the table of a synthesizer; None is the usual voice of the language.

    Raises:
        ValueError: there is no such voice; the message lists those that there are.
    """
    if speaker is None:
        speaker = (config.default_speakers or {}).get(config.languages[language_row(config, lang)], "und")
    if speaker not in config.speakers:
        known = ", ".join(config.speakers[1:]) or "none"
        raise ValueError(
            f"speaker {speaker!r} is not a voice of this synthesizer, which knows those of its training data only: "
            f"{known}."
        )
    return list(config.speakers).index(speaker)


__all__ = ["SPEECH_SYNTHESIZER_FOLDER", "SpeechOutputProcessorMixin", "SpeechSynthesizerProcessor"]
