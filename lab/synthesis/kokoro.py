# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The neural speech engine Kokoro-82M: 54 voices, of which any two can be mixed to a new speaker.

Weights and voices are Apache-2.0 and come from package registries; README.md of the laboratory says how to fetch them.
Text becomes phones by espeak-ng, with the conversion of the package misaki to the phones that the model knows.
"""

import functools
import json
import os
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from lab.synthesis.recorded_pcm import NO_CLIP
from lab.synthesis.speech_engine import EngineVoice, MissingEngineError, SpeechRequest, SpokenClip

KOKORO = "kokoro"
LICENCE = "Apache-2.0"
FOLDER_VARIABLE = "MU2SLAM_KOKORO"
"""Environment variable: the folder with `model.onnx`, `vocab.json` and `voices/`."""

SAMPLING_RATE = 24000
_MOST_TOKENS, _STYLE_SIZE = 510, 256
_PEAK = 30000
_ANGLES = re.compile("[«»“”„]")
# Beyond this, the model swallows or repeats phones.
_SPEEDS = (0.6, 1.5)
_INSTALL_HINT = (
    "kokoro needs the packages of the extra `voices` (pip install 'mu2slam-hf[voices]') and its weights in the folder "
    f"that the environment variable {FOLDER_VARIABLE} names; README.md of lab/ says how to fetch them"
)

ESPEAK_LANGUAGES = {"en": "en-us", "es": "es", "fr": "fr-fr", "it": "it", "pt": "pt-br", "ru": "ru"}
"""Maps language codes to the languages of espeak-ng that give phones; `ru` is unknown to the model's training."""

# Choice: voices of other languages are used where a recogniser (Whisper base) understands them nearly as well as
# native ones. In French it does not, nor mixtures with less than half of the one native voice. Russian has no native
# voice and its phones are new to the model, so its clips must be checked by a recogniser (`python -m lab judge`).
_ENGLISH = (
    "af_alloy af_aoede af_bella af_heart af_jessica af_kore af_nicole af_nova af_river af_sarah af_sky am_adam "
    "am_echo am_eric am_fenrir am_liam am_michael am_onyx am_puck bf_alice bf_emma bf_isabella bf_lily bm_daniel "
    "bm_fable bm_george bm_lewis"
)
_ROMANCE = "ef_dora em_alex em_santa pf_dora pm_alex pm_santa if_sara im_nicola"
VOICES = {
    "en": _ENGLISH.split(),
    "es": "ef_dora em_alex em_santa pf_dora if_sara im_nicola pm_alex am_fenrir bm_fable".split(),
    "fr": ["ff_siwis"],
    "it": "if_sara im_nicola ef_dora em_alex pf_dora pm_alex ff_siwis af_bella bm_george".split(),
    "pt": "pf_dora pm_alex pm_santa".split(),
    "ru": "ef_dora em_alex if_sara im_nicola pf_dora pm_alex".split(),
}
"""Maps languages to the voices that speak them, alone or as the larger part of a mixture."""

PARTNERS = {
    "en": _ENGLISH.split(),
    "es": f"{_ROMANCE} ff_siwis af_bella af_heart am_fenrir am_puck bf_emma bm_fable bm_george".split(),
    "fr": f"{_ROMANCE} af_bella af_heart am_fenrir am_puck bf_emma bm_fable bm_george".split(),
    "it": f"{_ROMANCE} ff_siwis af_bella af_heart am_fenrir am_puck bf_emma bm_fable bm_george".split(),
    "pt": _ROMANCE.split(),
    "ru": f"{_ROMANCE} hf_alpha hm_omega af_heart am_fenrir".split(),
}
"""Maps languages to the voices that may be the smaller part of a mixture."""

_LARGER_SHARES = (0.5, 0.9)


