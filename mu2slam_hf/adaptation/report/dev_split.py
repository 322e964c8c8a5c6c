# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Split of transcribed recordings into training and development data."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Literal

from mu2slam_hf.adaptation.reading.options import SplitSettings
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.text import normalize_for_scoring

GroupKind = Literal["given", "speaker", "session", "text"]
_WHOLE_GROUPS: tuple[GroupKind, ...] = ("speaker", "session")
# A development set of whole speakers or sessions may be this many times smaller or larger than wanted.
_MAX_RATIO = 3.0
# The development set never takes more than this share of the utterances to reach its least number.
_MAX_MINIMUM_SHARE = 0.25


@dataclass(frozen=True, kw_only=True)
class DevSplit:
    """Training and development records.

    A record is in the development set if `hash_share(by, group)` is below `threshold`, where the group is its speaker,
    session or sentence. That depends on the name of the group only: recordings that are added later never move
    earlier ones, as long as `by` and `threshold` stay the same (pass the split as `previous`).

    Attributes:
        by: what is kept together. "given": the user's own split.
        threshold: share of hashes that are in the development set; 0 for a given split.
        reason: why this kind of group was chosen, for the report.
        train: records to train on, with a transcript, a translation, or both.
        dev: records of the development set, including shared sentences.
        test: records of a test set that the user's files have; never used.
        shared: language -> keys of the records of `dev` whose text in this language also is the text of a training
            record (ignoring case and punctuation). They are left out of scores into that language, see `scored`.

    Choice: shared sentences stay in training, which has little data, and a training set that depends on the
    development set would change when sentences are added to the latter. A score without them measures new sentences.
    """

    by: GroupKind
    threshold: float
    reason: str
    train: tuple[SpeechTextRecord, ...]
    dev: tuple[SpeechTextRecord, ...]
    test: tuple[SpeechTextRecord, ...] = ()
    shared: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def scored(self, lang: str) -> list[SpeechTextRecord]:
        """Records of the development set to score in a language: those with a text in it that training does not have.

        Args:
            lang: language of the recordings for transcription, or of a translation.
        """
        return [
            record
            for record in self.dev
            if _text_in(record, lang) is not None and record.key not in self.shared.get(lang, frozenset())
        ]

    def group_of(self, record: SpeechTextRecord) -> str:
        """The group that keeps a record together with others."""
        return group_name(record, self.by)

    def is_dev_group(self, record: SpeechTextRecord) -> bool:
        """Whether a record, with or without text, is of a speaker or session of the development or a test set."""
        if self.by == "given" or record.extra.get("split") == "test":
            return record.extra.get("split") in ("dev", "test")
        return self.by != "text" and hash_share(self.by, self.group_of(record)) < self.threshold


@dataclass(frozen=True, kw_only=True)
class PreviousSplit:
    """What has to be known of an earlier split of the same data, to keep it.

    Attributes:
        by: its kind of groups.
        threshold: its threshold.
    """

    by: GroupKind
    threshold: float

    def __post_init__(self) -> None:
        if self.by not in ("given", *_WHOLE_GROUPS, "text") or not 0.0 <= self.threshold <= 1.0:
            raise ValueError(f"not a split: by {self.by!r}, threshold {self.threshold!r}")


def split_records(
    records: Sequence[SpeechTextRecord], settings: SplitSettings, previous: PreviousSplit | None = None
) -> DevSplit:
    """Split records by speaker, session or sentence.

    Records whose `extra["split"]` is "dev" or "test" stay there, and then nothing else is split off. Else "auto" takes
    the first of speaker, session and sentence whose development set has between a third and three times the wanted
    share of the time, and enough utterances to score. If the chosen groups give too few utterances, further groups
    follow in the order of their hashes.

    Args:
        records: with audio, duration, and a transcript or translation.
        settings: share, least number of utterances, kind of groups.
        previous: an earlier split of the same data, whose groups keep their side.

    Returns:
        the split; without a development set if there are fewer than two groups.
    """
    if any(record.extra.get("split") == "dev" for record in records):
        return _given_split(records)
    test = tuple(record for record in records if record.extra.get("split") == "test")
    usable = [record for record in records if record.extra.get("split") != "test"]
    minimum = min(settings.min_utterances, int(_MAX_MINIMUM_SHARE * len(usable)))
    if previous is not None and previous.by != "given":
        return _build(usable, test, previous.by, previous.threshold, "as in the earlier split of these data")
    if settings.by != "auto":
        threshold = _reach_minimum(usable, settings.by, settings.dev_share, minimum)
        return _build(usable, test, settings.by, threshold, "as given")
    reasons: list[str] = []
    for by in _WHOLE_GROUPS:
        candidate = _build(usable, test, by, settings.dev_share, "")
        fault = _find_fault(candidate, settings, minimum)
        if fault is None:
            reason = "; ".join([*reasons, f"whole {by}s give a development set of the wanted size"])
            return replace(candidate, reason=reason)
        reasons.append(f"not by {by}: {fault}")
    threshold = _reach_minimum(usable, "text", settings.dev_share, minimum)
    reasons.append("so all recordings of a sentence stay together")
    return _build(usable, test, "text", threshold, "; ".join(reasons))


