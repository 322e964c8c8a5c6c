# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Which tier is the transcript, which its translation, and which translation belongs to which utterance."""

import random

import pytest

from mu2slam_hf.adaptation.reading.annotation_files import read_subtitles, read_textgrid
from mu2slam_hf.adaptation.reading.options import ReadingOptions
from mu2slam_hf.adaptation.reading.tier_choice import TierChoiceError, choose_tiers
from mu2slam_hf.adaptation.reading.tiers import (
    AnnotationFileError,
    AnnotationTier,
    TimedText,
    pair_translations,
)
from mu2slam_hf.data.clock import clock


def timed(start, end, text="x"):
    return TimedText(start_seconds=start, end_seconds=end, text=text, place=f"{start}")


def tier(name, parent=None, participant=None, type_name=None, lang=None, text="x"):
    return AnnotationTier(
        name=name,
        texts=(timed(0.0, 1.0, text),),
        parent=parent,
        participant=participant,
        type_name=type_name,
        lang=lang,
    )


def choose(all_tiers, to=("fr",), **options):
    chosen = choose_tiers(all_tiers, ReadingOptions(lang="mdw", target_langs=to, **options))
    return [(one.transcript.name, {lang: own.name for lang, own in one.translations.items()}) for one in chosen]


@pytest.mark.parametrize(
    ("tiers", "expected"),
    [
        ([tier("default")], [("default", {})]),
        ([tier("mb"), tier("fr")], [("mb", {"fr": "fr"})]),
        ([tier("words"), tier("Mboshi"), tier("Fran\u00e7ais")], [("Mboshi", {"fr": "Fran\u00e7ais"})]),
        ([tier("A", lang="mdw"), tier("B", lang="fra")], [("A", {"fr": "B"})]),
        ([tier("mdw-words"), tier("text_mdw"), tier("text_fr")], [("text_mdw", {"fr": "text_fr"})]),
        ([tier("note"), tier("transcription"), tier("traduction")], [("transcription", {"fr": "traduction"})]),
        # Toolbox and FLEx: everything below a tier of numbers.
        (
            [tier("ref"), tier("tx", "ref"), tier("mb", "tx"), tier("ge", "mb"), tier("ft", "ref")],
            [("tx", {"fr": "ft"})],
        ),
        # Two speakers; each has its own translation, by parent or by name.
        (
            [
                *(tier("tx@A", participant="A"), tier("ft@A", "tx@A", "A")),
                *(tier("tx@B", participant="B"), tier("ft@B", "tx@B", "B")),
            ],
            [("tx@A", {"fr": "ft@A"}), ("tx@B", {"fr": "ft@B"})],
        ),
        ([tier("Anna", participant="Anna"), tier("Ben", participant="Ben")], [("Anna", {}), ("Ben", {})]),
        ([tier("speech@A"), tier("speech@B"), tier("fr@B")], [("speech@A", {}), ("speech@B", {"fr": "fr@B"})]),
        # The only child is the translation, also without a telling name.
        ([tier("Anna"), tier("interlinear", "Anna")], [("Anna", {"fr": "interlinear"})]),
    ],
)
def test_the_transcript_and_its_translation_are_found(tiers, expected):
    assert choose(tiers) == expected
    assert choose(tiers[::-1]) == expected[::-1]


def test_two_target_languages_need_names():
    tiers = [tier("tx"), tier("ft-fr", "tx"), tier("ft-en", "tx"), tier("ft", "tx")]
    assert choose(tiers, to=("fr", "en")) == [("tx", {"fr": "ft-fr", "en": "ft-en"})]
    assert choose(tiers, to=("en", "pt")) == [("tx", {"en": "ft-en"})]


def test_given_names_come_first():
    tiers = [tier("mdw"), tier("other@A", type_name="utterance"), tier("fr"), tier("libre")]
    assert choose(tiers, tiers=("OTHER",)) == [("other@A", {"fr": "fr"})]
    assert choose(tiers, tiers=("utterance",), translation_tiers={"fr": "libre"}) == [("other@A", {"fr": "libre"})]
    with pytest.raises(TierChoiceError, match=r"has no tier nothing; it has 'mdw' \(1 annotations, 'x'\), 'other@A'"):
        choose(tiers, tiers=("nothing",))


def test_several_candidates_are_not_guessed():
    with pytest.raises(TierChoiceError, match="has several tiers"):
        choose([tier("one"), tier("two")])
    with pytest.raises(TierChoiceError, match="has no annotations"):
        choose([])


