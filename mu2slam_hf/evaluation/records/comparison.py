# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Comparison of two systems on the same utterances by the paired bootstrap."""

from collections.abc import Sequence
from dataclasses import dataclass

from mu2slam_hf.evaluation.scores.intervals import Bootstrap, paired_p_value, percentile_interval
from mu2slam_hf.evaluation.scores.metrics import ERROR_METRICS
from mu2slam_hf.evaluation.scores.score import Hypothesis, Score
from mu2slam_hf.evaluation.scores.scoring import MEAN, score_with_resamples
from mu2slam_hf.evaluation.scores.tables import align_columns

SIGNIFICANCE_LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One score of two systems.

    Attributes:
        task: asr, ast or mt.
        metric: wer, cer, bleu, chrf or ter.
        source_lang: language of the input; "mean" for a mean over languages or directions.
        target_lang: language of the output; "mean" likewise.
        source_lang_given: whether the source language was given to the systems.
        baseline: score of the first system.
        system: score of the second system.
        difference: second minus first.
        interval_low: lower bound of the 95 % confidence interval of the difference.
        interval_high: upper bound likewise.
        p_value: probability of such a difference if the systems were equal, as `sacrebleu --paired-bs` estimates it.
        num_items: number of utterances; for means, the number of scores averaged.
        signature: how the scores were computed.
    """

    task: str
    metric: str
    source_lang: str
    target_lang: str
    source_lang_given: bool
    baseline: float
    system: float
    difference: float
    interval_low: float
    interval_high: float
    p_value: float
    num_items: int
    signature: str

    @property
    def is_significant(self) -> bool:
        """Whether the p-value is below 0.05 and the interval of the difference does not contain 0.

        A single utterance has no interval, and so no significant difference.
        """
        has_interval = self.interval_low < self.interval_high
        return has_interval and self.p_value < SIGNIFICANCE_LEVEL and not self.interval_low <= 0 <= self.interval_high

    @property
    def verdict(self) -> str:
        """`better` or `worse` for a significant difference of the second system, else an empty string."""
        if not self.is_significant:
            return ""
        return "better" if (self.difference < 0) == (self.metric in ERROR_METRICS) else "worse"


def compare_hypotheses(
    baseline: Sequence[Hypothesis], system: Sequence[Hypothesis], bootstrap: Bootstrap | None = None
) -> list[Comparison]:
    """Compare two systems by the scores of `score_hypotheses` and their means.

    Both systems are scored on the same resamples of the utterances.

    Args:
        baseline: hypotheses of the first system.
        system: hypotheses of the second system, of the same utterances.
        bootstrap: number of resamples and seed.

    Raises:
        ValueError: the systems have different utterances or references, or none.
    """
    _check_same_utterances(baseline, system)
    bootstrap = bootstrap or Bootstrap()
    by_key = {hypothesis.key: hypothesis for hypothesis in system}
    pairs = zip(
        score_with_resamples(baseline, bootstrap=bootstrap),
        score_with_resamples([by_key[hypothesis.key] for hypothesis in baseline], bootstrap=bootstrap),
        strict=True,
    )
    comparisons = []
    for (first, first_value), (second, second_value) in pairs:
        assert first_value.resampled is not None and second_value.resampled is not None
        differences = second_value.resampled - first_value.resampled
        low, high = percentile_interval(differences)
        observed = second.value - first.value
        comparisons.append(
            Comparison(
                task=first.task,
                metric=first.metric,
                source_lang=first.source_lang,
                target_lang=first.target_lang,
                source_lang_given=first.source_lang_given,
                baseline=first.value,
                system=second.value,
                difference=observed,
                interval_low=low,
                interval_high=high,
                p_value=paired_p_value(differences, observed),
                num_items=first.num_items,
                signature=_describe(first, bootstrap),
            )
        )
    # By task, means last, whatever the order of the file.
    return sorted(
        comparisons,
        key=lambda one: (
            one.task,
            not one.source_lang_given,
            MEAN in (one.source_lang, one.target_lang),
            one.source_lang,
            one.target_lang,
        ),
    )


def format_comparisons(comparisons: Sequence[Comparison], names: tuple[str, str]) -> str:
    """Plain-text table, one row for each score.

    Args:
        comparisons: of `compare_hypotheses`.
        names: names of the two systems.
    """
    rows = [["", "metric", "n", *names, "difference", "95% interval", "p", ""]]
    for comparison in comparisons:
        direction = (
            comparison.source_lang
            if comparison.source_lang == comparison.target_lang
            else f"{comparison.source_lang}-{comparison.target_lang}"
        )
        condition = "" if comparison.source_lang_given else ", language not given"
        rows.append(
            [
                f"{comparison.task} {direction}{condition}",
                comparison.metric,
                str(comparison.num_items),
                f"{comparison.baseline:.1f}",
                f"{comparison.system:.1f}",
                f"{comparison.difference:+.1f}",
                f"[{comparison.interval_low:+.1f}, {comparison.interval_high:+.1f}]",
                f"{comparison.p_value:.3f}",
                comparison.verdict,
            ]
        )
    return "\n".join(align_columns(rows))


def _check_same_utterances(baseline: Sequence[Hypothesis], system: Sequence[Hypothesis]) -> None:
    first, second = ({h.key: h.reference for h in hypotheses} for hypotheses in (baseline, system))
    if not first and not second:
        raise ValueError("nothing to compare: there are no hypotheses")
    different = sorted(first.keys() ^ second.keys())
    if different:
        raise ValueError(
            f"the systems must have the same utterances, but {len(different)} are in one of the files only, for "
            f"example {different[0]}; evaluate both on the same data, tasks and conditions"
        )
    changed = [key for key, reference in first.items() if reference != second[key]]
    if changed:
        raise ValueError(f"the references of {len(changed)} utterances differ, for example of {changed[0]}")


def _describe(score: Score, bootstrap: Bootstrap) -> str:
    return f"{score.signature}|bs:{bootstrap.num_samples}|seed:{bootstrap.seed}"
