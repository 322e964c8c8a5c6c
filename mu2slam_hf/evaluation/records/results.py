# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The record of an evaluation: all scores and everything needed to reproduce them; the source of model cards."""

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.evaluation.scores.score import Score

SCHEMA_VERSION = 1
_REPORTED_PACKAGES = ("mu2slam-hf", "torch", "transformers", "tokenizers", "numpy", "sacrebleu", "soundfile", "soxr")


class ResultsError(ValueError):
    """A results file that cannot be read."""


@dataclass(frozen=True, kw_only=True)
class EvaluationResults:
    """One evaluation run.

    Attributes:
        command: the command line of the run.
        created: UTC, ISO 8601.
        git_commit: commit of the working tree, with "-dirty" if it had changes; None outside of git.
        machine: platform, processor, cores, device.
        versions: versions of Python and of the packages that affect the scores.
        model: path or name, number of parameters, fingerprint of the weights.
        data: corpus, split, number of records, seconds of audio, options.
        settings: generation and batching.
        seed: seed of the run; unused by greedy and beam search.
        duration_seconds: duration of decoding.
        scores: all scores.
        output_languages: by task, `references`, `predictions` and `counts` of the confusion of the languages of texts;
            only where language accuracy was asked for.
        schema_version: schema version of the record.
    """

    command: str
    created: str
    git_commit: str | None
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    model: Mapping[str, Any]
    data: Mapping[str, Any]
    settings: Mapping[str, Any]
    seed: int
    duration_seconds: float
    scores: Sequence[Score] = field(default_factory=tuple)
    output_languages: Mapping[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def find(self, **wanted: Any) -> list[Score]:
        """Scores whose fields have the given values, e.g. `find(task="asr", metric="wer", source_lang="mean")`."""
        return [s for s in self.scores if all(getattr(s, name) == value for name, value in wanted.items())]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the record as JSON; an existing file is replaced atomically."""
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "EvaluationResults":
        """Read a record written by `save`.

        Raises:
            ResultsError: the file is not JSON, has another schema version, or has unknown fields, or lacks fields
                without a default.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise ResultsError(f"{path}: not valid JSON ({error})") from error
        if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
            version = content.get("schema_version") if isinstance(content, dict) else None
            raise ResultsError(f"{path}: expected a results record of version {SCHEMA_VERSION}, got {version!r}")
        _check_fields(cls, content, str(path))
        for score in content["scores"]:
            _check_fields(Score, score, f"{path}: a score")
        return cls(**{**content, "scores": tuple(Score(**score) for score in content["scores"])})


def _check_fields(record: Any, content: Mapping[str, Any], where: str) -> None:
    required = {f.name for f in fields(record) if f.default is MISSING and f.default_factory is MISSING}
    missing, unknown = sorted(required - set(content)), sorted(set(content) - {f.name for f in fields(record)})
    if missing or unknown:
        raise ResultsError(f"{where}: missing fields {missing}, unknown fields {unknown}")


def describe_command() -> str:
    """The command line of this process; `python -m mu2slam_hf.cli` is the command `mu2slam`."""
    program = Path(sys.argv[0])
    if program.name != "__main__.py":
        return shlex.join([program.name, *sys.argv[1:]])
    module = program.parent.name
    return shlex.join([*(["python", "-m", module] if module == "lab" else ["mu2slam"]), *sys.argv[1:]])


def describe_machine(device: str = "cpu") -> dict[str, Any]:
    """The machine, on which the duration of an evaluation depends."""
    import torch

    description = {
        "platform": platform.platform(),
        "processor": _processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": device,
    }
    if device.startswith("cuda"):
        description["gpu"] = torch.cuda.get_device_name(device)
    return description


def describe_versions() -> dict[str, str]:
    """Versions of Python and of the packages that affect the scores."""
    versions = {"python": platform.python_version()}
    for package in _REPORTED_PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def current_commit(folder: str | os.PathLike[str] = ".") -> str | None:
    """Git commit checked out in a folder, with "-dirty" if tracked files differ; None outside of git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", os.fspath(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return commit + ("-dirty" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def current_time() -> str:
    """Current time, UTC, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _processor_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
