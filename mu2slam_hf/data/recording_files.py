# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Names of recordings in folders."""

RECORDING_SUFFIXES = frozenset(
    """
    .3gp .aac .aif .aiff .amr .au .avi .caf .flac .flv .m4a .m4b .m4v .mka .mkv .mov .mp2 .mp3 .mp4 .mpeg .mpg .mpga
    .oga .ogg .ogv .opus .ts .w64 .wav .webm .wma .wmv
    """.split()
)
"""Extensions of the audio and video files that are looked for in folders."""
