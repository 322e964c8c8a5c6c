# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""TyDiQA-GoldP: questions in nine languages, each with a passage that has the answer."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from mu2slam_hf.data.corpora.declaration import Corpus
from mu2slam_hf.data.corpora.manifest_shards import Folder
from mu2slam_hf.data.corpora.reader import clean
from mu2slam_hf.data.corpora.splits import check_folds
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.table_files import ManifestError

LANGUAGES = ("ar", "bn", "en", "fi", "id", "ko", "ru", "sw", "te")


def load_tydiqa(
    root: Folder,
    split: str = "dev",
    *,
    languages: str | Sequence[str] = LANGUAGES,
    folds: Sequence[int] | None = None,
    num_folds: int = 5,
    except_folds: Sequence[int] | None = None,
) -> list[SpeechTextRecord]:
    """Questions with their passages.

    Args:
        root: the folder with `tydiqa.goldp.<language>.<split>.json`, each also as `.gz`, in the schema of SQuAD 1.1.
        split: train or dev.
        languages: one or several of the languages; languages without a file are left out.
        folds: some of `num_folds` parts of a split; all questions about a passage are in one part.
        num_folds: number of parts.
        except_folds: all parts but these, in place of `folds`.

    Returns:
        One record for each question: `text` is the question, `extra` has `context` (the passage as it is in the file,
        because answers are places in it) and `answers`, a list of `{"text": ..., "answer_start": ...}`. Blank answers
        (public copies of a test set have them in place of the answers) are left out, so `answers` may be empty. Where
        ids of a file repeat, as in some copies of `train`, the later ones get a number: `12`, `12~2`.

    Raises:
        FileNotFoundError: no file of the split in any of the languages.
        ManifestError: a file that is not JSON or has another schema, or an answer that is not at its place.
        ValueError: an unknown language or fold.
    """
    wanted = [languages] if isinstance(languages, str) else list(languages)
    if not wanted or not set(wanted) <= set(LANGUAGES):
        raise ValueError(f"`languages` must be one or several of {', '.join(LANGUAGES)}; got {wanted}")
    chosen = check_folds(folds, num_folds, except_folds)
    names = {lang: f"tydiqa.goldp.{lang}.{split}.json" for lang in wanted}
    results = {
        lang: path
        for lang, name in names.items()
        for path in (Path(root) / name, Path(root) / f"{name}.gz")
        if path.is_file()
    }
    if not results:
        raise FileNotFoundError(
            f"{root}: no tydiqa.goldp.<language>.{split}.json or .json.gz in {', '.join(wanted)}; the files are made "
            "from https://github.com/google-research-datasets/tydiqa (GoldP, one file for each language, as in XTREME)"
        )
    records = []
    for lang, path in results.items():
        seen: Counter[str] = Counter()
        for passage, question in _questions(path):
            record = _record(path, lang, passage, question)
            seen[record.id] += 1
            if seen[record.id] > 1:
                record = replace(record, id=f"{record.id}~{seen[record.id]}")
            if chosen is None or _fold_of(passage, num_folds) in chosen:
                records.append(record)
    return records


def _questions(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    content = path.read_bytes()
    try:
        tree = json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
        for article in tree["data"]:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    yield str(paragraph["context"]), question
    except (ValueError, OSError, EOFError, KeyError, TypeError) as error:
        raise ManifestError(
            f"{path}: expected data[].paragraphs[].{{context, qas[]}} as in SQuAD 1.1 ({error!r})"
        ) from error


def _record(path: Path, lang: str, passage: str, question: Mapping[str, Any]) -> SpeechTextRecord:
    where = f"{path}: question {question.get('id')!r}"
    try:
        answers = [
            {"text": answer["text"], "answer_start": int(answer["answer_start"])}
            for answer in question["answers"]
            if answer["text"].strip()
        ]
        text, name = clean(question["question"]), str(question["id"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ManifestError(f"{where}: expected id, question and answers[].{{text, answer_start}}") from error
    for answer in answers:
        start = answer["answer_start"]
        there = passage[start : start + len(answer["text"])]
        if there != answer["text"]:
            raise ManifestError(f"{where}: the answer {answer['text']!r} is not at {start}, which has {there!r}")
    record = SpeechTextRecord(
        id=name, lang=lang, text=text, corpus="tydiqa", extra={"context": passage, "answers": answers}
    )
    return record.validate()


def _fold_of(passage: str, num_folds: int) -> int:
    return int.from_bytes(blake2b(passage.encode(), digest_size=8).digest(), "big") % num_folds


CORPUS = Corpus(
    name="tydiqa",
    load=load_tydiqa,
    languages=LANGUAGES,
    tasks=("qa",),
    licence="Apache-2.0 AND CC-BY-SA-3.0",
    redistributable_weights=True,
    citation=(
        "Clark, Choi, Collins, Garrette, Kwiatkowski, Nikolaev, Palomaki. TyDi QA: A Benchmark for "
        "Information-Seeking Question Answering in Typologically Diverse Languages. TACL 2020."
    ),
    source="https://github.com/google-research-datasets/tydiqa",
    layout="tydiqa.goldp.<language>.{train,dev}.json, each also as .gz",
    columns=("id", "question", "context", "answers"),
    paper_use="fine-tuning and evaluation of text understanding (section 3.4)",
)