def group_name(record: SpeechTextRecord, by: GroupKind) -> str:
    """Name of the group of a record: without a speaker its session, without a transcript its translation."""
    session = str(record.extra.get("session", ""))
    if by == "speaker":
        return record.speaker if record.speaker is not None else f"session {session}"
    if by == "session":
        return session
    text = record.text or next(iter(record.translations.values()), "")
    return normalize_for_scoring(text) or record.id


def hash_share(by: GroupKind, group: str) -> float:
    """A number from 0 to 1 that depends on kind and name of a group only."""
    digest = blake2b(f"{by}:{group}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _given_split(records: Sequence[SpeechTextRecord]) -> DevSplit:
    sides = {
        side: tuple(record for record in records if record.extra.get("split", "train") == side)
        for side in ("train", "dev", "test")
    }
    reason = "the files have a development set of their own"
    return DevSplit(by="given", threshold=0.0, reason=reason, **sides, shared=_shared(sides["train"], sides["dev"]))


def _build(
    records: Sequence[SpeechTextRecord],
    test: tuple[SpeechTextRecord, ...],
    by: GroupKind,
    threshold: float,
    reason: str,
) -> DevSplit:
    dev = tuple(record for record in records if hash_share(by, group_name(record, by)) < threshold)
    keys = {record.key for record in dev}
    train = tuple(record for record in records if record.key not in keys)
    shared = _shared(train, dev)
    return DevSplit(by=by, threshold=threshold, reason=reason, train=train, dev=dev, test=test, shared=shared)


def _shared(train: Sequence[SpeechTextRecord], dev: Sequence[SpeechTextRecord]) -> dict[str, frozenset[str]]:
    known: dict[str, set[str]] = defaultdict(set)
    for record in train:
        for lang, text in _texts(record).items():
            known[lang].add(normalize_for_scoring(text))
    shared: dict[str, set[str]] = defaultdict(set)
    for record in dev:
        for lang, text in _texts(record).items():
            if normalize_for_scoring(text) in known[lang]:
                shared[lang].add(record.key)
    return {lang: frozenset(keys) for lang, keys in shared.items()}


def _find_fault(split: DevSplit, settings: SplitSettings, minimum: int) -> str | None:
    """Why a split by whole speakers or sessions is not useful; None if it is."""
    groups = Counter(split.group_of(record) for record in (*split.train, *split.dev))
    if len(groups) < 2:
        return "there is only one" if groups else "there are no texts"
    if not split.dev:
        return f"with a share of {settings.dev_share:.0%}, none of the {len(groups)} falls into the development set"
    dev_seconds = _seconds(split.dev)
    share = dev_seconds / (dev_seconds + _seconds(split.train))
    if not settings.dev_share / _MAX_RATIO <= share <= settings.dev_share * _MAX_RATIO:
        return f"the development set would have {share:.0%} of the time instead of {settings.dev_share:.0%}"
    # All records have one language.
    num_scored = len(split.scored(split.dev[0].lang))
    if num_scored < minimum:
        return f"only {num_scored} of its sentences are not in the training data too, {minimum} are needed"
    return None


def _reach_minimum(records: Sequence[SpeechTextRecord], by: GroupKind, threshold: float, minimum: int) -> float:
    """The threshold, or the lowest higher one with enough utterances; at least one group stays in training."""
    sizes: Counter[str] = Counter(group_name(record, by) for record in records)
    shares = sorted((hash_share(by, group), count) for group, count in sizes.items())
    inside = sum(count for share, count in shares if share < threshold)
    above = [(share, count) for share, count in shares if share >= threshold]
    for (_, count), (next_share, _) in pairwise(above):
        if inside >= max(minimum, 1):
            break
        inside += count
        threshold = next_share
    if not above and len(shares) > 1:
        threshold = shares[-1][0]
    return threshold


def _seconds(records: Sequence[SpeechTextRecord]) -> float:
    return sum(record.duration_seconds or 0.0 for record in records)


def _texts(record: SpeechTextRecord) -> dict[str, str]:
    return {**({record.lang: record.text} if record.text else {}), **record.translations}


def _text_in(record: SpeechTextRecord, lang: str) -> str | None:
    return _texts(record).get(lang)


def to_previous(stored: Any) -> PreviousSplit | None:
    """The split of an earlier `data.json` (its entry `split`); None if it is not one."""
    try:
        return PreviousSplit(by=stored["by"], threshold=float(stored["threshold"]))
    except (TypeError, KeyError, ValueError):
        return None