class KokoroEngine:
    """Speaks with the ONNX model on one thread.

    A voice is named by its language and file (`fr/ff_siwis`), or is a mixture of two: `fr/ff_siwis*0.70+pf_dora*0.30`.
    `SpeechRequest.rate` is the speed of the model; `pitch` moves pitch and formants together by the sampling rate.
    """

    name = KOKORO

    def __init__(self) -> None:
        """Find the weights and packages.

        Raises:
            MissingEngineError: they are not there.
        """
        folder = os.environ.get(FOLDER_VARIABLE, "")
        if not folder or not (Path(folder) / "model.onnx").is_file():
            raise MissingEngineError(_INSTALL_HINT)
        self._folder = Path(folder)
        try:
            versions = [f"{name}-{metadata.version(name)}" for name in ("onnxruntime", "misaki", "phonemizer-fork")]
        except metadata.PackageNotFoundError as error:
            raise MissingEngineError(_INSTALL_HINT) from error
        self.version = ",".join(versions)
        self._styles: dict[str, np.ndarray] = {}
        self._phonemizers: dict[str, Callable[[str], tuple[str, Any]]] = {}

    def voices(self, lang: str) -> list[EngineVoice]:
        """The voices that speak a language well enough, without mixtures."""
        return [
            EngineVoice(engine=self.name, name=f"{lang}/{name}", lang=lang, licence=LICENCE, package="kokoro-js")
            for name in VOICES.get(lang, ())
            if self._voice_file(name).is_file()
        ]

    @staticmethod
    def mix(voice: EngineVoice, source: random.Random) -> EngineVoice:
        """A new speaker: 50 to 90 % of a voice, the rest of another, both drawn from a generator."""
        lang, _, name = voice.name.partition("/")
        partner = source.choice([other for other in PARTNERS[lang] if other != name])
        share = source.uniform(*_LARGER_SHARES)
        return replace(voice, name=f"{lang}/{name}*{share:.2f}+{partner}*{1 - share:.2f}")

    def speak(self, requests: Sequence[SpeechRequest]) -> list[SpokenClip]:
        """One clip for each request; without samples where the voice cannot read the text.

        Raises:
            RuntimeError: the model failed; the message contains the text.
        """
        return [self._speak(request) for request in requests]

    def _speak(self, request: SpeechRequest) -> SpokenClip:
        lang, _, voice = request.voice.partition("/")
        # Numbers are spoken as words that the transcript does not have.
        if lang not in ESPEAK_LANGUAGES or any(character.isdigit() for character in request.text):
            return NO_CLIP
        phones = self._phones(request.text, lang)
        tokens = [self._vocabulary[phone] for phone in phones if phone in self._vocabulary]
        if not 0 < len(tokens) <= _MOST_TOKENS:
            return NO_CLIP
        # The sampling rate changes pitch and duration; the speed of the model restores the duration.
        speed = 1 / (request.duration_stretch * request.pitch_ratio)
        inputs = {
            "tokens": np.array([[0, *tokens, 0]], dtype=np.int64),
            "style": self._style(voice, len(tokens) - 1),
            "speed": np.array([min(max(speed, _SPEEDS[0]), _SPEEDS[1])], dtype=np.float32),
        }
        try:
            (audio,) = self._session.run(None, inputs)
        except Exception as error:
            raise RuntimeError(f"{self.name} failed on {request.voice}: {request.text!r}: {error}") from error
        peak = float(np.abs(audio).max()) if audio.size else 0.0
        if not 0 < peak < np.inf:
            return NO_CLIP
        pcm = (audio.ravel() * (_PEAK / peak)).astype(np.int16)
        return SpokenClip(pcm=pcm.tobytes(), sampling_rate=round(SAMPLING_RATE * request.pitch_ratio))

    def _phones(self, text: str, lang: str) -> str:
        if lang not in self._phonemizers:
            self._phonemizers[lang] = _phonemizer(lang)
        phones, _ = self._phonemizers[lang](_ANGLES.sub('"', text))
        return phones or ""

    @functools.cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        model = os.fspath(self._folder / "model.onnx")
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    @functools.cached_property
    def _vocabulary(self) -> dict[str, int]:
        content = json.loads((self._folder / "vocab.json").read_text(encoding="utf-8"))
        return content.get("vocab", content)

    def _voice_file(self, name: str) -> Path:
        return self._folder / "voices" / f"{name}.bin"

    def _style(self, voice: str, row: int) -> np.ndarray:
        """`(1, 256)` float32: the style of a voice or mixture for a number of tokens less one."""
        mixed = np.zeros((1, _STYLE_SIZE), dtype=np.float32)
        for part in voice.split("+"):
            name, _, share = part.partition("*")
            if name not in self._styles:
                styles = np.fromfile(self._voice_file(name), dtype=np.float32)
                self._styles[name] = styles.reshape(_MOST_TOKENS, _STYLE_SIZE)
            mixed += float(share or 1) * self._styles[name][row]
        return mixed

    def close(self) -> None:
        """Nothing to stop: the model runs in this process."""


def _phonemizer(lang: str) -> Callable[[str], tuple[str, Any]]:
    """The conversion of text to phones, by espeak-ng and misaki."""
    from misaki import espeak

    if lang != "en":
        return espeak.EspeakG2P(language=ESPEAK_LANGUAGES[lang])
    convert = espeak.EspeakFallback(british=False)
    return lambda text: convert(SimpleNamespace(text=text))
