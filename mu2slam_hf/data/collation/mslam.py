# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Collation of the pre-training of mSLAM and Maestro: a mixed batch of speech, text and pairs.

Legend: U = utterances, T = frames (or samples) that the front end reads, N = encoder frames, W = texts, L = tokens of
the longest one, P = pairs, Q = negatives, C = labels of the longest transcript.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from mu2slam_hf.data.collation.masking_collator import MaskingCollator
from mu2slam_hf.data.examples.dataset import Item
from mu2slam_hf.data.examples.draws import DrawnExample
from mu2slam_hf.data.masking import IntArray, corrupt_tokens, draw_frame_mask
from mu2slam_hf.data.span_masking import MSLAMMaskingConfig, draw_negatives, draw_token_spans
from mu2slam_hf.models.modules_losses import IGNORE_INDEX
from mu2slam_hf.models.task_types import MSLAM_TASKS


class MSLAMCollator(MaskingCollator[MSLAMMaskingConfig]):
    """Collates examples of the tasks speech, text and asr: each utterance and each text is a padded row.

    The batch has `input_features` `(U, T, M)` float32 (front end `waveform`: `input_values` `(U, T)`) and
    `attention_mask` `(U, T)` int64, 1 on real positions; `mask_time_indices` `(U, N)` bool, True = masked;
    `negative_frames` `(U, N, Q)` int64, see `draw_negatives`, -1 also in all rows of pairs; `noise_seed` `(U,)` int64,
    seeds of the random vectors in place of masked frames; `text_ids` `(W, L)` int64, already masked, each text with
    `</s>`, `text_attention_mask` and `text_labels` `(W, L)`, -100 if there is no target; `pair_speech_rows` and
    `pair_text_rows` `(P,)` int64; `ctc_labels` `(U, C)` int64, -100 as padding and in all rows without a transcript;
    `speech_language_ids` `(U,)` and `text_language_ids` `(W,)` int64, rows of the languages, 0 (`und`) for unknown
    languages and in `undetermined_source_ratio` of the draws; and `record_ids`, ids of the examples for messages.
    Without speech there is one silent row, without text one row of padding, both without labels.

    Paper: mSLAM has unpaired speech, unpaired text, and pairs of speech and its transcript (TLM and CTC).
    Choice: `<unk>` is an input, but never a target; `</s>` is never masked.
    Choice: a transcript with more labels than frames has no CTC loss; it is counted and logged once.

    Args:
        processor: processor with `feature_extractor` and `tokenizer`.
        seed: seed of the run; masks, negatives and seeds of noise depend on it and on epoch, copy, id and purpose.
        masking: rules of masking.
        num_negatives: Q. w2v-BERT: 100; 0 for a model without a contrastive loss.
        kwargs: as in `SpeechTextCollator`.

    Raises:
        ValueError: a negative number, or a feature extractor that does not match the front end.
    """

    def __init__(
        self,
        processor: Any,
        *,
        seed: int,
        masking: MSLAMMaskingConfig | None = None,
        num_negatives: int = 100,
        **kwargs: Any,
    ) -> None:
        super().__init__(processor, seed=seed, masking=masking or MSLAMMaskingConfig(), **kwargs)
        if num_negatives < 0:
            raise ValueError(f"num_negatives must be at least 0, got {num_negatives}")
        self.num_negatives = num_negatives

    masks_pairs: ClassVar[bool] = True
    """Whether frames of utterances with a transcript are masked."""

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """Collate items of any of the three tasks.

        Raises:
            ValueError: an example of another task, or speech without a waveform.
        """
        usable = [item for item in items if item.error is None]
        tasks = [_task_of(item.drawn) for item in usable]
        speech = [(item, task) for item, task in zip(usable, tasks, strict=True) if task != "text"]
        texts = [(item.drawn, task) for item, task in zip(usable, tasks, strict=True) if task != "speech"]
        encoded = self.encode([_text_of(drawn) for drawn, _ in texts])
        transcripts = iter([ids for ids, (_, task) in zip(encoded, texts, strict=True) if task == "asr"])
        inputs = self.speech.extract(self.waveforms_of([item for item, _ in speech]))
        num_frames = self.count_frames(inputs)
        labels = []
        for (item, task), frames in zip(speech, num_frames, strict=False):
            transcript = self.without_unknown(next(transcripts)) if task == "asr" else []
            labels.append(self.transcripts.keep_fitting(transcript, frames, item.drawn.example.id))
        return {
            **inputs,
            **self._mask_speech(speech, num_frames, self.speech.num_frames(inputs["attention_mask"].shape[1])),
            **self._mask_texts(texts, encoded),
            "pair_speech_rows": _rows_of_pairs([task for _, task in speech]),
            "pair_text_rows": _rows_of_pairs([task for _, task in texts]),
            "ctc_labels": self.pad(labels, IGNORE_INDEX),
            "speech_language_ids": self._languages_of([item.drawn for item, _ in speech]),
            "text_language_ids": self._languages_of([drawn for drawn, _ in texts]),
            "record_ids": [item.drawn.example.id for item in usable],
        }

    def _languages_of(self, drawn: Sequence[DrawnExample]) -> Tensor:
        """Rows of the languages of utterances or texts; there is at least one row."""
        return torch.tensor(self.known_rows([part.source_lang for part in drawn]) or [0], dtype=torch.int64)

    def _mask_speech(
        self, speech: Sequence[tuple[Item, str]], num_frames: Sequence[int], longest: int
    ) -> dict[str, Tensor]:
        """Masks, negatives and seeds of noise of every utterance."""
        num_rows = len(num_frames)
        mask = np.zeros((num_rows, longest), dtype=bool)
        negatives = np.full((num_rows, longest, self.num_negatives), -1, dtype=np.int64)
        seeds = np.zeros(num_rows, dtype=np.int64)
        for row, (item, task) in enumerate(speech):
            if task == "asr" and not self.masks_pairs:
                continue
            frames, rule, generator_of = num_frames[row], self.masking_of(item.drawn), self.generator_of(item.drawn)
            start_prob = rule.tlm_start_prob if task == "asr" else rule.span_start_prob
            mask[row, :frames] = draw_frame_mask(frames, rule, generator_of(f"mask:{task}:0"), start_prob)
            if task == "speech":
                chosen = draw_negatives(mask[row, :frames], self.num_negatives, generator_of("negatives"))
                negatives[row, :frames] = chosen
            seeds[row] = generator_of("noise").integers(2**63)
        return {
            "mask_time_indices": torch.from_numpy(mask),
            "negative_frames": torch.from_numpy(negatives),
            "noise_seed": torch.from_numpy(seeds),
        }

    def _mask_texts(
        self, texts: Sequence[tuple[DrawnExample, str]], encoded: Sequence[list[int]]
    ) -> dict[str, Tensor]:
        """Texts with [MASK] and random tokens, and the labels."""
        tokenizer = self.tokenizer
        rows: list[IntArray] = []
        labels: list[IntArray] = []
        for (drawn, task), token_ids in zip(texts, encoded, strict=True):
            ids, rule = np.array(token_ids, dtype=np.int64), self.masking_of(drawn)
            generator = self.generator_of(drawn)(f"mask:{task}:{0 if task == 'text' else 1}")
            ratio = rule.text_ratio if task == "text" else rule.tlm_text_ratio
            chosen = draw_token_spans(len(ids), ratio, rule, generator)
            corruption = corrupt_tokens(chosen, self.candidate_ids, rule, generator, whole_runs=True)
            shown = np.where(corruption.is_masked, tokenizer.mask_token_id, ids)
            shown[corruption.is_random] = corruption.random_ids
            rows.append(np.append(shown, tokenizer.eos_token_id))
            asked = chosen & (ids != tokenizer.unk_token_id)
            labels.append(np.append(np.where(asked, ids, IGNORE_INDEX), IGNORE_INDEX))
        return {
            "text_ids": self.pad(rows, tokenizer.pad_token_id),
            "text_attention_mask": self.pad([np.ones_like(row) for row in rows], 0),
            "text_labels": self.pad(labels, IGNORE_INDEX),
        }


