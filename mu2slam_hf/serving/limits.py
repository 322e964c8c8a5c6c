# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Limits of a server; imports neither torch nor transformers."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ServingLimits:
    """What a server accepts.

    Attributes:
        upload_megabytes: size of a request, in 10^6 bytes.
        upload_seconds: time in which a request must arrive.
        audio_seconds: length of a recording.
        requests: requests at a time, those that wait or arrive included.
        client_requests: those of one client, known by its key or else by its address.
        extra_seconds: a request may take this much longer than its recording, as far as that was read.
        field_bytes: size of a form field that is not the file.
        fields: number of form fields.
        sessions: live transcriptions at a time.
        session_seconds: length of a live transcription.
        idle_seconds: time in which a client of a live transcription must send something.
        batch_seconds: seconds of audio that are recognised together.
        grace_seconds: time in which accepted requests are finished when the server stops.
    """

    upload_megabytes: float = 100.0
    upload_seconds: float = 300.0
    audio_seconds: float = 4 * 3600.0
    requests: int = 64
    client_requests: int = 32
    extra_seconds: float = 60.0
    field_bytes: int = 64_000
    fields: int = 32
    sessions: int = 32
    session_seconds: float = 4 * 3600.0
    idle_seconds: float = 30.0
    batch_seconds: float = 60.0
    grace_seconds: float = 60.0
