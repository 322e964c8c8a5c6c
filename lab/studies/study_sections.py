# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The file of a study: steps of training, findings with their variants, seeds, and the data of the evaluation."""

from dataclasses import dataclass, field
from typing import Any

from lab.studies.seed_comparison import Expectation
from mu2slam_hf.data.selection import Part
from mu2slam_hf.recipes.schema.loader import dotted_field, path_field


@dataclass(kw_only=True)
class StepSection:
    """One run, from which others may start.

    Attributes:
        recipe: file of a recipe, or the name of one of the laboratory or the package, also of a speech tokenizer.
        set: values that replace those of the recipe, by dotted name.
    """

    recipe: str
    set: dict[str, Any] = dotted_field()


@dataclass(kw_only=True)
class StepUse:
    """A step of a variant with values of its own.

    Attributes:
        step: name in `steps`.
        set: values that replace those of the step, by dotted name.
    """

    step: str
    set: dict[str, Any] = dotted_field()


@dataclass(kw_only=True)
class VariantSection:
    """One way of training.

    Attributes:
        steps: names in `steps`, each with values of its own if needed. Each starts from the result of the one before:
            from its model, or after a speech tokenizer from that tokenizer. Equal beginnings are trained once.
        expected: whether the hypothesis says that the variant is better or worse than the reference; None if it says
            nothing.
    """

    steps: list[StepUse | str] = field(default_factory=list)
    expected: Expectation | None = None


@dataclass(kw_only=True)
class FindingSection:
    """A hypothesis about variants, each compared with one of them, the reference.

    Attributes:
        hypothesis: what is expected and why.
        task: task of the metric: asr, ast, mt; or that of `mu2slam retrieve`, such as retrieval_speech_to_text.
        metric: wer, cer, bleu, chrf, ter or language_accuracy; of retrieval also recall@1, ...; the mean over
            languages or directions.
        group: name in `evaluation.groups`, over whose source languages the mean is; None: over all.
        languages: of retrieval: the mean is over these languages of the speech; empty for all.
        text_lang: of retrieval: translations into this language are retrieved instead of transcripts.
        reference: name of the variant with which the others are compared.
        variants: name -> variant.
    """

    hypothesis: str
    task: str
    metric: str
    reference: str
    variants: dict[str, VariantSection]
    group: str | None = None
    languages: list[str] = field(default_factory=list)
    text_lang: str | None = None

    @property
    def is_retrieval(self) -> bool:
        """Whether the metric is that of `mu2slam retrieve`."""
        return self.task.startswith("retrieval_")

    def __post_init__(self) -> None:
        if not self.is_retrieval and (self.languages or self.text_lang):
            raise ValueError("languages, text_lang: belong to tasks of retrieval; leave them out")
        if self.reference not in self.variants:
            raise ValueError(f"reference: {self.reference!r} is not among the variants {', '.join(self.variants)}")
        if self.variants[self.reference].expected is not None:
            raise ValueError(f"variants.{self.reference}.expected: the reference is not compared with itself")
        empty = [name for name, variant in self.variants.items() if not variant.steps]
        if empty:
            raise ValueError(f"variants.{empty[0]}.steps: is required")


@dataclass(kw_only=True)
class StudyEvaluationSection:
    """Data on which all variants are evaluated: a known corpus with its folder, or a manifest.

    Attributes:
        name, root: corpus of `mu2slam corpora` and its folder.
        manifest: file of a manifest.
        split: split of the corpus.
        part: part of the split, see `CorpusSource`; the other one is for choosing settings.
        languages: languages of sources and targets; empty for all.
        options: further arguments of the loader of a corpus.
        limit: number of records of each language, for trials.
        directions: translate only in these, as `fr-en`; empty for all.
        groups: name -> source languages, over which there are means too.
        language_accuracy: whether to score the languages of texts too.
    """

    name: str | None = None
    root: str | None = path_field("folder")
    manifest: str | None = path_field("file")
    split: str = "dev"
    part: Part | None = "reporting"
    languages: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    limit: int | None = None
    directions: list[str] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=dict)
    language_accuracy: bool = False

    def __post_init__(self) -> None:
        if (self.name is None) == (self.manifest is None) or (self.name is None) != (self.root is None):
            raise ValueError("give either a corpus (name, root) or a manifest")


@dataclass(kw_only=True)
class StudyFile:
    """A study.

    Attributes:
        title: title of the report.
        notes: what the report says first: the size of the runs, and what was chosen on which data.
        seeds: seeds with which every variant is trained.
        evaluation: data on which all variants are evaluated.
        steps: runs by name.
        findings: findings by name.
    """

    title: str
    notes: str = ""
    seeds: list[int] = field(default_factory=lambda: [1, 2, 3])
    evaluation: StudyEvaluationSection
    steps: dict[str, StepSection]
    findings: dict[str, FindingSection]

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: expected different seeds, at least one, got {self.seeds}")
        for name, finding in self.findings.items():
            if finding.group is not None and finding.group not in self.evaluation.groups:
                raise ValueError(f"findings.{name}.group: {finding.group!r} is not in evaluation.groups")
            for variant, section in finding.variants.items():
                for step in section.steps:
                    used = step if isinstance(step, str) else step.step
                    if used not in self.steps:
                        raise ValueError(
                            f"findings.{name}.variants.{variant}.steps: no such step: {used!r}; steps has "
                            f"{', '.join(self.steps)}"
                        )
