# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Hypotheses of an evaluation, and the JSONL file that keeps them."""

import glob
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.evaluation.records.processes import Processes
from mu2slam_hf.evaluation.scores.score import Hypothesis


class HypothesisFile:
    """JSONL with the settings in the first line, then one hypothesis per line; an incomplete last line is dropped.

    With several processes, each but the first writes a file of its own, `<name>.process<index>`, until `collect` adds
    its hypotheses to the file of the first. Such files that an interrupted run has left are added at the start.

    Args:
        path: the file; None keeps the hypotheses in memory only.
        settings: settings that affect the hypotheses.
        processes: processes that share the work; each must create the object and call `collect`.

    Attributes:
        hypotheses: key -> hypothesis, those of the file and those added.

    Raises:
        ValueError: the file was created with other settings, or it is not such a file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        settings: Mapping[str, Any],
        processes: Processes | None = None,
    ) -> None:
        self.hypotheses: dict[str, Hypothesis] = {}
        self._new: list[Hypothesis] = []
        self._processes = processes or Processes()
        self._path = None if path is None else Path(path)
        if self._path is None:
            return
        self._header = json.loads(json.dumps({"settings": dict(settings)}, default=str))
        if self._processes.is_main:
            parts = sorted(self._path.parent.glob(f"{glob.escape(self._path.name)}.process*"))
            for file in (self._path, *parts):
                self._read(file)
            self._rewrite(self.hypotheses.values())
            for part in parts:
                part.unlink()
        self._processes.wait()
        if not self._processes.is_main:
            self._read(self._path)
            self._path = self._path.with_name(f"{self._path.name}.process{self._processes.index}")
            self._rewrite([])
        self._processes.wait()

    def add(self, hypotheses: Sequence[Hypothesis]) -> None:
        """Add hypotheses, in memory and at the end of the file."""
        self.hypotheses.update({hypothesis.key: hypothesis for hypothesis in hypotheses})
        self._new += hypotheses
        if self._path is None:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(h), ensure_ascii=False) + "\n" for h in hypotheses)

    def collect(self) -> None:
        """Give the hypotheses of all processes to each of them, and write them to the file of the first."""
        if self._processes.count == 1:
            return
        own = {hypothesis.key for hypothesis in self._new}
        others = [h for h in self._processes.gather(list(self._new)) if h.key not in own]
        self._new = []
        if self._processes.is_main or self._path is None:
            self.add(others)
            self._processes.wait()
        else:
            self.hypotheses.update({hypothesis.key: hypothesis for hypothesis in others})
            self._processes.wait()
            self._path.unlink()

    def _read(self, path: Path) -> None:
        lines = _complete_lines(path) if path.is_file() else []
        if not lines:
            return
        if lines[0] != self._header:
            raise ValueError(
                f"{path} contains hypotheses created with other settings: {lines[0]}, now {self._header}. Delete it "
                "or choose another file."
            )
        self.hypotheses.update({line["key"]: Hypothesis(**line) for line in lines[1:]})

    def _rewrite(self, hypotheses: Iterable[Hypothesis]) -> None:
        assert self._path is not None
        lines = [self._header, *(asdict(hypothesis) for hypothesis in hypotheses)]
        with atomic_path(self._path) as temporary:
            temporary.write_text("".join(json.dumps(x, ensure_ascii=False) + "\n" for x in lines), encoding="utf-8")


def read_hypotheses(path: str | os.PathLike[str]) -> list[Hypothesis]:
    """The hypotheses of a file that an evaluation has written.

    Args:
        path: file of `mu2slam evaluate --hypotheses`.

    Raises:
        ValueError: there is no such file, or it is not a file of hypotheses.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file; `mu2slam evaluate --hypotheses FILE` writes files of hypotheses")
    lines = _complete_lines(Path(path))
    if not lines or not isinstance(lines[0], dict) or "settings" not in lines[0]:
        raise ValueError(f"{path}: not a file of hypotheses: its first line must be the settings of the evaluation")
    try:
        return [Hypothesis(**line) for line in lines[1:]]
    except TypeError as error:
        raise ValueError(f"{path}: not a file of hypotheses: {error}") from error


def _complete_lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):  # interrupted while writing
                break
            try:
                lines.append(json.loads(line))
            except ValueError as error:  # also bytes that are no UTF-8
                raise ValueError(f"{path}, line {number}: not valid JSON in UTF-8 ({error})") from error
    return lines
