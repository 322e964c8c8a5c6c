# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The speech engine festival: voices of English, Italian, Russian and other languages.

The clips of a block are spoken by one process for each voice, so that they depend on that block only: the voices
change global settings of festival which others do not reset.
"""

import re
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.synthesis.recorded_pcm import NO_CLIP, read_pcm
from lab.synthesis.speech_engine import EngineVoice, MissingEngineError, SpeechRequest, SpokenClip
from lab.synthesis.voice_alphabets import spoken_text

FESTIVAL = "festival"
PACKAGES = {
    "kal_diphone": ("festvox-kallpc16k", "MIT-Festival"),
    "ked_diphone": ("festvox-kdlpc16k", "MIT-Festival"),
    "cmu_us_slt_arctic_hts": ("festvox-us-slt-hts", "MIT-Festival AND BSD-3-Clause"),
    "lp_diphone": ("festvox-italp16k", "GPL-2.0-or-later"),
    "pc_diphone": ("festvox-itapc16k", "GPL-2.0-or-later"),
    "msu_ru_nsh_clunits": ("festvox-ru", "MIT-Festival"),
}
"""Maps voices to their Debian package and licence."""

# What the voices call their language -> the codes that they serve.
_LANGUAGES = {"english": ("en", "en-US"), "italian": ("it", "it-IT"), "russian": ("ru", "ru-RU")}
_DEFAULT_CODING = "ISO-8859-1"
_LIST = """
(mapcar
 (lambda (name)
  (let ((facts (cadr (voice.description name))))
   (format t "voice\\t%s\\t%l\\t%l\\n" name (cadr (assoc 'language facts)) (cadr (assoc 'coding facts)))))
 (voice.list))
