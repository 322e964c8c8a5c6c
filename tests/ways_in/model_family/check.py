# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A recipe of the kind trains, resumes and saves; the result is transcribed, evaluated, aligned and uploaded with."""

import json
import os
from pathlib import Path

import yaml

from mu2slam_hf.cli import main
from mu2slam_hf.recipes.runs.registry import load_runs


def check(folder: Path) -> None:
    (folder / "config.json").write_text("{}")
    tones = Path(os.environ["MU2SLAM_TINY"])
    tree = {
        "kind": "frame_recognition",
        "model": {"config": str(folder / "config.json")},
        "data": {"corpora": {"tones": {"manifest": str(tones / "train.tsv")}}},
        "training": {"max_steps": 2, "save_steps": 2, "logging_steps": 1, "report_to": [], "disable_tqdm": True},
        "output": {"dir": str(folder / "run")},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(tree))
    for steps in (2, 3):
        for run in load_runs(folder / "recipe.yaml", [f"training.max_steps={steps}"]):
            run.run()
    logs = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in logs if "loss" in line] == [1, 2, 3]
    check_use(folder, str(folder / "run" / "final"), tones)


def check_use(folder: Path, model: str, tones: Path) -> None:
    """Nothing but the declaration of capabilities is needed for the commands, the pipeline and an upload folder."""
    from transformers import AutoModelForCTC, AutoProcessor, pipeline

    from mu2slam_hf.hub.bundle import build_bundle

    recording = str(next(tones.rglob("*.wav")))
    options = ["--model", model]
    assert main(["transcribe", recording, "-o", str(folder / "out"), "--output-format", "json", *options]) == 0
    transcript = json.loads(next((folder / "out").glob("*.json")).read_text())
    manifest = ["--manifest", str(tones / "train.tsv"), "--tasks", "asr", "--results", str(folder / "scores.json")]
    assert main(["evaluate", *manifest, *options]) == 0
    scores = json.loads((folder / "scores.json").read_text())["scores"]
    assert {"wer", "cer"} <= {score["metric"] for score in scores if score["task"] == "asr"}
    assert main(["align", recording, "a b", *options]) == 0
    recognizer = pipeline("automatic-speech-recognition", model=model)
    assert recognizer(recording)["text"] == transcript["text"]
    loaded = AutoModelForCTC.from_pretrained(model)
    assert type(loaded).__name__ == "FrameRecognizer"
    tags = "language: en\nlibrary_name: transformers\nlicense: mit\npipeline_tag: automatic-speech-recognition"
    card = f"---\n{tags}\n---\n# A recognizer\n"
    bundle = build_bundle(folder / "bundle", loaded, AutoProcessor.from_pretrained(model), card=card)
    assert (bundle / "modeling_frame_recognizer.py").is_file()
