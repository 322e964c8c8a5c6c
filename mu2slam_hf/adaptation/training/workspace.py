# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The files of an adaptation, by which an interrupted one continues and a finished one is recognised."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mu2slam_hf.adaptation.report.prepared_data import PreparedData
from mu2slam_hf.adaptation.training.settings import AdaptationSettings
from mu2slam_hf.atomic_files import write_text

WORK_FOLDER = "adaptation"
"""Folder inside the output folder with everything but the model."""
ADAPTER_FOLDER = "adapter"
"""Folder inside the model with its low-rank adapters, for the method "lora"."""
_IDENTITY_FILE, _STATUS_FILE = "identity.json", "finished.json"


class Workspace:
    """Files in `<output_dir>/adaptation`.

    Args:
        output_dir: folder of the model.
    """

    def __init__(self, output_dir: str | os.PathLike[str]) -> None:
        self.output_dir = Path(output_dir)
        self.folder = self.output_dir / WORK_FOLDER
        # Where `continue_round` has moved the round before.
        self._aside: Path | None = None

    def path(self, name: str) -> Path:
        """A file of the adaptation; its folder is created."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def run_dir(self) -> Path:
        """Folder of checkpoints and logs."""
        return self.folder / "run"

    @property
    def trained(self) -> Path:
        """Folder of the trained model, as the run leaves it."""
        return self.run_dir / "final"

    @property
    def is_finished(self) -> bool:
        """Whether the model in the output folder is complete."""
        return (self.folder / _STATUS_FILE).is_file()

    def check_identity(self, settings: AdaptationSettings, records: Mapping[str, str]) -> None:
        """Compare settings and data with those of an adaptation that was begun here, or store them.

        Args:
            settings: of the user.
            records: from `fingerprint_records`.

        Raises:
            ValueError: they differ; the message says in what, and what to do.
        """
        identity = _identity(settings, records)
        path = self.path(_IDENTITY_FILE)
        if not path.is_file():
            _write_json(path, identity)
            return
        stored = _read_json(path)
        advice = "use another --output-dir, or --continue to train on from the model that is there"
        changes = describe_changes(stored["records"], identity["records"])
        if changes is not None:
            begun = f"{self.output_dir}: the data has changed since this adaptation began"
            raise ValueError(f"{begun}: {changes}; {advice}")
        before, now = stored["settings"], identity["settings"]
        changed = [name for name in now if before.get(name) != now[name]]
        if changed:
            name = changed[0]
            raise ValueError(
                f"{self.output_dir}: this adaptation began with {name} {before.get(name)!r}, not {now[name]!r}; give "
                f"the same options to continue it, {advice}"
            )

    @property
    def kept_start(self) -> bool:
        """Whether the adaptation is finished, and the model that it continued has stayed in the output folder."""
        return bool(_read_json(self.folder / _STATUS_FILE).get("kept_start", False))

    def continues_model(self, start: str) -> bool:
        """Whether a start is from an earlier round in this folder, which has left its model there.

        `config.json` is also missing while the model of this round, which is the better one then, is moved there.
        """
        return self._is_own(start) and (self.output_dir / "config.json").is_file()

    def continue_round(self, settings: AdaptationSettings, records: Mapping[str, str]) -> AdaptationSettings:
        """The settings with the start of a further round: that of an interrupted one, or of the next one.

        The next round starts from the last model that was trained in the folder and not rejected.

        Args:
            settings: of the user.
            records: from `fingerprint_records`.
        """
        stored = _read_json(self.folder / _IDENTITY_FILE)
        if not stored:
            return settings
        start = str(stored["settings"]["start"])
        resumed = replace(settings, start=start)
        if not self.is_finished and self._is_own(start) and stored == _identity(resumed, records):
            return resumed
        rejected = self._is_own(start) and (self.kept_start or not self.is_finished)
        previous = self._move_aside()
        if rejected:
            return resumed
        return settings if previous is None else replace(settings, start=str(previous))

    def _move_aside(self) -> Path | None:
        """Move a begun or finished adaptation aside.

        Returns:
            folder of its model; None if nothing has been trained yet.
        """
        number = 1 + sum(1 for path in self.output_dir.glob(f"{WORK_FOLDER}_*") if path.is_dir())
        trained = self.trained if self.trained.is_dir() else self._newest_checkpoint()
        aside = self.output_dir / f"{WORK_FOLDER}_{number}"
        if trained is not None and (trained / "merged").is_dir():
            # Further adapters are trained on the model with those of this round.
            trained = trained / "merged"
        relative = None if trained is None else trained.relative_to(self.folder)
        os.replace(self.folder, aside)
        self._aside = aside
        # The division of the data is kept.
        if (aside / "data.json").is_file():
            shutil.copyfile(aside / "data.json", self.path("data.json"))
        return None if relative is None else aside / relative

    def discard_round(self) -> None:
        """Forget an adaptation that cannot be begun; a round that was moved aside for it is moved back."""
        if self._aside is None:
            for name in (_IDENTITY_FILE, "before.json", "before.hypotheses.jsonl"):
                (self.folder / name).unlink(missing_ok=True)
        else:
            shutil.rmtree(self.folder)
            os.replace(self._aside, self.folder)
            self._aside = None

    def _is_own(self, start: str) -> bool:
        return any(Path(start).is_relative_to(folder) for folder in self.output_dir.glob(f"{WORK_FOLDER}_*"))

    def _newest_checkpoint(self) -> Path | None:
        checkpoints = self.run_dir.rglob("checkpoint-*")
        return max(checkpoints, key=lambda path: (path.parent, int(path.name[11:])), default=None)

    def publish(self, model: Path) -> None:
        """Move the files of a finished model into the output folder; `config.json` last, without which it is none."""
        (self.output_dir / "config.json").unlink(missing_ok=True)
        for path in sorted(model.iterdir(), key=lambda path: path.name == "config.json"):
            target = self.output_dir / path.name
            if path.is_dir():
                shutil.rmtree(target, ignore_errors=True)
            os.replace(path, target)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the summary, whose existence says that the model is complete."""
        _write_json(self.path(_STATUS_FILE), summary)