"""
# Diphone voices take durations and pitch from the utterance. The voices of hidden Markov models take only the speed,
# and those of unit selection neither: `read_pcm` changes the pitch of both by the sampling rate.
#
# The diphone voices compute samples beyond the range of int16 in most Italian sentences. Their units are therefore
# scaled, each once, because festival keeps them for the next sentences: a variable marks those that are done.
_SPEAK = """
(voice_{voice})
(define mu2slam_method (format nil "%l" (Param.get 'Synth_Method)))
(define mu2slam_is_hts (string-matches mu2slam_method ".*HTS.*"))
(if mu2slam_is_hts (define mu2slam_hts_params hts_engine_params))
(format t "method\\t%s\\n" mu2slam_method)
(define mu2slam_unit_concat us_unit_concat)
(define (us_unit_concat utt)
  (mapcar
   (lambda (unit)
    (let ((key (intern (format nil "mu2slam-%l" (item.feat unit "sig")))))
     (if (not (symbol-bound? key))
      (begin (set-symbol-value! key t) (item.set_feat unit "energy_factor" {gain})))))
   (utt.relation.items utt 'Unit))
  (us_energy_normalise utt 'Unit)
  (mu2slam_unit_concat utt))
(define (mu2slam_speak text stretch ratio path)
  (Parameter.set 'Duration_Stretch stretch)
  (if mu2slam_is_hts
   (set! hts_engine_params (cons (list "-r" (/ 1.0 (* stretch ratio))) mu2slam_hts_params)))
  (set! after_analysis_hooks
   (list (lambda (utt)
    (mapcar (lambda (target) (item.set_feat target "f0" (* ratio (item.feat target "f0"))))
     (utt.relation.leafs utt 'Target))
    utt)))
  (utt.save.wave (utt.synth (eval (list 'Utterance 'Text text))) path 'riff))
"""
# An error in one sentence must not end the process.
_SPEAK_ONE = '(unwind-protect (mu2slam_speak "{text}" {stretch:.4f} {ratio:.4f} "{path}") (format t "failed\\n"))\n'
_GAIN = 0.25
_PROCESS_TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class _Voice:
    languages: tuple[str, ...]
    coding: str


class FestivalEngine:
    """Speaks with the program `festival`."""

    name = FESTIVAL

    def __init__(self) -> None:
        """Find the program and ask it for its voices.

        Raises:
            MissingEngineError: festival is not installed, or has no voices.
            RuntimeError: festival does not run.
        """
        packages = " ".join(sorted(package for package, _ in PACKAGES.values()))
        program = shutil.which("festival")
        if program is None:
            raise MissingEngineError(
                f"festival is not installed; on Debian and Ubuntu: apt-get install festival, and voices: {packages}"
            )
        self._program = program
        with tempfile.TemporaryDirectory(prefix="festival-") as folder:
            found = re.search(r"System: (\S+?):", self._run(Path(folder), "--version"))
            self.version = found[1] if found else "unknown"
            self._voices = _parse_voices(self._run_script(Path(folder), _LIST, _DEFAULT_CODING))
        if not self._voices:
            raise MissingEngineError(f"festival has no voices; on Debian and Ubuntu: apt-get install {packages}")

    def voices(self, lang: str) -> list[EngineVoice]:
        """The voices that festival lists for a language."""
        return [
            EngineVoice(
                engine=self.name,
                name=name,
                lang=lang,
                licence=PACKAGES.get(name, ("", ""))[1],
                package=PACKAGES.get(name, ("", ""))[0],
            )
            for name, voice in sorted(self._voices.items())
            if lang in voice.languages
        ]

    def speak(self, requests: Sequence[SpeechRequest]) -> list[SpokenClip]:
        """One clip for each request; without samples where the text or the voice is not known.

        Raises:
            RuntimeError: festival crashed or hung; the message contains the first texts.
        """
        numbers: dict[str, list[int]] = defaultdict(list)
        for number, request in enumerate(requests):
            numbers[request.voice].append(number)
        clips = [NO_CLIP] * len(requests)
        for name, own in numbers.items():
            if name in self._voices:
                for number, clip in zip(own, self._speak(name, [requests[number] for number in own]), strict=True):
                    clips[number] = clip
        return clips

    def _speak(self, name: str, requests: Sequence[SpeechRequest]) -> list[SpokenClip]:
        voice = self._voices[name]
        with tempfile.TemporaryDirectory(prefix="festival-") as folder:
            paths = [Path(folder) / f"{number}.wav" for number in range(len(requests))]
            script = _SPEAK.format(voice=name, gain=_GAIN)
            for request, path in zip(requests, paths, strict=True):
                # The alphabets have no quotes and backslashes, which would end the string.
                text = spoken_text(request.text, voice.languages[0])
                if text:
                    ratio, stretch = request.pitch_ratio, request.duration_stretch
                    script += _SPEAK_ONE.format(text=text, stretch=stretch, ratio=ratio, path=path.name)
            try:
                output = self._run_script(Path(folder), script, voice.coding)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                texts = ", ".join(repr(request.text) for request in requests[:4])
                raise RuntimeError(
                    f"festival crashed or hung in {len(requests)} clips of {name} that start with {texts}: {error}"
                ) from error
            by_rate = "UniSyn" not in output.partition("method\t")[2].partition("\n")[0]
            return [
                read_pcm(path, request.pitch_ratio if by_rate else 1.0)
                for request, path in zip(requests, paths, strict=True)
            ]

    def _run_script(self, folder: Path, script: str, coding: str) -> str:
        path = folder / "script.scm"
        path.write_bytes(script.encode(coding))
        return self._run(folder, "-b", str(path))

    def _run(self, folder: Path, *arguments: str) -> str:
        # With another home, so that no personal settings (.festivalrc) are read.
        result = subprocess.run(
            [self._program, *arguments],
            capture_output=True,
            check=False,
            cwd=folder,
            env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            timeout=_PROCESS_TIMEOUT_SECONDS,
        )
        if result.returncode != 0:
            message = result.stderr.decode(errors="replace").strip()[-300:]
            raise RuntimeError(f"festival ended with code {result.returncode}: {message}")
        return result.stdout.decode(errors="replace")

    def close(self) -> None:
        """Nothing to stop: every block has a process of its own."""


def _parse_voices(listing: str) -> dict[str, _Voice]:
    voices = {}
    for line in listing.splitlines():
        if line.startswith("voice\t"):
            _, name, language, coding = line.split("\t")
            if language in _LANGUAGES:
                voices[name] = _Voice(_LANGUAGES[language], _DEFAULT_CODING if coding == "nil" else coding)
    return voices
