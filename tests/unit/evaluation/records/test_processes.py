# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Two processes give the same scores and hypotheses as one."""

import json
from dataclasses import replace

import pytest
import torch
from helpers import REPOSITORY_ROOT, make_tiny_processor, save_tiny_checkpoint
from training_runs import run_in_two_processes
from understanding_corpora import LABELS, write_tydiqa, write_xnli

from mu2slam_hf import Mu2SLAMForSequenceClassification, load_any_checkpoint
from mu2slam_hf.cli import main
from mu2slam_hf.evaluation.records.hypotheses import HypothesisFile, read_hypotheses
from mu2slam_hf.evaluation.records.processes import Processes
from mu2slam_hf.evaluation.records.results import EvaluationResults

MANIFEST = str(REPOSITORY_ROOT / "examples" / "manifest.tsv")


def save_classifier(folder) -> str:
    torch.manual_seed(0)
    config = load_any_checkpoint(save_tiny_checkpoint(folder.with_name("base")))[0].config
    config.id2label = dict(enumerate(LABELS))
    config.label2id = {label: number for number, label in enumerate(LABELS)}
    Mu2SLAMForSequenceClassification(config).save_pretrained(folder)
    make_tiny_processor().save_pretrained(folder)
    return str(folder)


def test_two_processes_give_what_one_gives(tmp_path):
    """An evaluation of speech and text, of which a part was done before by two processes; classes; and answers."""
    model = save_tiny_checkpoint(tmp_path / "model")
    write_xnli(tmp_path / "xnli")
    write_tydiqa(tmp_path / "tydiqa")
    speech_text = ["--manifest", MANIFEST, "--tasks", "asr", "mt", "--condition", "both", "--languages", "en,es"]
    understanding = ["--split", "dev", "--batch-size", "5", "--corpus"]
    commands = {
        "speech": [*speech_text, *"--batch-size 3 --max-new-tokens 6 --bootstrap 40 --model".split(), model],
        "nli": [*understanding, f"xnli={tmp_path / 'xnli'}", "--model", save_classifier(tmp_path / "classifier")],
        "qa": [*understanding, f"tydiqa={tmp_path / 'tydiqa'}", "--model", model],
    }
    for run in ("one", "two"):
        commands["speech"][:0] = ["--hypotheses", str(tmp_path / f"{run}.jsonl")]
        lines = [["evaluate", *part, "--results", f"{tmp_path}/{run}_{name}.json"] for name, part in commands.items()]
        if run == "one":
            assert [main(line) for line in lines] == [0, 0, 0]
            split_file(tmp_path / "one.jsonl", tmp_path / "two.jsonl")
        del commands["speech"][:2]
    (tmp_path / "commands.json").write_text(json.dumps(lines))
    run_in_two_processes("evaluation_worker.py", tmp_path)
    for name in commands:
        one, two = (EvaluationResults.load(tmp_path / f"{run}_{name}.json") for run in ("one", "two"))
        assert one.scores == two.scores and len(one.scores) > 5
        assert (one.settings["num_processes"], two.settings["num_processes"]) == (1, 2)
    first, second = (read_hypotheses(tmp_path / f"{run}.jsonl") for run in ("one", "two"))
    assert {h.key: h for h in first} == {h.key: h for h in second} and len(first) == len(second) > 12
    assert not list(tmp_path.glob("*.process*"))


def split_file(whole, rest):
    """Of the translations, one stays in the file of the first process and one in that of the second."""
    header, *lines = whole.read_text(encoding="utf-8").splitlines(keepends=True)
    texts = [line for line in lines if '"task": "mt"' in line]
    assert len(texts) > 4
    rest.write_text(header + texts[0], encoding="utf-8")
    rest.with_name(f"{rest.name}.process1").write_text(header + texts[1] + texts[2][:20], encoding="utf-8")


def test_every_item_belongs_to_one_process():
    items = list(range(11))
    parts = [Processes(index=index, count=3).share(items) for index in range(3)]
    assert sorted(item for part in parts for item in part) == items
    assert {len(part) for part in parts} == {3, 4}
    alone = Processes()
    assert alone.is_main and alone.share(items) == alone.gather(items) == items
    assert not replace(alone, index=1, count=2).is_main


def test_files_of_other_settings_are_refused(tmp_path):
    HypothesisFile(tmp_path / "a.jsonl", {"model": "a"})
    (tmp_path / "a.jsonl").rename(tmp_path / "b.jsonl.process1")
    with pytest.raises(ValueError, match=r"b.jsonl.process1 contains hypotheses created with other settings"):
        HypothesisFile(tmp_path / "b.jsonl", {"model": "b"})