@pytest.mark.parametrize(
    ("translations", "expected", "num_unmatched"),
    [
        ([timed(0, 2, "a"), timed(2, 4, "b")], {0: "a", 1: "b"}, 0),
        ([timed(0.1, 1.7, "a"), timed(2.2, 4.4, "b")], {0: "a", 1: "b"}, 0),
        ([timed(0, 1, "a"), timed(1, 2, "aa")], {0: "a aa"}, 0),
        ([timed(0, 4, "both")], {0: "both"}, 0),  # half of it is in the first, which it covers
        ([timed(0, 6, "all three")], {}, 1),
        ([timed(0, 0.4, "only a word")], {}, 1),
        ([timed(7, 8, "elsewhere")], {}, 1),
        ([timed(0, 2, "  ")], {}, 0),
    ],
)
def test_translations_go_to_the_utterance_that_they_cover(translations, expected, num_unmatched):
    texts, unmatched = pair_translations([timed(0, 2), timed(2, 4), timed(4, 6)], translations)
    assert texts == expected and len(unmatched) == num_unmatched


def test_every_translation_is_used_once_or_reported():
    numbers = random.Random(0)
    for _ in range(50):
        starts = sorted(numbers.uniform(0, 20) for _ in range(8))
        utterances = [timed(start, start + numbers.uniform(0.2, 6)) for start in starts]
        places = sorted(numbers.uniform(-1, 25) for _ in range(10))
        translations = [timed(start, start + numbers.uniform(0.1, 5), f"t{n}") for n, start in enumerate(places)]
        texts, unmatched = pair_translations(utterances, translations)
        used = " ".join(texts.values()).split() + [one.text for one in unmatched]
        assert sorted(used) == sorted(one.text for one in translations)


def test_times_are_written_as_players_show_them():
    assert [clock(seconds) for seconds in (0.0, 62.3456, 3601.0)] == ["00:00:00.000", "00:01:02.346", "01:00:01.000"]


SHORT = '''File type = "ooTextFile"
Object class = "TextGrid"

0
3.5
<exists>
2
"IntervalTier"
"say ""it"""
0
3.5
3
2.2e-16
1
"first ""word"""
1
2
""
2
3.5
"in two
lines"
"TextTier"
"bell"
0
3.5
1
1
"ding"
'''


def test_short_textgrids_with_quotes_lines_and_tiny_times(tmp_path):
    path = tmp_path / "a.TextGrid"
    path.write_text(SHORT, encoding="utf-8")
    (tier,) = read_textgrid(path).tiers
    assert tier.name == 'say "it"'
    assert [(one.start_seconds, one.end_seconds, one.text) for one in tier.texts] == [
        (0.0, 1.0, 'first "word"'),
        (2.0, 3.5, "in two\nlines"),
    ]


def test_binary_textgrids(tmp_path):
    from pympi.Praat import TextGrid

    grid = TextGrid(xmax=2.0)
    grid.add_tier("mdw").add_interval(0.5, 1.5, "mw\u03b5")
    grid.to_file(tmp_path / "a.TextGrid", mode="b")
    (tier,) = read_textgrid(tmp_path / "a.TextGrid").tiers
    assert [(one.start_seconds, one.text) for one in tier.texts] == [(0.5, "mw\u03b5")]


@pytest.mark.parametrize("content", ["", "hello", SHORT[:150], SHORT.replace("IntervalTier", "Interval")[:-20]])
def test_a_broken_textgrid_is_one_error_with_its_name(tmp_path, content):
    path = tmp_path / "a.TextGrid"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(AnnotationFileError, match=r"a.TextGrid: cannot be read as a TextGrid"):
        read_textgrid(path)


def test_times_of_a_textgrid_that_are_not_numbers(tmp_path):
    path = tmp_path / "a.TextGrid"
    path.write_text(SHORT.replace("3.5", "9" * 400), encoding="utf-8")
    with pytest.raises(AnnotationFileError, match=r"a.TextGrid: the tier .* has a time that is not a number"):
        read_textgrid(path)


def test_a_broken_subtitle_does_not_take_the_next_one_with_it(tmp_path):
    """Without an empty line between the two."""
    file = tmp_path / "a.srt"
    file.write_text("1\n --> 00:00:01,365\nHola\n2\n00:00:00,000 --> 00:00:01,365\nHola que\n")
    tier = read_subtitles(file)
    assert [text.text for text in tier.texts] == ["Hola que"]


def test_open_tags_take_linear_time(tmp_path):
    """The time limit of the tests is that of this one."""
    file = tmp_path / "a.srt"
    file.write_text("1\n00:00:00,000 --> 00:00:01,000\n" + "<v" * 200_000 + "\n")
    assert len(read_subtitles(file).texts) == 1
