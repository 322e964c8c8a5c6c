# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What a user decides about an adaptation; everything else is chosen from the data."""

from dataclasses import dataclass
from typing import Literal, get_args

Method = Literal["auto", "full", "frozen", "lora"]
Mode = Literal["direct", "gradual", "noisy"]
METHODS: tuple[Method, ...] = get_args(Method)
MODES: tuple[Mode, ...] = get_args(Mode)
NEW_MODEL = "new"
"""`AdaptationSettings.start` for a model with new weights."""


@dataclass(frozen=True, kw_only=True)
class AdaptationSettings:
    """Settings of an adaptation.

    Attributes:
        start: checkpoint of this package ("default", folder or name on the Hub), folder of a public speech encoder
            (w2v-BERT 2.0, Wav2Vec2-Conformer), or "new" for a small model with new weights.
        like: languages whose embeddings a new language starts from; empty: the mean of all languages.
        method: which weights are trained: all, all but the lower half of the encoder, or low-rank adapters; "auto"
            chooses by the size of the model and the hours of data.
        mode: Paper: section 2.4. "direct": one run on all tasks; "gradual": first on all tasks and data, then on the
            user's recordings alone; "noisy": with noise on the decoder's inputs.
        time_seconds: time for the whole adaptation; the number of updates is chosen so that it ends in this time.
            None: by the amount of data.
        max_steps: number of updates, in place of the choice by time and data.
        replay: manifest with data of languages and tasks that the model should keep, mixed into training; None: none.
        replay_share: share of `replay` in training, by duration of the recordings.
        pretrain: pre-train first, on recordings without text together with those with text: "" for those that the data
            has, or a folder with more of them; None: no pre-training.
        seed: seed of all random draws.

    Raises:
        ValueError: a value out of range, or a combination that has no meaning.
    """

    start: str = "default"
    like: tuple[str, ...] = ()
    method: Method = "auto"
    mode: Mode = "direct"
    time_seconds: float | None = None
    max_steps: int | None = None
    replay: str | None = None
    replay_share: float = 0.25
    pretrain: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("method", METHODS), ("mode", MODES)):
            if getattr(self, name) not in known:
                raise ValueError(f"`{name}` must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if self.time_seconds is not None and self.time_seconds <= 0:
            raise ValueError(f"`time_seconds` must be above 0, got {self.time_seconds}")
        if self.max_steps is not None and self.max_steps < 1:
            raise ValueError(f"`max_steps` must be at least 1, got {self.max_steps}")
        if self.time_seconds is not None and self.max_steps is not None:
            raise ValueError("`time_seconds` and `max_steps` both set the length of training; give only one of them")
        if not 0.0 < self.replay_share < 1.0:
            raise ValueError(f"`replay_share` must be between 0 and 1, got {self.replay_share}")
        if self.pretrain is not None and self.method == "lora":
            raise ValueError(
                "`pretrain` changes all weights, but the method lora keeps them; use full, frozen or auto"
            )
        if self.mode == "gradual" and self.replay is None:
            raise ValueError("`mode` gradual trains on other data first; give it as `replay`, or use direct or noisy")
