# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Scores of a judge, to stand beside those of our models."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.judge import Judge
from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.records.hypotheses import HypothesisFile
from mu2slam_hf.evaluation.records.results import (
    EvaluationResults,
    current_commit,
    current_time,
    describe_command,
    describe_machine,
    describe_versions,
)
from mu2slam_hf.evaluation.scores.score import Hypothesis
from mu2slam_hf.evaluation.scores.scoring import score_hypotheses
from mu2slam_hf.evaluation.tasks.decode import build_requests


def score_judge(
    judge: Judge,
    records: Sequence[SpeechTextRecord],
    *,
    judge_name: str,
    data: Mapping[str, Any],
    hypotheses_path: str | os.PathLike[str] | None = None,
) -> EvaluationResults:
    """Transcribe recordings with their language given, and score the texts as `mu2slam evaluate` does.

    Args:
        judge: the recogniser.
        records: records with recordings and texts.
        judge_name: name for the record.
        data: corpus and split, for the record.
        hypotheses_path: JSONL of the texts; an interrupted run continues from it.

    Returns:
        the record, with scores of the system "model".
    """
    file = HypothesisFile(hypotheses_path, {"judge": judge_name, "data": dict(data)})
    started = time.perf_counter()
    for request in build_requests(records, ["asr"]):
        if request.key in file.hypotheses:
            continue
        text = judge.transcribe(load_audio(request.record.audio), request.record.lang).text
        hypothesis = Hypothesis(
            key=request.key,
            id=request.record.id,
            task=request.task,
            source_lang=request.record.lang,
            target_lang=request.target_lang,
            source_lang_given=True,
            source_text=request.record.text,
            reference=request.reference,
            hypothesis=text,
        )
        file.add([hypothesis])
    return EvaluationResults(
        command=describe_command(),
        created=current_time(),
        git_commit=current_commit(Path(__file__).parent),
        machine=describe_machine(),
        versions=describe_versions(),
        model={"name": judge_name},
        data={**data, "num_records": len(records)},
        settings={"beams": judge.num_beams, "numbers": "in words"},
        seed=0,
        duration_seconds=round(time.perf_counter() - started, 1),
        scores=tuple(score_hypotheses(file.hypotheses.values())),
    )
