# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""n-way parallel synthetic speech: an endless, seeded stream of spoken sentences with their translations.

A meaning is drawn from seed and index (`synthetic_content`), said in every language (`synthetic_rendering`), and
spoken in blocks of 48 clips (`synthetic_espeak`). Every item is a function of its block alone: streaming, resuming and
random access give the same samples, in every process. It teaches alignment, not language: there are some hundred word
types per language. Report scores on it apart from those on real voices.
"""

import logging
import os
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any

from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.models.language_codes import canonical_language
from mu2slam_hf.synthetic.content import CONTENT_KINDS, SPLITS, Content, content
from mu2slam_hf.synthetic.espeak import EspeakEngine
from mu2slam_hf.synthetic.folder import (
    BLOCK_SIZE,
    FolderSettings,
    FolderSummary,
    check_free_folder,
    library_versions,
    write_clips,
)
from mu2slam_hf.synthetic.languages import check_languages, shared_languages
from mu2slam_hf.synthetic.rendering import FORMS, RenderingError, render
from mu2slam_hf.synthetic.speech import SoundSettings, SyntheticClip, plan_clips, speak_plans

logger = logging.getLogger(__name__)

# Indices of redrawn meanings lie beyond every index that a stream reaches.
_REDRAW_STRIDE = 10**12
_MOST_REDRAWS = 100
_CACHED_BLOCKS = 4


class SyntheticSpeech:
    """Spoken sentences of one split: `len()`, random access, iteration from where it stopped, state.

    Item `i` is meaning `i // len(languages)` in language `i % len(languages)`; if that language cannot say the
    meaning, another one says it once more in another voice. Iterating continues from the position in `state_dict()`.

    Attributes:
        languages: languages that are spoken, in the order of the items.
        left_out: language -> why it is not spoken.
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
        corpus: str = "synthetic",
    ) -> None:
        """Try the languages, and leave out with a warning those that cannot be spoken here.

        Args:
            seed: of meanings and voices.
            languages: codes; None takes all that espeak-ng and CLDR share.
            split: `train`, `dev` or `test`: by the meaning, the same in every language and for every seed.
            num_meanings: meanings in the set; there are `num_meanings * len(languages)` items.
            form: `written` (digits, capitals, punctuation) or `spoken` (numbers in words, lower case, plain words).
            kinds: kinds of content to draw from.
            sound: bandwidth, level, rates.
            corpus: name given to the records.

        Raises:
            ImportError: the extra `synthetic` is not installed.
            ValueError: an argument is unknown, or none of the languages can be spoken.
        """
        for name, value, choices in (("split", split, SPLITS), ("form", form, FORMS)):
            if value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}")
        if num_meanings < 1:
            raise ValueError(f"num_meanings must be at least 1, got {num_meanings}")
        asked = shared_languages() if languages is None else list(dict.fromkeys(map(canonical_language, languages)))
        self.seed, self.split, self.form, self.corpus = seed, split, form, corpus
        self.num_meanings, self.sound = num_meanings, sound or SoundSettings()
        self._engine = EspeakEngine()
        reports = check_languages(asked, engine=self._engine, form=form, kinds=kinds)
        self.languages = [lang for lang in asked if not reports[lang].reason]
        self.left_out = {lang: report.reason for lang, report in reports.items() if report.reason}
        if not self.languages:
            raise ValueError(f"none of the languages can be spoken: {self.left_out}")
        self._kinds = {lang: reports[lang].kinds for lang in self.languages}
        self._all_kinds = sorted(frozenset().union(*self._kinds.values()))
        self._next = 0
        self._cache_blocks()

    def _cache_blocks(self) -> None:
        self._block = lru_cache(maxsize=_CACHED_BLOCKS)(self._speak_block)
        self._texts = lru_cache(maxsize=2 * BLOCK_SIZE)(self._say)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_block", "_texts")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._cache_blocks()

    def __len__(self) -> int:
        return self.num_meanings * len(self.languages)

    def __getitem__(self, index: int) -> SpeechTextRecord:
        """Item `index`; its block of 48 is spoken, and the last blocks are kept.

        Raises:
            IndexError: `index` is outside the set.
        """
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"index {index} is outside the {len(self)} items")
        number, place = divmod(position, BLOCK_SIZE)
        return self._block(number)[place]

    def __iter__(self) -> Iterator[SpeechTextRecord]:
        """Items from the current position to the end; then the position goes back to the start."""
        while self._next < len(self):
            record = self[self._next]
            self._next += 1
            yield record
        self._next = 0

    @property
    def num_blocks(self) -> int:
        """Blocks of 48 items; the last may be shorter."""
        return -(-len(self) // BLOCK_SIZE)

    def block(self, number: int) -> Sequence[SpeechTextRecord]:
        """The items of one block.

        Raises:
            IndexError: there is no such block.
        """
        if not 0 <= number < self.num_blocks:
            raise IndexError(f"block {number} is outside the {self.num_blocks} blocks")
        return self._block(number)

    def state_dict(self) -> dict[str, Any]:
        """Position and everything that decides what follows, as plain JSON types."""
        return {"next_index": self._next, "identity": self._identity(), "versions": library_versions(self._engine)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where a state was taken.

        Raises:
            ValueError: the state comes from another stream; the message names the fields that differ.
        """
        mine, theirs = self._identity(), state["identity"]
        different = sorted(name for name in mine if mine[name] != theirs.get(name))
        if different:
            pairs = ", ".join(f"{name} {theirs.get(name)!r} there, {mine[name]!r} here" for name in different)
            raise ValueError(f"the state belongs to another stream: {pairs}")
        versions = library_versions(self._engine)
        if versions != state["versions"]:
            logger.warning("text and audio may differ from before: versions were %s", state["versions"])
        self._next = int(state["next_index"])

    def _identity(self) -> dict[str, Any]:
        sound = {name: str(value) for name, value in vars(self.sound).items()}
        return {
            **{"seed": self.seed, "split": self.split, "form": self.form, "languages": list(self.languages)},
            **{"num_meanings": self.num_meanings, "kinds": list(self._all_kinds), "sound": sound},
        }

    def clips(self, start: int = 0, stop: int | None = None) -> Iterator[SyntheticClip]:
        """Texts and sound of the items `start` to `stop`, without speaking them."""
        for index in range(start, len(self) if stop is None else min(stop, len(self))):
            yield self._clip(index)

    def _say(self, number: int) -> tuple[Content, dict[str, str]]:
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
        raise RenderingError(f"no language of {self.languages} has a text for meaning {number}")

    def _clip(self, index: int) -> SyntheticClip:
        number, slot = divmod(index, len(self.languages))
        meaning, texts = self._texts(number)
        lang, name = self.languages[slot], f"{self.split}-{self.seed}-{number:08d}"
        if lang not in texts:
            lang, name = list(texts)[(number + slot) % len(texts)], f"{name}-{slot}"
        key = f"{self.seed}:{self.split}:{number}:{slot}"
        (plan,) = plan_clips(texts[lang], lang, key=key, settings=self.sound)
        translations = {other: text for other, text in texts.items() if other != lang}
        return SyntheticClip(id=name, lang=lang, plan=plan, translations=translations, kind=meaning.kind)

    def _speak_block(self, number: int) -> Sequence[SpeechTextRecord]:
        clips = list(self.clips(number * BLOCK_SIZE, (number + 1) * BLOCK_SIZE))
        waves = speak_plans(self._engine, [clip.plan for clip in clips], self.sound)
        records = []
        for clip, wave in zip(clips, waves, strict=True):
            if not len(wave):
                logger.warning(
                    "espeak-ng is silent on %r (%s): an item without audio", clip.plan.request.text, clip.id
                )
            audio = {"array": wave, "sampling_rate": self.sound.sampling_rate} if len(wave) else None
            records.append(
                SpeechTextRecord(
                    id=clip.id,
                    audio=audio,
                    text=clip.plan.request.text,
                    lang=clip.lang,
                    translations=dict(clip.translations),
                    duration_seconds=len(wave) / self.sound.sampling_rate if len(wave) else None,
                    speaker=clip.plan.speaker,
                    corpus=self.corpus,
                    kind=clip.kind,
                )
            )
        return tuple(records)


def write_synthetic_folder(
    out_dir: str | os.PathLike[str],
    *,
    languages: Sequence[str] | None = None,
    num_meanings: int = 1000,
    seed: int = 0,
    split: str = "train",
    form: str = "written",
    kinds: Collection[str] = CONTENT_KINDS,
    sound: SoundSettings | None = None,
    folder: FolderSettings | None = None,
) -> FolderSummary:
    """Write all items of a `SyntheticSpeech` as a folder with `audio/`, `manifest.tsv` and `synthesis.json`.

    The clips are those of the stream with the same arguments, rounded to 16 bit.

    Args:
        out_dir: folder to create; it must not exist or must be empty.
        languages: codes; None takes all that espeak-ng and CLDR share.
        num_meanings: meanings; each is spoken once in every language.
        seed: of meanings and voices.
        split: `train`, `dev` or `test`.
        form: `written` or `spoken`.
        kinds: kinds of content to draw from.
        sound: bandwidth, level, rates.
        folder: format, limits, workers.

    Raises:
        ImportError: the extra `synthetic` is not installed.
        ValueError: an argument is unknown, `out_dir` is in use, or none of the languages can be spoken.
    """
    folder = folder or FolderSettings()
    # Before all languages are tried out, which takes a while.
    check_free_folder(out_dir)
    speech = SyntheticSpeech(
        seed=seed,
        languages=languages,
        split=split,
        num_meanings=num_meanings,
        form=form,
        kinds=kinds,
        sound=sound,
        corpus=folder.corpus,
    )
    description = {"made_by": "write_synthetic_folder", **speech._identity(), "languages_left_out": speech.left_out}
    return write_clips(speech.clips(), out_dir, sound=speech.sound, folder=folder, description=description)
