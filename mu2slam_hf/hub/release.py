# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A release on the Hub: from a checkpoint to a complete folder, and the list of what was checked in it."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mu2slam_hf.checkpoints import DEFAULT_NAME, default_checkpoint, load_any_checkpoint
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.evaluation.tasks.corpora import hash_parameters
from mu2slam_hf.hub.bundle import CARD_NAME, add_custom_code, build_bundle, find_model_type
from mu2slam_hf.hub.bundle_check import BundleError
from mu2slam_hf.hub.card_check import check_public_card, read_card_data
from mu2slam_hf.hub.card_examples import choose_records, make_card_examples
from mu2slam_hf.hub.cards import card_template, load_card_facts, render_card

# The Hub stores larger files, but warns that they are hard to download.
_LARGE_FILE_GIGABYTES = 20
_QUESTIONS = (
    "the speakers and the owners of the data agree",
    "the card says for whom the model is not, and how to reach you",
    "the model loads at the tag, with the package and without it",
)
"""What only people can check."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """What is published.

    Attributes:
        model: "default", a folder, or a name on the Hub.
        facts: YAML with the facts of the card; None: the card of the folder stays.
        results: records of evaluations of the model, the scores of the card.
        examples: manifest of recordings, three of which are transcribed for the card.
        extra_files: further files; licences of the folder are always added.
        variants: names of `VARIANTS`.
    """

    model: str
    facts: str | None = None
    results: Sequence[str] = ()
    examples: str | None = None
    extra_files: Sequence[str] = ()
    variants: Sequence[str] = ()

    def __post_init__(self) -> None:
        unknown = [name for name in self.variants if name not in VARIANTS]
        if unknown:
            raise ValueError(f"unknown variant {unknown[0]!r}; expected {', '.join(VARIANTS)}")
        if self.facts is None and (self.results or self.examples):
            raise ValueError("results and examples are shown on a card that is made from facts; none are given")

    @property
    def path(self) -> str:
        """Folder or name on the Hub."""
        return default_checkpoint() if self.model == DEFAULT_NAME else self.model


@dataclass(frozen=True)
class CheckedItem:
    """An item of the check list.

    Attributes:
        text: what is checked.
        is_good: whether it holds; None if only people can know.
    """

    text: str
    is_good: bool | None

    def __str__(self) -> str:
        mark = {True: "ok", False: "missing", None: "yourself"}[self.is_good]
        return f"{mark:8}  {self.text}"


def make_release(release: Release, folder: str | os.PathLike[str]) -> list[CheckedItem]:
    """Make the folder of a release and check it; needs no network for a local model.

    Args:
        release: what is published.
        folder: folder to create; must not exist.

    Returns:
        The check list.

    Raises:
        BundleError: a check fails; the message says which.
        ValueError: a file that is missing or wrong.
    """
    records = [EvaluationResults.load(path) for path in release.results]
    model, processor = load_any_checkpoint(release.path, dtype="auto")
    check_records(records, release.results, model)
    card = _write_card(release, records, model, processor)
    licences = [str(file) for file in sorted(Path(release.path).glob("LICENSE*"))]
    extra_files = [*licences, *release.extra_files]
    # In memory, weights that are stored in half precision are float32, if the configuration says so.
    stored = Path(release.path) / "model.safetensors"
    weights = stored if stored.is_file() else None
    build_bundle(folder, model, processor, card=card, extra_files=extra_files, weights=weights)
    for name in release.variants:
        VARIANTS[name](release.path, Path(folder) / name)
    return list_checks(Path(folder), len(records))


def check_records(records: Sequence[EvaluationResults], paths: Sequence[str], model: Any) -> None:
    """Raises BundleError if a record is of other weights than those of a model."""
    if not records:
        return
    expected = hash_parameters(model)
    for record, path in zip(records, paths, strict=True):
        found = record.model.get("weights_sha256")
        if found != expected:
            raise BundleError(
                f"{path}: the record is of other weights ({found or 'unknown'}) than the model ({expected}); "
                "evaluate the model again"
            )


def _write_card(release: Release, records: Sequence[EvaluationResults], model: Any, processor: Any) -> str:
    model_type = find_model_type(model)
    if release.facts is None:
        file = Path(release.path) / CARD_NAME
        if not file.is_file():
            raise ValueError(f"{release.model}: has no {CARD_NAME}; expected one there, or the facts of a card")
        return file.read_text(encoding="utf-8")
    chosen = choose_records(read_manifest(release.examples)) if release.examples else []
    return render_card(
        card_template(),
        load_card_facts(release.facts),
        model=model,
        model_type=model_type,
        has_code=True,
        results=records,
        examples=make_card_examples(model, processor, chosen) if release.examples else [],
    )


def list_files(folder: Path) -> list[tuple[str, int]]:
    """Names and sizes in bytes of all files of a folder, the largest first."""
    files = [
        (path.relative_to(folder).as_posix(), path.stat().st_size) for path in folder.rglob("*") if path.is_file()
    ]
    return sorted(files, key=lambda file: (-file[1], file[0]))


def list_checks(folder: Path, num_records: int) -> list[CheckedItem]:
    """The check list of a folder that `build_bundle` has made.

    Args:
        folder: the folder.
        num_records: evaluations that its card was made from.
    """
    problems = check_public_card(folder / CARD_NAME)
    text = (folder / CARD_NAME).read_text(encoding="utf-8")
    data = read_card_data(text)
    largest, size = list_files(folder)[0]
    scores = f"{len(data.eval_results or [])} scores on the card"
    if num_records:
        scores += f", from {num_records} records of these weights"
    return [
        CheckedItem("complete, and loads without the package, with the same outputs", True),
        CheckedItem(f"licence: {data.license}; languages: {data.language}", True),
        CheckedItem(scores, True if data.eval_results else None),
        CheckedItem("limits on the card", "## Limits" in text),
        *(CheckedItem(problem, False) for problem in problems),
        CheckedItem(f"largest file: {largest}, {format_size(size)}", size < _LARGE_FILE_GIGABYTES * 10**9),
        *(CheckedItem(question, None) for question in _QUESTIONS),
    ]


def format_size(size: int) -> str:
    """`26.7 MB` of a number of bytes."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


def _write_8bit(path: str, folder: Path) -> None:
    """The same model with linear layers in 8 bits (extra `quantization`), in a folder that loads by itself."""
    model, processor = load_any_checkpoint(path, quantization="int8_weight_only")
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    add_custom_code(folder)


VARIANTS: Mapping[str, Callable[[str, Path], None]] = {"8bit": _write_8bit}
"""Name of a folder in the release -> what writes the variant of a model into it."""
