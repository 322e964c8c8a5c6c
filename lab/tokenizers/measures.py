# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Measures of speech ids: agreement of two sequences, information about phones, and bit rates.

Sequences are one-dimensional integer arrays without padding, one id per 40 ms.
"""

import bz2
import zlib
from collections.abc import Sequence

import numpy as np
from scipy.stats import entropy
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from mu2slam_hf.quantization.tokenizer_loading import Ids

# Ids as characters: a plane without surrogates and controls.
_FIRST_CHARACTER = 0x20000


def align_ids(first: Ids, second: Ids) -> list[tuple[int, int]]:
    """Dynamic time warping with cost 1 for each pair of different ids; the shortest of equally good paths.

    Args:
        first: `(n,)`, n > 0.
        second: `(m,)`, m > 0.

    Returns:
        pairs of positions from `(0, 0)` to `(n - 1, m - 1)`; each step advances one position or both.
    """
    if not len(first) or not len(second):
        raise ValueError("an empty sequence cannot be aligned")
    # Mismatches first, then length, as one number: no path is as long as `scale`.
    scale = len(first) + len(second)
    step = (first[:, None] != second[None, :]).astype(np.int64) * scale + 1
    total = step.tolist()
    for i in range(len(first)):
        row, above = total[i], total[i - 1]
        for j in range(len(second)):
            if i and j:
                row[j] += min(above[j - 1], above[j], row[j - 1])
            elif i:
                row[j] += above[j]
            elif j:
                row[j] += row[j - 1]
    i, j = len(first) - 1, len(second) - 1
    path = [(i, j)]
    while i or j:
        before = [(i - a, j - b) for a, b in ((1, 1), (1, 0), (0, 1)) if i >= a and j >= b]
        i, j = min(before, key=lambda cell: total[cell[0]][cell[1]])
        path.append((i, j))
    return path[::-1]


def compute_warped_agreement(first: Ids, second: Ids) -> float:
    """Share of equal ids along the best alignment of two sequences, 0 to 1.

    Warping also finds equal ids in unrelated sentences: compare with the agreement of such pairs.
    """
    path = align_ids(first, second)
    return float(np.mean([first[i] == second[j] for i, j in path]))


def compute_timed_agreement(ids: Ids, changed: Ids, speed: float = 1.0) -> float:
    """Share of the ids of a changed clip that equal those of the original at the same time, 0 to 1.

    Args:
        ids: ids of the original.
        changed: ids of the changed clip.
        speed: factor by which it is faster; its frame n is at frame `(n + 0.5) * speed` of the original.
    """
    moments = ((np.arange(len(changed)) + 0.5) * speed).astype(np.int64)
    return float(np.mean(changed == ids[np.minimum(moments, len(ids) - 1)]))


def compute_phone_agreement(ids: Ids, phones: Sequence[str]) -> dict[str, float]:
    """Purity and mutual information of ids and phones over frames.

    Choice: purity and normalised mutual information as for the clusters of HuBERT (Hsu et al. 2021, section IV-D).
    With many ids and few frames all of them are overestimated; compare with the same figures for shuffled ids.

    Returns:
        `phone_purity`: share of frames whose phone is the most frequent one of their id. `id_purity`: share of frames
        whose id is the most frequent one of their phone ("cluster purity"). `phone_information`: mutual information /
        entropy of the phones. `phone_nmi`: 2 * mutual information / (entropy of phones + entropy of ids).

    Raises:
        ValueError: ids and phones differ in number, or there are none.
    """
    if len(ids) != len(phones) or not len(ids):
        raise ValueError(f"expected one phone per id, and at least one; got {len(phones)} phones and {len(ids)} ids")
    _, id_rows = np.unique(ids, return_inverse=True)
    _, phone_rows = np.unique(np.asarray(phones), return_inverse=True)
    joint = np.zeros((id_rows.max() + 1, phone_rows.max() + 1))
    np.add.at(joint, (id_rows, phone_rows), 1.0 / len(ids))
    phone_entropy = entropy(joint.sum(axis=0), base=2)
    both = entropy(joint.sum(axis=1), base=2) + phone_entropy
    information = max(0.0, both - entropy(joint.ravel(), base=2))
    return {
        "phone_purity": float(joint.max(axis=1).sum()),
        "id_purity": float(joint.max(axis=0).sum()),
        "phone_information": float(information / phone_entropy) if phone_entropy > 0 else 1.0,
        "phone_nmi": float(2 * information / both) if both > 0 else 1.0,
    }


def compute_bit_rates(
    sequences: Sequence[Ids], num_codevectors: int, ids_per_second: float = 25.0
) -> dict[str, float]:
    """Bits per second of speech for several encodings of the ids.

    Args:
        sequences: ids of each clip, in `[0, num_codevectors)`, with at most 65,536 entries; runs end at the end of a
            clip.
        num_codevectors: K.
        ids_per_second: 25.

    Returns:
        `bits_nominal`: every id with log2(K) bits. `bits_entropy`: every id by its frequency (an ideal memoryless
        code). `bits_run_length`: runs of equal ids: id and length of each, each by its frequency. `bits_zlib`: two
        bytes per id, compressed. `bits_bz2`: the same with bz2, which finds longer repetitions. `mean_run`: mean
        length of a run in ids.

    Raises:
        ValueError: there are no ids.
    """
    total = sum(map(len, sequences))
    if total == 0:
        raise ValueError("there are no ids")
    runs = [run for ids in sequences for run in find_runs(ids)]
    seconds = total / ids_per_second
    counts = np.bincount(np.concatenate(list(sequences)))
    _, run_ids = np.unique([symbol for symbol, _ in runs], return_counts=True)
    _, run_lengths = np.unique([length for _, length in runs], return_counts=True)
    data = b"".join(np.asarray(ids).astype("<u2").tobytes() for ids in sequences)
    return {
        "bits_nominal": float(np.log2(num_codevectors)) * ids_per_second,
        "bits_entropy": float(entropy(counts, base=2)) * ids_per_second,
        "bits_run_length": float(entropy(run_ids, base=2) + entropy(run_lengths, base=2)) * len(runs) / seconds,
        "bits_zlib": 8 * len(zlib.compress(data, 9)) / seconds,
        "bits_bz2": 8 * len(bz2.compress(data, 9)) / seconds,
        "mean_run": total / len(runs),
    }


def compute_bpe_rate(sequences: Sequence[Ids], num_merges: int, ids_per_second: float = 25.0) -> float:
    """Tokens per second after byte-pair encoding of the ids, whose merges are learned on the other half of the clips.

    Paper: STAB (Vashishth et al. 2024), efficiency: ids with structure become fewer tokens.

    Args:
        sequences: ids of each clip, at least two clips.
        num_merges: number of merges.
        ids_per_second: 25.

    Raises:
        ValueError: fewer than two clips with ids.
    """
    texts = ["".join(chr(_FIRST_CHARACTER + index) for index in ids.tolist()) for ids in sequences if len(ids)]
    if len(texts) < 2:
        raise ValueError(f"merges are learned on one half of the clips and used on the other; got {len(texts)} clips")
    alphabet = sorted(set("".join(texts)))
    tokenizer = Tokenizer(BPE())
    trainer = BpeTrainer(
        vocab_size=len(alphabet) + num_merges, min_frequency=2, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts[::2], trainer)
    tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch(texts[1::2]))
    return tokens / sum(map(len, texts[1::2])) * ids_per_second


def find_runs(ids: Ids) -> list[tuple[int, int]]:
    """`(id, length)` of every run of equal ids."""
    if not len(ids):
        return []
    starts = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]]))
    lengths = np.diff(np.concatenate([starts, [len(ids)]]))
    return list(zip(np.asarray(ids)[starts].tolist(), lengths.tolist(), strict=True))
