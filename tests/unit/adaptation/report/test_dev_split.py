# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The development set keeps groups together, does not change when data are added, and shares no scored sentence."""

import random

import pytest

from mu2slam_hf.adaptation.reading.options import SplitSettings
from mu2slam_hf.adaptation.report.dev_split import PreviousSplit, hash_share, split_records, to_previous
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.text import normalize_for_scoring


def record(number, text=None, speaker=None, session="s", split=None, seconds=3.0, **translations):
    extra = {"session": session, **({"split": split} if split else {})}
    return SpeechTextRecord(
        id=f"{session}/{number}",
        audio=f"{session}/{number}.wav",
        text=f"sentence {number} of {session}" if text is None else text,
        lang="mdw",
        translations=translations,
        duration_seconds=seconds,
        speaker=speaker,
        corpus="c",
        extra=extra,
    )


def keys(records):
    return {one.key for one in records}


def many_speakers(first=0, last=40):
    return [record(n, speaker=f"speaker {s}", session=f"tape {s}") for s in range(first, last) for n in range(20)]


def test_many_speakers_are_divided_as_a_whole():
    split = split_records(many_speakers(), SplitSettings())
    assert split.by == "speaker" and split.threshold == 0.1
    dev, train = ({one.speaker for one in part} for part in (split.dev, split.train))
    assert dev and not dev & train and len(dev | train) == 40
    assert dev == {name for name in dev | train if hash_share("speaker", name) < 0.1}


def test_records_stay_where_they_are_when_others_are_added():
    before = split_records(many_speakers(0, 40), SplitSettings())
    after = split_records([*many_speakers(40, 60), *many_speakers(0, 40)], SplitSettings())
    assert after.by == before.by == "speaker"
    assert keys(before.dev) <= keys(after.dev) and keys(before.train) <= keys(after.train)


def test_an_earlier_split_is_kept_even_if_another_one_would_be_chosen():
    alone = [record(n, speaker="anna") for n in range(200)]
    before = split_records(alone, SplitSettings())
    assert before.by == "text"
    previous = to_previous({"by": before.by, "threshold": before.threshold, "reason": "x"})
    together = [*alone, *many_speakers()]
    assert split_records(together, SplitSettings()).by == "speaker"
    after = split_records(together, SplitSettings(), previous)
    assert after.by == "text" and keys(before.dev) <= keys(after.dev) and keys(before.train) <= keys(after.train)


@pytest.mark.parametrize(
    "stored", [None, {}, {"by": "village", "threshold": 0.1}, {"by": "text"}, {"by": "text", "threshold": 7}]
)
def test_something_else_is_no_earlier_split(stored):
    assert to_previous(stored) is None


def test_sessions_of_one_speaker():
    records = [record(n, speaker="anna", session=f"tape {s}") for s in range(60) for n in range(10)]
    split = split_records(records, SplitSettings())
    assert split.by == "session" and split.reason.startswith("not by speaker: there is only one; whole sessions")
    sessions = [{one.extra["session"] for one in part} for part in (split.dev, split.train)]
    assert not sessions[0] & sessions[1]


def test_one_speaker_and_one_session_are_divided_by_sentence():
    records = [record(n, text=f"Text {n // 2}{'!' * (n % 2)}", speaker="anna") for n in range(300)]
    split = split_records(records, SplitSettings())
    assert split.by == "text" and 20 <= len(split.dev) <= 60
    assert split.shared == {} and len(split.scored("mdw")) == len(split.dev)


def test_prompts_that_everybody_reads_are_divided_by_sentence():
    records = [record(n, text=f"prompt {n}", speaker=f"s{s}", session=f"s{s}") for s in range(40) for n in range(30)]
    split = split_records(records, SplitSettings())
    assert split.by == "text" and "are not in the training data too" in split.reason
    assert len({one.text for one in split.dev}) * 40 == len(split.dev)


