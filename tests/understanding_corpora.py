# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Small corpora of text understanding in their public schemas, in words of the tiny tokenizers."""

import gzip
import json
from pathlib import Path

WORDS = {"en": ("the sea", "the table", "a house", "the moon"), "es": ("el mar", "la mesa", "una casa", "la luna")}
LABELS = ("entailment", "neutral", "contradiction")


def hypotheses(lang: str, number: int) -> list[str]:
    """One hypothesis for each of `LABELS` about the premise `number`: the same words, more words, other words."""
    words = WORDS[lang]
    return [words[number], f"{words[number]} {words[(number + 1) % 4]}", words[(number + 2) % 4]]


def write_xnli(folder: Path) -> Path:
    """Four premises with three hypotheses each, in en and es: dev in one file, train in one for each language."""
    folder.mkdir(parents=True, exist_ok=True)
    dev = ["language\tgold_label\tsentence1\tsentence2\tpairID"]
    for lang, premises in WORDS.items():
        train = ["premise\thypo\tlabel"]
        for number, premise in enumerate(premises):
            for place, (label, other) in enumerate(zip(LABELS, hypotheses(lang, number), strict=True)):
                dev.append(f"{lang}\t{label}\t{premise}\t{other}\t{3 * number + place + 1}")
                train.append(f"{premise}\t{other}\t{'contradictory' if label == 'contradiction' else label}")
        (folder / f"multinli.train.{lang}.tsv").write_text("\n".join(train) + "\n", encoding="utf-8")
    (folder / "xnli.dev.tsv.gz").write_bytes(gzip.compress(("\n".join(dev) + "\n").encode()))
    return folder


def question_tree(lang: str, is_blank: bool = False) -> dict:
    """Four questions in the schema of SQuAD 1.1; the answer to each is the second of the words of its passage."""
    articles = []
    for number in range(4):
        passage = f"the table la mesa. {lang} sea {'el mar ' * number}house"
        start = passage.index("sea")
        answer = {"text": "", "answer_start": 0} if is_blank else {"text": "sea", "answer_start": start}
        question = {"id": f"{lang}-{number}", "question": f"a {lang} house {number}", "answers": [answer]}
        articles.append({"paragraphs": [{"context": passage, "qas": [question]}]})
    return {"version": "1", "data": articles}


def write_tydiqa(folder: Path, is_blank: bool = False) -> Path:
    """Train and dev in en and sw; dev has blank answers, if asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    for lang in ("en", "sw"):
        for split in ("train", "dev"):
            tree = question_tree(lang, is_blank and split == "dev")
            content = json.dumps(tree, ensure_ascii=False).encode()
            (folder / f"tydiqa.goldp.{lang}.{split}.json.gz").write_bytes(gzip.compress(content))
    return folder
