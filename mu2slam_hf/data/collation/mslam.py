# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""From a mixed batch of speech, text and pairs to the inputs of mSLAM's pre-training model.

Legend: U = utterances, T = frames (or samples) that the front end reads, N = encoder frames, W = texts, L = tokens of
the longest one, P = pairs, Q = negatives, C = labels of the longest transcript.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mu2slam_hf.data.collation.mu2slam import list_text_ids
from mu2slam_hf.data.collation.supervised import IGNORED, SpeechInputs, TranscriptCheck
from mu2slam_hf.data.examples.dataset import Item
from mu2slam_hf.data.examples.draws import DrawnExample
from mu2slam_hf.data.masking import IntArray, corrupt_tokens, draw_frame_mask
from mu2slam_hf.data.random_keys import draw_generator
from mu2slam_hf.data.span_masking import MSLAMMaskingConfig, draw_negatives, draw_token_spans
from mu2slam_hf.models.task_types import MSLAM_TASKS

# Of an utterance that nothing asks about: one encoder frame of the front ends that read features, and of `waveform`
# with the usual convolutions (shorter ones are filled up).
_SILENT_SAMPLES = 640


class MSLAMCollator:
    """Makes one batch of examples of the tasks speech, text and asr: each utterance and each text one padded row.

    The batch has `input_features` `(U, T, M)` float32 (`(U, samples)` for the front end `waveform`) and
    `attention_mask` `(U, T)` int64, 1 on what is real; `speech_mask` `(U, N)` bool, True = masked; `negative_frames`
    `(U, N, Q)` int64, see `draw_negatives`, -1 also in all rows of pairs; `noise_seed` `(U,)` int64, of the random
    vectors in place of masked frames; `text_ids` `(W, L)` int64, masked already, each text with its `</s>`,
    `text_attention_mask` and `text_labels` `(W, L)`, -100 where nothing is asked; `pair_speech_rows` and
    `pair_text_rows` `(P,)` int64; `ctc_labels` `(U, C)` int64, -100 as padding and in all rows without a transcript;
    and `record_ids`, ids of the examples for messages. Without speech there is one silent row, without text one of
    padding, that nothing asks about. Items with an error are left out.

    Paper: mSLAM has speech by itself, text by itself, and pairs of speech and its transcript (TLM and CTC).
    Choice: `<unk>` is read, and never predicted; `</s>` is read and never masked.
    Choice: a transcript that has more labels than frames gets no CTC loss; it is counted and named once.

    Args:
        processor: has `feature_extractor` and `tokenizer`.
        seed: of the run; with epoch, copy, id and purpose it decides every mask, negative and seed of noise.
        masking: the rules.
        num_negatives: Q. w2v-BERT: 100.
        encoder_config: of the model, names its front end; None for `conv2d`.
        pad_to_multiple_of: of L and C, limits the number of shapes.
        pad_frames_to_multiple_of: of T.

    Raises:
        ValueError: a number below 1, or a front end that reads something else than the feature extractor makes.
    """

    def __init__(
        self,
        processor: Any,
        *,
        seed: int,
        masking: MSLAMMaskingConfig | None = None,
        num_negatives: int = 100,
        encoder_config: Any = None,
        pad_to_multiple_of: int = 1,
        pad_frames_to_multiple_of: int = 1,
    ) -> None:
        for name, number in (
            ("num_negatives", num_negatives),
            ("pad_to_multiple_of", pad_to_multiple_of),
            ("pad_frames_to_multiple_of", pad_frames_to_multiple_of),
        ):
            if number < 1:
                raise ValueError(f"`{name}` must be at least 1, got {number}")
        self.tokenizer, self.seed = processor.tokenizer, seed
        self.speech = SpeechInputs(processor.feature_extractor, encoder_config, pad_frames_to_multiple_of)
        self.masking, self.num_negatives = masking or MSLAMMaskingConfig(), num_negatives
        self.pad_to_multiple_of = pad_to_multiple_of
        # Of frames by task; the shares of tokens are the same in both.
        self._frame_rules = {"speech": self.masking.speech, "asr": self.masking.tlm_speech}
        self._candidate_ids = list_text_ids(self.tokenizer)
        self._transcripts = TranscriptCheck()

    @property
    def num_ctc_too_long(self) -> int:
        """Transcripts so far, over all loader processes, that need more encoder frames than there are."""
        return self._transcripts.num_too_long

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """Collate items of any of the three tasks.

        Raises:
            ValueError: an example of another task, or speech without a waveform.
        """
        usable = [item for item in items if item.error is None]
        tasks = [item.drawn.task for item in usable]
        for item, task in zip(usable, tasks, strict=True):
            if task not in MSLAM_TASKS:
                raise ValueError(
                    f"{item.drawn.example.id}: mSLAM is trained on {', '.join(MSLAM_TASKS)}; got an example of "
                    f"{task}: leave the task out of the recipe, or train Mu2SLAM on it"
                )
        speech = [(item, task) for item, task in zip(usable, tasks, strict=True) if task != "text"]
        texts = [(item.drawn, task) for item, task in zip(usable, tasks, strict=True) if task != "speech"]
        encoded = self._encode([_text_of(drawn) for drawn, _ in texts])
        transcripts = iter([ids for ids, (_, task) in zip(encoded, texts, strict=True) if task == "asr"])
        batch = self._read_speech([item for item, _ in speech])
        num_frames = self.speech.num_frames(batch["attention_mask"].sum(dim=1)).tolist()
        labels: list[IntArray] = []
        for (item, task), frames in zip(speech, num_frames, strict=False):
            due = next(transcripts) if task == "asr" else np.zeros(0, dtype=np.int64)
            labels.append(self._ctc_labels(due, frames, item.drawn.example.id))
        return {
            **batch,
            **self._mask_speech(speech, num_frames, self.speech.num_frames(batch["attention_mask"].shape[1])),
            **self._mask_texts(texts, encoded),
            "pair_speech_rows": _rows_of([task for _, task in speech]),
            "pair_text_rows": _rows_of([task for _, task in texts]),
            "ctc_labels": _pad(labels or [np.zeros(0, dtype=np.int64)], IGNORED, self.pad_to_multiple_of),
            "record_ids": [item.drawn.example.id for item in usable],
        }

    def _read_speech(self, items: Sequence[Item]) -> dict[str, Tensor]:
        """What the front end reads, with its mask."""
        missing = [item.drawn.example.id for item in items if item.waveform is None]
        if missing:
            raise ValueError(f"{missing[0]}: a speech item needs a waveform, or the `error` that says why it has none")
        waveforms = [item.waveform for item in items] or [np.zeros(_SILENT_SAMPLES, dtype=np.float32)]
        features, mask = self.speech.extract(waveforms)
        return {"input_features": features, "attention_mask": mask}

    def _mask_speech(
        self, speech: Sequence[tuple[Item, str]], num_frames: Sequence[int], longest: int
    ) -> dict[str, Tensor]:
        """Masks, negatives and seeds of noise of every utterance."""
        num_rows = len(num_frames)
        mask = np.zeros((num_rows, longest), dtype=bool)
        negatives = np.full((num_rows, longest, self.num_negatives), -1, dtype=np.int64)
        seeds = np.zeros(num_rows, dtype=np.int64)
        for row, (item, task) in enumerate(speech):
            frames = num_frames[row]
            mask[row, :frames] = draw_frame_mask(
                frames, self._frame_rules[task], self._generator(item.drawn, f"mask:{task}:0")
            )
            if task == "speech":
                generator = self._generator(item.drawn, "negatives")
                negatives[row, :frames] = draw_negatives(mask[row, :frames], self.num_negatives, generator)
            seeds[row] = self._generator(item.drawn, "noise").integers(2**63)
        return {
            "speech_mask": torch.from_numpy(mask),
            "negative_frames": torch.from_numpy(negatives),
            "noise_seed": torch.from_numpy(seeds),
        }

    def _mask_texts(self, texts: Sequence[tuple[DrawnExample, str]], encoded: Sequence[IntArray]) -> dict[str, Tensor]:
        """Texts with [MASK] and random tokens in them, and what is to be predicted."""
        tokenizer, rule = self.tokenizer, self.masking
        rows: list[IntArray] = []
        labels: list[IntArray] = []
        for (drawn, task), ids in zip(texts, encoded, strict=True):
            generator = self._generator(drawn, f"mask:{task}:{0 if task == 'text' else 1}")
            ratio = rule.text_ratio if task == "text" else rule.tlm_text_ratio
            chosen = draw_token_spans(len(ids), ratio, rule, generator)
            corruption = corrupt_tokens(chosen, self._candidate_ids, rule.speech, generator, whole_runs=True)
            shown = np.where(corruption.is_masked, tokenizer.mask_token_id, ids)
            shown[corruption.is_random] = corruption.random_ids
            rows.append(np.append(shown, tokenizer.eos_token_id))
            asked = chosen & (ids != tokenizer.unk_token_id)
            labels.append(np.append(np.where(asked, ids, IGNORED), IGNORED))
        empty = [np.zeros(0, dtype=np.int64)]
        return {
            "text_ids": _pad(rows or empty, tokenizer.pad_token_id, self.pad_to_multiple_of),
            "text_attention_mask": _pad([np.ones_like(row) for row in rows] or empty, 0, self.pad_to_multiple_of),
            "text_labels": _pad(labels or empty, IGNORED, self.pad_to_multiple_of),
        }

    def _ctc_labels(self, token_ids: IntArray, num_frames: int, example_id: str) -> IntArray:
        """Ids that the frames are to say: no `<unk>`, and nothing at all where they do not fit."""
        labels = token_ids[token_ids != self.tokenizer.unk_token_id]
        return labels if self._transcripts.fits(labels.tolist(), num_frames, example_id) else labels[:0]

    def _encode(self, texts: list[str]) -> list[IntArray]:
        if not texts:
            return []
        encoded = self.tokenizer(texts, add_special_tokens=False, return_attention_mask=False)
        return [np.array(ids, dtype=np.int64) for ids in encoded["input_ids"]]

    def _generator(self, drawn: DrawnExample, purpose: str) -> np.random.Generator:
        return draw_generator(self.seed, drawn.key, drawn.example.id, purpose)


def _text_of(drawn: DrawnExample) -> str:
    """The text by itself, or the transcript."""
    return drawn.targets[0].text if drawn.targets else drawn.example.source_text or ""


def _rows_of(tasks: Sequence[str]) -> Tensor:
    """Rows of pairs: they stand in the order of the examples among utterances and among texts."""
    return torch.tensor([row for row, task in enumerate(tasks) if task == "asr"], dtype=torch.int64)


def _pad(rows: Sequence[IntArray], value: int, multiple: int) -> Tensor:
    """`(len(rows), n)` int64, n at least 1 and a multiple of `multiple`."""
    longest = max(1, *(len(row) for row in rows))
    longest += -longest % multiple
    padded = np.full((len(rows), longest), value, dtype=np.int64)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return torch.from_numpy(padded)
