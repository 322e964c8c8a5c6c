# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""n-way parallel synthetic speech: seeded sentences in many languages with translations, in a folder.

A meaning is drawn from seed and index (`content`), expressed in every language (`rendering`), and spoken in blocks of
48 clips (`espeak`). Every clip is a function of its block only. The data are suited to learn alignment, not language:
there are only a few hundred word types per language. Report scores on them separately from those on real voices.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from lab.synthesis.content import CONTENT_KINDS, SPLITS, Content, content
from lab.synthesis.espeak import EspeakEngine
from lab.synthesis.folder import FolderSettings, FolderSummary, write_clips
from lab.synthesis.languages import check_languages, shared_languages
from lab.synthesis.rendering import FORMS, RenderingError, render
from lab.synthesis.speech import SoundSettings, SyntheticClip, plan_clips
from lab.synthesis.voice_mix import VoiceMix
from mu2slam_hf.atomic_files import check_free_folder
from mu2slam_hf.models.language_codes import canonical_language

# Indices of redrawn meanings are above all other indices.
_REDRAW_STRIDE = 10**12
_MOST_REDRAWS = 100


class SyntheticSpeech:
    """The planned sentences of one split.

    Clip `i` is meaning `i // len(languages)` in language `i % len(languages)`; if that language cannot express the
    meaning, it is a second clip of another language in another voice.

    Attributes:
        languages: supported languages, in the order of the clips.
        left_out: maps unsupported languages to reasons.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        languages: Sequence[str] | None = None,
        split: str = "train",
        num_meanings: int = 100_000,
        form: str = "written",
        kinds: Collection[str] = CONTENT_KINDS,
        sound: SoundSettings | None = None,
        voices: VoiceMix | None = None,
    ) -> None:
        """Test the languages, and skip unsupported ones with a warning.

        Args:
            seed: seed of meanings and voices.
            languages: language codes; None means all that both espeak-ng and CLDR support.
            split: `train`, `dev` or `test`; a function of the meaning, the same for every language and seed.
            num_meanings: number of meanings; there are `num_meanings * len(languages)` clips.
            form: `written` (digits, capitals, punctuation) or `spoken` (numbers in words, lower case, plain words).
            kinds: kinds of content to draw from.
            sound: bandwidth, level, rates.
            voices: engines to draw from; None means the variants of espeak-ng.

        Raises:
            ImportError: the extra `lab` is not installed.
            ValueError: an argument is invalid, `voices` has no voice for a language, or none of the languages is
                supported.
        """
        for name, value, choices in (("split", split, SPLITS), ("form", form, FORMS)):
            if value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}")
        if num_meanings < 1:
            raise ValueError(f"num_meanings must be at least 1, got {num_meanings}")
        asked = shared_languages() if languages is None else list(dict.fromkeys(map(canonical_language, languages)))
        self.seed, self.split, self.form = seed, split, form
        self.num_meanings, self.sound, self.voices = num_meanings, sound or SoundSettings(), voices
        with EspeakEngine() as engine:
            reports = check_languages(asked, engine=engine, form=form, kinds=kinds)
        self.languages = [lang for lang in asked if not reports[lang].reason]
        self.left_out = {lang: report.reason for lang, report in reports.items() if report.reason}
        if not self.languages:
            raise ValueError(f"none of the languages is supported: {self.left_out}")
        self._kinds = {lang: reports[lang].kinds for lang in self.languages}
        self._all_kinds = sorted(frozenset().union(*self._kinds.values()))

    def __len__(self) -> int:
        return self.num_meanings * len(self.languages)

    def _identity(self) -> dict[str, Any]:
        sound = {name: str(value) for name, value in vars(self.sound).items()}
        return {
            **{"seed": self.seed, "split": self.split, "form": self.form, "languages": list(self.languages)},
            **{"num_meanings": self.num_meanings, "kinds": list(self._all_kinds), "sound": sound},
        }

    def clips(self) -> Iterator[SyntheticClip]:
        """Plans of all clips, in order."""
        for number in range(self.num_meanings):
            meaning, texts = self.express(number)
            for slot in range(len(self.languages)):
                yield self._clip(number, slot, meaning, texts)

    def express(self, number: int) -> tuple[Content, dict[str, str]]:
        """Meaning `number`, and its text in every language that can express it."""
        for redraw in range(_MOST_REDRAWS):
            index = number + redraw * _REDRAW_STRIDE
            meaning = content(self.seed, index, split=self.split, kinds=self._all_kinds)
            texts = {}
            for lang in self.languages:
                if meaning.kind in self._kinds[lang]:
                    try:
                        texts[lang] = render(meaning, lang, self.form)
                    except RenderingError:
                        continue
            if texts:
                return meaning, texts
        raise RenderingError(f"none of the languages {self.languages} can express meaning {number}")

    def _clip(self, number: int, slot: int, meaning: Content, texts: dict[str, str]) -> SyntheticClip:
        lang, name = self.languages[slot], f"{self.split}-{self.seed}-{number:08d}"
        if lang not in texts:
            lang, name = list(texts)[(number + slot) % len(texts)], f"{name}-{slot}"
        key = f"{self.seed}:{self.split}:{number}:{slot}"
        (plan,) = plan_clips(texts[lang], lang, key=key, settings=self.sound, voices=self.voices)
        translations = {other: text for other, text in texts.items() if other != lang}
        return SyntheticClip(id=name, lang=lang, plan=plan, translations=translations, kind=meaning.kind)


def write_synthetic_folder(
    out_dir: str | os.PathLike[str],
    *,
    num_meanings: int = 1000,
    folder: FolderSettings | None = None,
    **options: Any,
) -> FolderSummary:
    """Write all clips of a `SyntheticSpeech` as a folder with `audio/`, `manifest.tsv` and `synthesis.json`.

    Args:
        out_dir: folder to create; must not exist or be empty.
        num_meanings: number of meanings, each with one clip per language.
        folder: format, limits, workers.
        **options: other arguments of `SyntheticSpeech`: languages, seed, split, form, kinds, sound, voices.

    Raises:
        ImportError: the extra `lab` is not installed.
        ValueError: an argument is invalid, `out_dir` is not empty, or none of the languages is supported.
    """
    # Checked before the languages are tested, which takes longer.
    check_free_folder(out_dir)
    speech = SyntheticSpeech(num_meanings=num_meanings, **options)
    facts = {"made_by": "write_synthetic_folder", **speech._identity(), "languages_left_out": speech.left_out}
    return write_clips(
        speech.clips(),
        out_dir,
        sound=speech.sound,
        folder=folder or FolderSettings(),
        description=facts,
        voices=speech.voices,
    )
