# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Scores of the transcripts of speech that switches between languages, by language and distance of a switch.

Paper: the talk on speech in many languages: word error rate after transliteration (toWER), because a foreign word may
be written in either script.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.scores.metrics import compute_wer
from mu2slam_hf.evaluation.scores.tables import align_columns
from mu2slam_hf.evaluation.scores.unseen_words import find_recognized, split_words
from mu2slam_hf.evaluation.scores.views import Transliterator


@dataclass(frozen=True, kw_only=True)
class SwitchScores:
    """Scores of the sentences of one pair of languages, in percent.

    Attributes:
        pair: (language of the sentences, foreign language).
        num_sentences: number of sentences.
        wer: word error rate.
        wer_transliterated: after transliteration of both texts to Latin letters.
        missed_own: share of the words of the language of the sentence that are not recognised.
        missed_foreign: share of the foreign words that are not recognised.
        missed_beside: share of the words beside a switch that are not recognised.
        missed_elsewhere: share of the other words that are not recognised.
        right_script: of the words that are recognised after transliteration, the share that is as in the reference.
    """

    pair: tuple[str, str]
    num_sentences: int
    wer: float
    wer_transliterated: float
    missed_own: float
    missed_foreign: float
    missed_beside: float
    missed_elsewhere: float
    right_script: float


def read_parts(record: SpeechTextRecord) -> list[tuple[str, str]]:
    """Language and text of the parts of a record of a switched folder.

    Raises:
        ValueError: the record has no parts.
    """
    if "parts" not in record.extra:
        raise ValueError(f"{record.key}: no column `parts`; make the folder with `python -m lab switch-languages`")
    return [(part["lang"], part["text"]) for part in json.loads(record.extra["parts"])]


def score_switches(records: Sequence[SpeechTextRecord], hypotheses: Sequence[str]) -> list[SwitchScores]:
    """Scores by pair of languages.

    Words are recognised if the alignment with the fewest errors has the same word (see `find_recognized`), after
    transliteration except for `wer` and `right_script`.

    Args:
        records: records of a switched folder.
        hypotheses: their transcripts.

    Raises:
        ImportError: uroman is not installed.
        ValueError: a record without parts.
    """
    transliterate = Transliterator().transliterate
    groups: dict[tuple[str, str], list[tuple[SpeechTextRecord, str]]] = {}
    for record, hypothesis in zip(records, hypotheses, strict=True):
        languages = [lang for lang, _ in read_parts(record)]
        groups.setdefault((languages[0], languages[1]), []).append((record, hypothesis))
    scores = []
    for pair, items in sorted(groups.items()):
        # By name: words, and those that are not recognised.
        counts = {name: [0, 0] for name in ("own", "foreign", "beside", "elsewhere")}
        recognized = in_script = 0
        texts = [(record.text or "", hypothesis) for record, hypothesis in items]
        romanized = [(transliterate(reference), transliterate(hypothesis)) for reference, hypothesis in texts]
        for record, hypothesis in items:
            words, is_foreign, is_beside = _label_words(read_parts(record), pair)
            roman = [transliterate(word) for word in words]
            found = find_recognized(roman, [transliterate(word) for word in split_words(hypothesis)])
            recognized += len(found)
            in_script += len(found & find_recognized(words, split_words(hypothesis)))
            for place, (foreign, beside) in enumerate(zip(is_foreign, is_beside, strict=True)):
                for name in ("foreign" if foreign else "own", "beside" if beside else "elsewhere"):
                    counts[name][0] += 1
                    counts[name][1] += place not in found
        rates = {f"missed_{name}": 100.0 * missed / max(total, 1) for name, (total, missed) in counts.items()}
        scores.append(
            SwitchScores(
                pair=pair,
                num_sentences=len(items),
                wer=compute_wer(*map(list, zip(*texts, strict=True))).value,
                wer_transliterated=compute_wer(*map(list, zip(*romanized, strict=True))).value,
                right_script=100.0 * in_script / max(recognized, 1),
                **rates,
            )
        )
    return scores


def _label_words(parts: Sequence[tuple[str, str]], pair: tuple[str, str]) -> tuple[list[str], list[bool], list[bool]]:
    """The words, whether each is foreign, and whether the word before or after it is of the other language."""
    words: list[str] = []
    languages: list[str] = []
    for lang, text in parts:
        own = split_words(text)
        words += own
        languages += [lang] * len(own)
    changes = [first != second for first, second in zip(languages, languages[1:], strict=False)]
    beside = [before or after for before, after in zip([False, *changes], [*changes, False], strict=True)]
    return words, [lang == pair[1] for lang in languages], beside if words else []


def format_switches(scores: Sequence[SwitchScores]) -> str:
    """A plain-text table, one row for each pair of languages."""
    names = ("wer", "wer_transliterated", "missed_own", "missed_foreign", "missed_beside", "missed_elsewhere")
    rows = [["languages", "sentences", *names, "right_script"]]
    for score in scores:
        values = [f"{getattr(score, name):.1f}" for name in (*names, "right_script")]
        rows.append(["-".join(score.pair), str(score.num_sentences), *values])
    return "\n".join(align_columns(rows))
