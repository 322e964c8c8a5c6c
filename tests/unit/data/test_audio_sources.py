# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Formats, sources, channels, blocks and errors; more are in the tests of `load_audio`."""

import contextlib
import io
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile as sf
import torch
from huggingface_hub.utils import get_session

from mu2slam_hf.data import audio_sources
from mu2slam_hf.data.audio_sources import read_audio_source, stream_audio_source
from mu2slam_hf.models import modules_audio_decoders, modules_audio_packets
from mu2slam_hf.models.modules_audio_decoders import AudioError

RATE = 16_000


def tone(rate=RATE, seconds=1.0, hertz=440.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def encode(container, codec, samples, rate):
    """The bytes of a file by PyAV."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono" if samples.ndim == 1 else "stereo")
        rows = samples[None] if samples.ndim == 1 else np.ascontiguousarray(samples.T)
        frame = av.AudioFrame.from_ndarray(rows, format="fltp", layout=stream.layout.name)
        frame.sample_rate = rate
        resampler = av.AudioResampler(format=stream.format, layout=stream.layout, rate=rate)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            for packet in stream.encode(piece):
                output.mux(packet)
        for packet in stream.encode(None):
            output.mux(packet)
    return file.getvalue()


def assert_tone(samples, hertz=440.0, seconds=1.0):
    # AAC is padded to whole frames.
    assert len(samples) == pytest.approx(seconds * RATE, abs=0.2 * RATE)
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * RATE / len(middle) == pytest.approx(hertz, abs=5)
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [("mp4", "aac", 44_100), ("ipod", "aac", 16_000), ("webm", "libopus", 48_000), ("mov", "aac", 8_000)],
)
def test_what_only_pyav_reads(tmp_path, container, codec, rate):
    data = encode(container, codec, tone(rate), rate)
    assert_tone(read_audio_source(data, RATE))
    (tmp_path / "a.file").write_bytes(data)
    assert_tone(read_audio_source(tmp_path / "a.file", RATE))
    with pytest.raises(AudioError, match=r"a\.file"):
        (tmp_path / "a.file").write_bytes(data[:60])
        read_audio_source(tmp_path / "a.file", RATE)


def test_channels_of_a_video_container():
    rate = 44_100
    left, right = tone(rate), np.zeros(rate, np.float32)
    data = encode("mp4", "aac", np.stack([left, right], axis=1), rate)
    blocks = np.concatenate(list(stream_audio_source(data, RATE, split_channels=True)))
    assert blocks.shape[1] == 2 and np.abs(blocks[2000:-2000, 1]).max() < 0.01
    assert_tone(np.ascontiguousarray(blocks[:, 0]))
    assert_tone(2 * read_audio_source(data, RATE))


def test_a_container_without_audio():
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream("mpeg4", rate=10, width=16, height=16, pix_fmt="yuv420p")
        output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((24, 16), np.uint8), format="yuv420p")))
        output.mux(stream.encode(None))
    with pytest.raises(AudioError, match="has no audio stream"):
        read_audio_source(file.getvalue(), RATE, name="x")


def test_the_error_without_pyav_says_what_to_install(monkeypatch):
    data = encode("mp4", "aac", tone(), RATE)
    monkeypatch.setattr(modules_audio_packets, "av", None)
    with pytest.raises(AudioError, match=r"talk\.mp4: cannot be decoded .*pip install av\).*mp4"):
        read_audio_source(data, RATE, name="talk.mp4")


def test_pyav_reads_what_soundfile_would(monkeypatch, tmp_path):
    sf.write(tmp_path / "a.flac", tone(22_050), 22_050)
    expected = read_audio_source(tmp_path / "a.flac", RATE)
    monkeypatch.setattr(modules_audio_decoders, "soundfile", None)
    assert np.abs(read_audio_source(tmp_path / "a.flac", RATE) - expected).max() < 1e-4
    monkeypatch.setattr(modules_audio_packets, "av", None)
    with pytest.raises(AudioError, match="pip install soundfile"):
        read_audio_source(tmp_path / "a.flac", RATE)


@pytest.mark.parametrize(
    ("format", "subtype", "tolerance"),
    [("WAV", "ULAW", 0.02), ("WAV", "ALAW", 0.02), ("WAV", "PCM_24", 1e-6), ("WAV", "DOUBLE", 1e-7),
     ("AIFF", "PCM_16", 1e-4), ("AU", "PCM_16", 1e-4), ("CAF", "PCM_16", 1e-4)],
)  # fmt: skip
def test_formats_of_soundfile(format, subtype, tolerance):
    file = io.BytesIO()
    sf.write(file, tone(), RATE, format=format, subtype=subtype)
    assert np.abs(read_audio_source(file.getvalue(), RATE)[:RATE] - tone()).max() <= tolerance


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000])
def test_rates_and_channels(rate):
    file = io.BytesIO()
    sf.write(file, np.stack([tone(rate), 0 * tone(rate)], axis=1), rate, format="WAV")
    assert_tone(2 * read_audio_source(file.getvalue(), RATE))


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("num_samples", [1, 2, 3, 7, 100])
def test_no_clip_is_too_short(rate, num_samples):
    file = io.BytesIO()
    sf.write(file, np.full(num_samples, 0.25, np.float32), rate, format="WAV", subtype="FLOAT")
    samples = read_audio_source(file.getvalue(), RATE)
    assert len(samples) >= 1 and np.isfinite(samples).all()
    assert len(samples) == pytest.approx(num_samples * RATE / rate, abs=1.01)


@pytest.mark.parametrize("rate", [16_000, 22_050])
@pytest.mark.parametrize("split_channels", [False, True])
def test_samples_do_not_depend_on_blocks(monkeypatch, rate, split_channels):
    stereo = np.random.default_rng(0).uniform(-0.5, 0.5, (3 * rate + 17, 2)).astype(np.float32)
    file = io.BytesIO()
    sf.write(file, stereo, rate, format="WAV", subtype="FLOAT")

    def read():
        return list(stream_audio_source(file.getvalue(), RATE, split_channels=split_channels))

    (expected, *rest) = read()
    expected = np.concatenate([expected, *rest])
    for seconds in (0.01, 0.37, 1.0):
        monkeypatch.setattr(modules_audio_decoders, "BLOCK_SECONDS", seconds)
        blocks = read()
        assert len(blocks) > 2 and np.array_equal(np.concatenate(blocks), expected)
    if rate == RATE:
        assert np.abs(expected - (stereo if split_channels else stereo.mean(axis=1, keepdims=True))).max() < 1e-6


def test_sources_agree(tmp_path):
    path = tmp_path / "a.wav"
    sf.write(path, tone(), RATE, subtype="FLOAT")
    data, samples = path.read_bytes(), tone()

    class Pipe(io.RawIOBase):
        """As standard input: it cannot be rewound."""

        def __init__(self):
            self.inner = io.BytesIO(data)

        def read(self, size=-1):
            return self.inner.read(size)

        def seekable(self):
            return False

    decoder = SimpleNamespace(
        get_all_samples=lambda: SimpleNamespace(data=torch.tensor(samples)[None], sample_rate=RATE)
    )
    for source in (
        path, str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), Pipe(), path.open("rb"),
        samples, samples.tolist(), torch.tensor(samples), samples[:, None], samples[None],
        {"array": samples, "sampling_rate": RATE}, {"raw": samples, "sampling_rate": RATE},
        {"bytes": data, "path": None}, {"bytes": None, "path": str(path)}, decoder,
        SimpleNamespace(read_audio=lambda: data),
    ):  # fmt: skip
        assert np.array_equal(read_audio_source(source, RATE), samples)
    doubled = read_audio_source({"array": samples, "sampling_rate": RATE // 2}, RATE)
    assert len(doubled) == pytest.approx(2 * RATE, abs=2)
    assert len(read_audio_source(samples, RATE, source_rate=RATE // 2)) == len(doubled)


def test_an_open_file_is_read_in_blocks_and_stays_open():
    class File(io.BytesIO):
        largest = 0

        def read(self, size=-1):
            data = super().read(size)
            self.largest = max(self.largest, len(data))
            return data

    file = File()
    samples = np.tile(tone(), 120)
    sf.write(file, samples, RATE, format="WAV", subtype="FLOAT")
    data = file.getvalue()
    for source in (file, {"bytes": file, "path": "a.wav"}):
        file.seek(0)
        assert np.array_equal(read_audio_source(source, RATE), samples) and not file.closed
    assert file.largest < len(data) / 2
    # From elsewhere, what follows is the recording.
    file = io.BytesIO(b"head" + data)
    file.seek(4)
    assert np.array_equal(read_audio_source(file, RATE), samples)
    with pytest.raises(AudioError, match="opened as text"):
        read_audio_source(io.StringIO("text"), RATE)


@pytest.mark.parametrize(("name", "expected"), [("talk 7", "talk 7"), (None, "the decoded audio")])
def test_a_decoder_that_fails(name, expected):
    class AudioDecoder:
        def get_all_samples(self):
            raise RuntimeError("broken packet")

    with pytest.raises(AudioError, match=rf"{expected}: the decoder AudioDecoder failed \(broken packet\)"):
        read_audio_source(AudioDecoder(), RATE, name=name)


def test_channels_of_arrays():
    pair = np.stack([tone(), 0.5 * tone(hertz=200)])
    for source in (pair, pair.T, torch.tensor(pair), {"array": pair, "sampling_rate": RATE}):
        (block,) = stream_audio_source(source, RATE, split_channels=True)
        assert block.dtype == np.float32 and np.array_equal(block, pair.T)
        (mono,) = stream_audio_source(source, RATE)
        assert mono[:, 0] == pytest.approx(pair.mean(axis=0), abs=1e-7)
    six = np.random.default_rng(0).uniform(-1, 1, (6, 500)).astype(np.float32)
    (block,) = stream_audio_source(six, RATE, split_channels=True)
    assert np.array_equal(block, six.T)
    (block,) = stream_audio_source(tone(), RATE, split_channels=True)
    assert block.shape == (RATE, 1)
    (block,) = stream_audio_source((32767 * pair).astype(np.int16), RATE, split_channels=True)
    assert np.abs(block - pair.T).max() < 1e-4


@pytest.mark.parametrize("split_channels", [False, True])
@pytest.mark.parametrize(
    "source",
    [
        None, np.zeros(0), np.zeros((0, 2)), np.zeros((300, 20)), np.zeros((3, 3)), np.zeros((2, 3, 4)), [],
        [[0.0], [0.0, 1.0]],
        {"array": np.zeros(10)}, {"sampling_rate": RATE}, {}, {"bytes": None, "path": None}, {"bytes": b""},
        {"array": np.zeros(10), "sampling_rate": 16}, np.full(10, np.nan), np.full(10, 1000.0), np.zeros(4, bool),
        io.StringIO("text"), 3.0, "no such file.wav", "/", "a\nb", "x" * 5000, b"", b"some text, not audio",
        b"\0\1\2" * 100,
    ],
)  # fmt: skip
def test_invalid_sources(source, split_channels):
    with pytest.raises(AudioError) as caught:
        list(stream_audio_source(source, RATE, split_channels=split_channels, name="the name"))
    assert "audio[0]" not in str(caught.value)


@pytest.fixture
def server(monkeypatch):
    """Address of a server with the file `speech.wav`, and redirections to it."""
    file = io.BytesIO()
    sf.write(file, tone(), RATE, format="WAV", subtype="FLOAT")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            away = f"http://127.0.0.1:{self.server.server_address[1]}/speech.wav"
            target = {"/moved.wav": "/speech.wav", "/away.wav": away, "/round.wav": "/round.wav"}.get(self.path)
            self.send_response(302 if target else 200 if self.path in ("/speech.wav", "/slow.wav") else 404)
            if target:
                self.send_header("Location", target)
            content = file.getvalue() if self.path == "/speech.wav" else b""
            self.send_header("Content-Length", "40" if self.path == "/slow.wav" else str(len(content)))
            self.end_headers()
            if self.path == "/slow.wav":
                for byte in b"RIFF" * 10:
                    with contextlib.suppress(OSError):  # the client has given up
                        self.wfile.write(bytes([byte]))
                        time.sleep(0.01)
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    # The tests are offline; this server is on the same machine.
    client = type(get_session())
    monkeypatch.setattr(audio_sources, "get_session", lambda: client(trust_env=False))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def test_addresses(server):
    for name in ("speech.wav", "moved.wav"):
        assert np.array_equal(read_audio_source(f"{server}/{name}", RATE), tone())
    with pytest.raises(AudioError, match=r"/missing\.wav: cannot be downloaded .*404"):
        read_audio_source(f"{server}/missing.wav", RATE)


def test_redirects_into_a_private_network_are_refused(server, monkeypatch):
    """A public server, here one whose name is not taken for private, leads to this machine."""
    public = server.replace("127.0.0.1", "localhost")
    is_private = audio_sources._is_private
    monkeypatch.setattr(audio_sources, "_is_private", lambda host: host != "localhost" and is_private(host))
    assert np.array_equal(read_audio_source(f"{public}/moved.wav", RATE), tone())  # to itself
    with pytest.raises(AudioError, match=r"/away\.wav: leads to 127\.0\.0\.1, which is in a private network"):
        read_audio_source(f"{public}/away.wav", RATE)
    assert np.array_equal(read_audio_source(f"{server}/away.wav", RATE), tone())
    with pytest.raises(AudioError, match=r"/round\.wav: has more than 10 redirects"):
        read_audio_source(f"{server}/round.wav", RATE)


@pytest.mark.parametrize(("host", "is_private"), [("10.0.0.8", True), ("169.254.1.1", True), ("8.8.8.8", False)])
def test_private_networks(host, is_private):
    assert audio_sources._is_private(host) == is_private


def test_channels_that_cancel_each_other_out(tmp_path):
    """A balanced cable that was recorded as two channels: their mean is silence."""
    path, reports = tmp_path / "cable.wav", []
    sf.write(path, np.stack([tone(), -tone()], axis=1), RATE)
    list(stream_audio_source(path, RATE, on_damage=reports.append))
    assert reports == [
        f"{path}: its channels cancel each other out when they are averaged; `--channels` reads each by itself"
    ]
    for channels in ([tone(), 0 * tone()], [tone(), tone(hertz=300)], [0 * tone(), 0 * tone()]):
        sf.write(path, np.stack(channels, axis=1), RATE)
        list(stream_audio_source(path, RATE, on_damage=reports.append))
    sf.write(path, np.stack([tone(), -tone()], axis=1), RATE)
    list(stream_audio_source(path, RATE, split_channels=True, on_damage=reports.append))
    assert len(reports) == 1


def test_addresses_that_send_too_much_or_too_slowly(server, monkeypatch):
    assert np.array_equal(read_audio_source(f"HTTP{server[4:]}/speech.wav", RATE), tone())
    monkeypatch.setattr(audio_sources, "MAX_DOWNLOAD_BYTES", 1 << 10)
    with pytest.raises(AudioError, match=r"/speech\.wav: is larger than"):
        read_audio_source(f"{server}/speech.wav", RATE)
    monkeypatch.setattr(audio_sources, "_READ_SECONDS", 0.1)
    with pytest.raises(AudioError, match=r"/slow\.wav: the server sends only \d+ bytes per second"):
        read_audio_source(f"{server}/slow.wav", RATE)


def test_an_address_without_connection():
    with pytest.raises(AudioError, match="cannot be downloaded .*offline"):
        read_audio_source("http://127.0.0.1:9/a.wav", RATE)