class MaestroCollator(MSLAMCollator):
    """Collates examples of the tasks speech, text and asr.

    The batch is that of [`MSLAMCollator`], except for these: no frames of pairs are masked, because text is matched
    with all of them; texts have `text_ids` `(W, L)` int64 as they are, without `</s>` and `<unk>`, and `text_seed`
    `(W,)` int64, from which the model draws spans and noise, because only the model knows how many frames a text has.
    """

    masks_pairs: ClassVar[bool] = False

    def _mask_texts(
        self, texts: Sequence[tuple[DrawnExample, str]], encoded: Sequence[list[int]]
    ) -> dict[str, Tensor]:
        """Texts as they are, and the seeds of their masks."""
        rows = [np.array(self.without_unknown(ids), dtype=np.int64) for ids in encoded]
        seeds = [int(self.generator_of(drawn)(f"mask:{task}:0").integers(2**63)) for drawn, task in texts]
        return {
            "text_ids": self.pad(rows, self.tokenizer.pad_token_id),
            "text_attention_mask": self.pad([np.ones_like(row) for row in rows], 0),
            "text_seed": torch.tensor(seeds or [0], dtype=torch.int64),
        }


def _task_of(drawn: DrawnExample) -> str:
    """The task of a draw, one of `MSLAM_TASKS`."""
    if drawn.task not in MSLAM_TASKS:
        raise ValueError(
            f"{drawn.example.id}: mSLAM is trained on {', '.join(MSLAM_TASKS)}; got an example of {drawn.task}. Leave "
            "the task out of the recipe, or train Mu2SLAM on it"
        )
    return drawn.task


def _text_of(drawn: DrawnExample) -> str:
    """The unpaired text or the transcript."""
    return drawn.targets[0].text if drawn.targets else drawn.example.source_text or ""


def _rows_of_pairs(tasks: Sequence[str]) -> Tensor:
    """Rows of pairs; utterances and texts are both in the order of the examples."""
    return torch.tensor([row for row, task in enumerate(tasks) if task == "asr"], dtype=torch.int64)