def copy_adapter(trained: Path, model: Path) -> None:
    """Put the adapters of a run into the subfolder `adapter` of its merged, calibrated model.

    Args:
        trained: final folder of the run.
        model: folder of the merged model.
    """
    shutil.copytree(trained, model / ADAPTER_FOLDER, ignore=shutil.ignore_patterns("merged", "README.md"))
    shutil.copyfile(model / "generation_config.json", model / ADAPTER_FOLDER / "generation_config.json")


def _identity(settings: AdaptationSettings, records: Mapping[str, str]) -> dict[str, Any]:
    identity: dict[str, Any] = json.loads(json.dumps({"settings": asdict(settings), "records": dict(records)}))
    return identity


def _read_json(path: Path) -> dict[str, Any]:
    """Content of a file; empty if there is none."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


_NOT_CONTENT = ("place", "shared")


def fingerprint_records(prepared: PreparedData) -> dict[str, str]:
    """Key of each record -> hash of its texts, languages, part, times, file name and size of the file.

    Choice: sizes in place of contents and times, so that hours of audio are not read again and a copied folder is the
    same; a recording that was replaced by one of exactly the same size is not noticed.
    """
    sizes: dict[str, int] = {}
    hashes = {}
    for row in prepared.to_dict()["records"]:
        audio = row["audio"]
        if audio is not None and audio not in sizes:
            sizes[audio] = Path(audio).stat().st_size
        content = {name: value for name, value in row.items() if name not in _NOT_CONTENT}
        content["audio"] = None if audio is None else [Path(audio).name, sizes[audio]]
        text = json.dumps(content, ensure_ascii=False, sort_keys=True)
        hashes[row["key"]] = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return hashes


def describe_changes(before: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """`3 recordings were added, 1 was changed (a/b/c)`; None without changes.

    Args:
        before: from `fingerprint_records`.
        now: likewise.
    """
    groups = {
        "added": sorted(set(now) - set(before)),
        "removed": sorted(set(before) - set(now)),
        "changed": sorted(key for key in set(now) & set(before) if now[key] != before[key]),
    }
    parts = [f"{len(keys):,} {what} ({keys[0]}{', ...' if keys[1:] else ''})" for what, keys in groups.items() if keys]
    return ", ".join(parts) or None
