# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""MPEG audio files of many kinds, and their length by counting frames."""

import functools
import io

import av
import numpy as np

# Bit rates in kbit/s by (MPEG-1, layer), sampling rates in Hz by version.
_BIT_RATES = {
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}

# Name -> codec, rate, channels, variable bit rate, Xing header.
ENCODINGS = {
    "mp3": ("libmp3lame", 44_100, 1, False, True),
    "mp3_variable": ("libmp3lame", 44_100, 1, True, True),
    "mp3_bare": ("libmp3lame", 44_100, 1, False, False),
    "mp3_variable_bare": ("libmp3lame", 44_100, 1, True, False),
    "mp3_variable_bare_stereo": ("libmp3lame", 24_000, 2, True, False),
    "mp3_bare_16k": ("libmp3lame", 16_000, 1, False, False),
    "mp2": ("mp2", 44_100, 1, False, False),
    "mp2_16k_stereo": ("mp2", 16_000, 2, False, False),
}


def sounds(rate, seconds=3.0):
    """Near silence, then a loud half: variable bit rates are low first, so that estimates from the start are wrong."""
    samples = np.random.default_rng(0).uniform(-1, 1, round(rate * seconds)).astype(np.float32)
    return samples * np.where(np.arange(len(samples)) < len(samples) // 2, 0.0005, 0.5).astype(np.float32)


@functools.cache
def encode_mpeg(name):
    """The bytes of a file."""
    codec, rate, channels, variable, xing = ENCODINGS[name]
    file = io.BytesIO()
    options = {} if codec == "mp2" else {"write_xing": str(int(xing)), "id3v2_version": "4" if xing else "0"}
    with av.open(file, "w", format="mp2" if codec == "mp2" else "mp3", options=options) as output:
        layout = "mono" if channels == 1 else "stereo"
        stream = output.add_stream(codec, rate=rate, layout=layout)
        if variable:
            stream.codec_context.options = {"flags": "+qscale", "global_quality": str(4 * 118)}
        else:
            stream.bit_rate = 64_000
        frame = av.AudioFrame.from_ndarray(np.tile(sounds(rate), (channels, 1)), format="fltp", layout=layout)
        frame.sample_rate = rate
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    return file.getvalue()


def mpeg_seconds(data):
    """Length by the headers of the frames; the last may be incomplete, and a Xing header is a frame without sound."""
    position, seconds = 0, 0.0
    while position + 10 <= len(data):
        if data[position : position + 3] == b"ID3":
            size = data[position + 6 : position + 10]
            position += 10 + sum(byte << shift for byte, shift in zip(size, (21, 14, 7, 0), strict=True))
        first, second, third = data[position : position + 3]
        assert first == 0xFF and second >> 5 == 7, f"no frame at byte {position}"
        version, layer = (second >> 3) & 3, 4 - ((second >> 1) & 3)
        rate = _RATES[version][(third >> 2) & 3]
        num_samples = 1152 if version == 3 or layer == 2 else 576
        bit_rate = 1000 * _BIT_RATES[version == 3, layer][third >> 4]
        if not any(tag in data[position : position + 48] for tag in (b"Xing", b"Info")):
            seconds += num_samples / rate
        position += num_samples // 8 * bit_rate // rate + ((third >> 1) & 1)
    return seconds
