# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Collation of Maestro's pre-training: a mixed batch of speech, text and pairs, of which only speech alone is masked.

Legend: W = texts, L = tokens of the longest one.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mu2slam_hf.data.collation.mslam import MSLAMCollator
from mu2slam_hf.data.examples.draws import DrawnExample


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
