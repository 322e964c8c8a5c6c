# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What reading and inspection find in a user's data, and the advice for each kind."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["left_out", "check"]


@dataclass(frozen=True, kw_only=True)
class FindingKind:
    """A kind of finding.

    Attributes:
        severity: "left_out": what the finding is about is not used; "check": it is used, but a person should look.
        title: plural name for headings.
        advice: what to do, for a reader who is not a programmer.
        is_intended: whether it is left out because the user wants it so.
    """

    severity: Severity
    title: str
    advice: str
    is_intended: bool = False


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One fault or oddity of the data.

    Attributes:
        kind: one of `FINDING_KINDS`.
        place: file, and line, tier and time or number of the subtitle, as far as they are known.
        message: what was found, without the place.
        key: `SpeechTextRecord.key` of the record that it is about; None if there is no record.
    """

    kind: str
    place: str
    message: str
    key: str | None = None

    def __post_init__(self) -> None:
        assert self.kind in FINDING_KINDS, self.kind

    @property
    def severity(self) -> Severity:
        """Whether something was left out."""
        return FINDING_KINDS[self.kind].severity

    @property
    def is_fault(self) -> bool:
        """Whether something was left out that the user probably wants to be used."""
        return self.severity == "left_out" and not FINDING_KINDS[self.kind].is_intended

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


FINDING_KINDS: dict[str, FindingKind] = {
    "unreadable_file": FindingKind(
        severity="left_out",
        title="Files that cannot be read",
        advice="Open the file in the program that made it and save it again; texts in the encoding UTF-8.",
    ),
    "unclear_columns": FindingKind(
        severity="left_out",
        title="Tables whose columns are not clear",
        advice="Name the columns: --column audio=NAME, --column text=NAME. A file that is no such table can stay.",
    ),
    "broken_row": FindingKind(
        severity="left_out",
        title="Broken rows and annotations",
        advice="Correct the row of the table, or the annotation at this time.",
    ),
    "no_tier": FindingKind(
        severity="left_out",
        title="Files in which the tier with the transcript is not clear",
        advice="Name the tier: --tier NAME.",
    ),
    "no_text_column": FindingKind(
        severity="check",
        title="Tables without a column with the transcript",
        advice="If there is one, name it: --column text=NAME. Else its recordings are used as speech without text.",
    ),
    "no_recording": FindingKind(
        severity="left_out",
        title="Texts and annotations without their recording",
        advice="Put the recording beside it under the same name, or correct the name.",
    ),
    "unreadable_audio": FindingKind(
        severity="left_out",
        title="Recordings that cannot be read",
        advice="Listen to the file. If it plays, convert it to WAV; if not, copy it again from the recorder.",
    ),
    "damaged_audio": FindingKind(
        severity="check",
        title="Recordings that are damaged or end early",
        advice="What can be decoded is used. Check that the text has no more than that; else copy the file again.",
    ),
    "beyond_end": FindingKind(
        severity="left_out",
        title="Annotations after the end of their recording",
        advice="Check whether the annotation belongs to this recording, and whether the recording was shortened.",
    ),
    "silent": FindingKind(
        severity="left_out",
        title="Silent recordings",
        advice="Listen to it. If there is speech, the recording is too quiet to be used.",
    ),
    "too_short": FindingKind(
        severity="left_out", title="Recordings that are too short", advice="Check the times of the annotation."
    ),
    "too_long": FindingKind(
        severity="left_out",
        title="Recordings that are too long for one utterance",
        advice="Divide them into sentences in ELAN or Praat, or let `mu2slam align` find the times of the words.",
    ),
    "too_much_text": FindingKind(
        severity="left_out",
        title="Recordings that are too short for their text",
        advice="Check the times of the annotation, and whether the text belongs to this recording.",
    ),
    "empty_text": FindingKind(
        severity="check",
        title="Empty texts",
        advice="The recordings are used as speech without text. Write the transcript, if there should be one.",
    ),
    "no_letters": FindingKind(
        severity="left_out",
        title="Texts without letters",
        advice="Write what is said, or leave the text empty if it is not transcribed.",
    ),
    "repeated_recording": FindingKind(
        severity="left_out",
        title="Recordings that occur twice",
        advice="Remove one of them.",
    ),
    "other_language": FindingKind(
        severity="left_out",
        title="Rows in other languages",
        advice="Nothing, if these are not meant; else give their language as --lang.",
        is_intended=True,
    ),
    "given_test": FindingKind(
        severity="left_out",
        title="Recordings of a test set",
        advice="Nothing: a file or folder called test is never used for training.",
        is_intended=True,
    ),
    "cut_at_end": FindingKind(
        severity="check",
        title="Annotations that end after their recording",
        advice="They are used up to the end of the recording. Check whether the times fit.",
    ),
    "overlap": FindingKind(
        severity="check",
        title="Utterances during which another one is annotated",
        advice="If two people speak at once, the model hears both: mark the words of the louder one, or leave it out.",
    ),
    "little_text": FindingKind(
        severity="check",
        title="Recordings that are very long for their text",
        advice="Check whether all that is said is written, and whether there are long pauses.",
    ),
    "fast_text": FindingKind(
        severity="check",
        title="Recordings that are very short for their text",
        advice="Check the times of the annotation, and whether the text belongs to this recording.",
    ),
    "no_translation": FindingKind(
        severity="check",
        title="Utterances without translation",
        advice="They are used for transcription only.",
    ),
    "unmatched_translation": FindingKind(
        severity="check",
        title="Translations that fit no utterance",
        advice="Check the times of the translation: it must cover the utterance, and only it.",
    ),
    "same_translation": FindingKind(
        severity="check",
        title="Translations that are equal to the transcript",
        advice="Check whether the translation was forgotten.",
    ),
    "odd_character": FindingKind(
        severity="check",
        title="Characters that may be mistakes",
        advice="Correct them in the texts if they are; each is one more letter for the model to learn.",
    ),
    "new_capitals": FindingKind(
        severity="check",
        title="Capitals that the model does not know, of letters that it knows",
        advice="Write the texts in lower case, unless the model should write capitals: each is one more letter for "
        "the model to learn.",
    ),
    "repeated_text": FindingKind(
        severity="check",
        title="Sentences that occur several times",
        advice="Nothing, if several people say them or they are said several times.",
    ),
    "shared_sentence": FindingKind(
        severity="check",
        title="Sentences of the development set that training has too",
        advice="Nothing: they are not scored, so that scores are about new sentences.",
    ),
    "two_files": FindingKind(
        severity="check",
        title="Recordings with several files",
        advice="Only the first one is used. Remove the others, or rename them if they are other recordings.",
    ),
}
"""Name of a kind -> its severity, title and advice, in the order of reports."""