def test_shared_sentences_are_not_scored_and_stay_in_training():
    speakers = many_speakers()
    dev_speaker = next(f"speaker {n}" for n in range(40) if hash_share("speaker", f"speaker {n}") < 0.1)
    train_speaker = next(f"speaker {n}" for n in range(40) if hash_share("speaker", f"speaker {n}") > 0.1)
    extra = [
        record(1, text="Mbote!", speaker=dev_speaker, session="x", fr="Bonjour."),
        record(2, text="mbote", speaker=train_speaker, session="y", fr="Salut"),
        record(3, text="other", speaker=dev_speaker, session="x", fr="salut !"),
    ]
    split = split_records([*speakers, *extra], SplitSettings())
    assert split.shared == {"mdw": {"c/mdw/x/1"}, "fr": {"c/mdw/x/3"}}
    assert "c/mdw/y/2" in keys(split.train) and "c/mdw/x/1" in keys(split.dev)
    assert keys(split.dev) - keys(split.scored("mdw")) == {"c/mdw/x/1"}
    assert keys(split.scored("fr")) == {"c/mdw/x/1"}


def test_the_split_of_the_files_comes_first():
    records = [record(n, split=split) for n, split in enumerate(["train", "dev", "test", None] * 50)]
    split = split_records(records, SplitSettings())
    assert (split.by, len(split.train), len(split.dev), len(split.test)) == ("given", 100, 50, 50)
    without_dev = [one for one in records if one.extra.get("split") != "dev"]
    split = split_records(without_dev, SplitSettings())
    assert split.by == "text" and len(split.test) == 50
    assert len(split.train) + len(split.dev) == 100 and not keys(split.test) & keys(split.train + split.dev)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 10, 79, 80])
def test_small_data_have_a_development_set_if_it_is_possible(number):
    split = split_records([record(n) for n in range(number)], SplitSettings())
    assert len(split.train) + len(split.dev) == number
    assert bool(split.dev) == (number >= 2) and bool(split.train) == (number >= 1)
    assert len(split.dev) >= min(20, number // 4)


def test_what_is_kept_together_can_be_given():
    records = [record(n, speaker=f"s{n % 3}", session=f"t{n % 7}") for n in range(210)]
    for by, names in (("speaker", 3), ("session", 7)):
        split = split_records(records, SplitSettings(by=by))
        groups = [{split.group_of(one) for one in part} for part in (split.dev, split.train)]
        assert split.by == by and groups[0] and groups[1] and not groups[0] & groups[1]
        assert len(groups[0] | groups[1]) == names


def test_random_data_are_never_lost_doubled_or_divided_within_a_group():
    numbers = random.Random(1)
    for _ in range(30):
        records = [
            record(
                n,
                text=numbers.choice([None, f"t{numbers.randrange(30)}"]),
                speaker=numbers.choice([None, *"abcdef"]),
                session=f"t{numbers.randrange(8)}",
                seconds=numbers.uniform(0.5, 9.0),
            )
            for n in range(numbers.randrange(2, 120))
        ]
        split = split_records(records, SplitSettings(dev_share=numbers.uniform(0.02, 0.5)))
        assert sorted(map(str, keys(records))) == sorted(one.key for one in (*split.train, *split.dev))
        groups = [{split.group_of(one) for one in part} for part in (split.dev, split.train)]
        assert not groups[0] & groups[1]
        train_texts = {normalize_for_scoring(one.text) for one in split.train}
        assert not {normalize_for_scoring(one.text) for one in split.scored("mdw")} & train_texts


def test_speech_of_held_out_speakers_is_known():
    split = split_records(many_speakers(), SplitSettings())
    for one in (*split.train, *split.dev):
        assert split.is_dev_group(one) == (one.key in keys(split.dev))
    by_text = split_records([record(n) for n in range(50)], SplitSettings())
    assert not any(map(by_text.is_dev_group, by_text.dev))
    assert by_text.is_dev_group(record(99, split="test"))


def test_hashes_are_even_and_fixed():
    shares = [hash_share("speaker", f"s{n}") for n in range(2000)]
    assert abs(sum(share < 0.1 for share in shares) / 2000 - 0.1) < 0.02
    # Another value would divide the data of all users anew.
    assert hash_share("session", "anna") == 0.3143440982415935 != hash_share("speaker", "anna")


def test_settings_are_checked():
    for settings in ({"dev_share": 0.0}, {"dev_share": 0.6}, {"min_utterances": 0}, {"by": "village"}):
        with pytest.raises(ValueError, match="must be"):
            SplitSettings(**settings)
    with pytest.raises(ValueError, match="not a split"):
        PreviousSplit(by="text", threshold=2.0)
