# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Scores of translations in lower case without punctuation.

Published scores of small corpora are often of such texts. Scores of texts as they are depend on habits, such as full
stops that some references have and others do not.
"""

from collections.abc import Iterable
from dataclasses import replace

from mu2slam_hf.data.text import normalize_for_scoring
from mu2slam_hf.evaluation.bootstrap import Bootstrap
from mu2slam_hf.evaluation.hypotheses import Hypothesis
from mu2slam_hf.evaluation.results import Score
from mu2slam_hf.evaluation.scoring import score_hypotheses

PLAIN = "plain"


def score_plain_translations(hypotheses: Iterable[Hypothesis], *, bootstrap: Bootstrap | None = None) -> list[Score]:
    """BLEU, chrF and TER of translations with references and hypotheses as for WER (group `plain`).

    Args:
        hypotheses: those of other tasks than ast and mt are ignored.
        bootstrap: if given, the scores have 95 % confidence intervals.
    """
    texts = [
        replace(h, reference=normalize_for_scoring(h.reference), hypothesis=normalize_for_scoring(h.hypothesis))
        for h in hypotheses
        if h.task in ("ast", "mt")
    ]
    return [
        replace(score, group=PLAIN, signature=f"{score.signature}|text:nfkc+lower+nopunct")
        for score in score_hypotheses(texts, bootstrap=bootstrap)
    ]
