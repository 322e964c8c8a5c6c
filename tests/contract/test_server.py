# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam serve` in a process of its own, asked by the client of OpenAI: its texts are those of `transcribe`."""

import asyncio
import base64
import io
import json
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import openai
import pytest
import soundfile as sf
import websockets
from helpers import REPOSITORY_ROOT, save_tiny_checkpoint
from serving_process import ServerProcess

from mu2slam_hf.cli import main
from mu2slam_hf.data.audio import load_audio

EXAMPLES = sorted((REPOSITORY_ROOT / "examples").glob("*/*.opus"))
ITALIAN = REPOSITORY_ROOT / "examples/it/vm-leavemsg.opus"
RATE = 16_000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = ServerProcess(tmp_path_factory.mktemp("server"))
    yield server
    assert server.stop() == 0, server.log
    assert server.temporary_files == [] and "Traceback" not in server.log


@pytest.fixture(scope="module")
def strict_server(tmp_path_factory):
    """With keys, narrow limits and two models."""
    folder = tmp_path_factory.mktemp("strict")
    (folder / "keys").write_text("# of the tests\nsecret\n")
    limits = ["--max-upload", "0.5", "--max-length", "5", "--max-client-requests", "2"]
    models = ["--model", "default", "--model", f"tiny={save_tiny_checkpoint(folder / 'model')}", "--strict-model"]
    server = ServerProcess(folder, "--api-key-file", str(folder / "keys"), *limits, *models)
    yield server
    assert server.stop(signal.SIGINT) == 0, server.log


def connect(server, key="any", **options):
    return openai.OpenAI(base_url=server.address, api_key=key, max_retries=0, timeout=120, **options)


@pytest.fixture(scope="module")
def client(server):
    with connect(server) as client:
        yield client


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory):
    """70 seconds, with pauses."""
    parts = []
    for number in range(28):
        parts += [load_audio(EXAMPLES[number % len(EXAMPLES)]), np.zeros(RATE // 2, dtype=np.float32)]
    file = tmp_path_factory.mktemp("long") / "long.flac"
    sf.write(file, np.concatenate(parts), RATE)
    return file


@pytest.fixture(scope="module")
def written(long_recording):
    """What `mu2slam transcribe --json --word-times` writes for each recording."""
    lines = run_command([*map(str, EXAMPLES), str(long_recording), "--json", "--word-times"]).splitlines()
    return {content["file"]: content for content in map(json.loads, lines)}


def run_command(arguments):
    from contextlib import redirect_stdout

    output = io.StringIO()
    with redirect_stdout(output):
        assert main(["transcribe", *arguments]) == 0
    return output.getvalue()


def transcribe(client, file=ITALIAN, model="default", **options):
    return client.audio.transcriptions.create(file=file, model=model, **options)


@pytest.mark.parametrize("name", ["text", "srt", "vtt"])
def test_documents(client, name):
    expected = run_command([str(ITALIAN), "--output-format", "txt" if name == "text" else name])
    assert transcribe(client, response_format=name) == expected
    arguments = [str(ITALIAN), "--from", "it", "--task", "translate"]
    expected = run_command([*arguments, "--output-format", "txt" if name == "text" else name])
    options = {"response_format": name, "extra_body": {"language": "it"}}
    assert client.audio.translations.create(file=ITALIAN, model="default", **options) == expected


def test_json(client, written):
    for file in EXAMPLES:
        answer = transcribe(client, file)
        content = written[str(file)]
        assert answer.text == content["text"] and answer.usage.seconds == content["duration_seconds"]
        assert [language.code for language in answer.languages] == [content["language"]]
    assert transcribe(client, language="Italian", prompt="x", temperature=0.0).text == written[str(ITALIAN)]["text"]
    raw = client.audio.transcriptions.with_raw_response.create(file=ITALIAN, model="whisper-1", prompt="x")
    assert raw.headers["x-ignored-fields"] == "prompt" and len(raw.headers["x-request-id"]) == 32


def test_verbose_json(client, written, long_recording):
    both = ["word", "segment"]
    answer = transcribe(client, long_recording, response_format="verbose_json", timestamp_granularities=both)
    content = written[str(long_recording)]
    assert (answer.text, answer.duration) == (content["text"], content["duration_seconds"])
    assert answer.language == content["language"] and len(answer.segments) == len(content["segments"]) > 10
    for segment, expected in zip(answer.segments, content["segments"], strict=True):
        assert (segment.text, segment.start, segment.end) == (expected["text"], expected["start"], expected["end"])
        assert segment.avg_logprob < 0 < segment.compression_ratio and 0 <= segment.no_speech_prob <= 1
        assert segment.tokens and segment.temperature == segment.seek == 0
    words = [word for segment in content["segments"] for word in segment["words"]]
    assert [(word.word, word.start, word.end) for word in answer.words] == [
        (word["word"], word["start"], word["end"]) for word in words
    ]
    answer = transcribe(client, response_format="verbose_json", timestamp_granularities=["word"])
    assert answer.words and answer.segments is None
    assert transcribe(client, response_format="verbose_json").words is None


def test_translations(client):
    answer = client.audio.translations.create(file=ITALIAN, model="default", response_format="verbose_json")
    content = json.loads(run_command([str(ITALIAN), "--to", "en,fr", "--json"]))
    assert (answer.text, answer.language) == (content["translations"]["en"], "en")
    french = client.audio.translations.create(file=ITALIAN, model="default", extra_body={"target_language": "fr"})
    assert french.text == content["translations"]["fr"]


def test_a_stream(client, written, long_recording):
    *deltas, done = transcribe(client, long_recording, stream=True)
    assert "".join(event.delta for event in deltas) == done.text == written[str(long_recording)]["text"]
    # A given language need not be awaited, so that text comes earlier.
    *deltas, done = transcribe(client, long_recording, stream=True, language="es")
    assert len(deltas) >= 2 and {event.type for event in deltas} == {"transcript.text.delta"}
    expected = json.loads(run_command([str(long_recording), "--from", "es", "--json"]))["text"]
    assert "".join(event.delta for event in deltas) == done.text == expected
    with pytest.raises(openai.BadRequestError, match="this is text, not audio"):
        transcribe(client, ("a.wav", b"hello"), stream=True)


def test_the_asynchronous_client(server, written):
    async def ask():
        async with openai.AsyncOpenAI(base_url=server.address, api_key="any") as client:
            answers = await asyncio.gather(*[transcribe(client, file) for file in EXAMPLES])
            stream = await transcribe(client, stream=True)
            return [answer.text for answer in answers], [event async for event in stream][-1].text

    texts, last = asyncio.run(ask())
    assert texts == [written[str(file)]["text"] for file in EXAMPLES] and last == written[str(ITALIAN)]["text"]


def test_silence_has_no_text(client):
    file = io.BytesIO()
    sf.write(file, np.zeros(3 * RATE), RATE, format="WAV")
    answer = transcribe(client, ("silence.wav", file.getvalue()), response_format="verbose_json")
    assert (answer.text, answer.segments, answer.duration) == ("", [], 3.0)


def test_models(client):
    assert [model.id for model in client.models.list()] == ["default"]
    model = client.models.retrieve("default")
    assert model.owned_by == "mu2slam-hf" and model.languages == ["en", "es", "fr", "it", "ru"]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("whisper-9")


@pytest.mark.parametrize(
    ("options", "kind", "code", "param"),
    [
        ({"model": "gpt-9"}, openai.NotFoundError, "model_not_found", "model"),
        ({"language": "tlh"}, openai.BadRequestError, "unsupported_language", "language"),
        ({"response_format": "diarized_json"}, openai.BadRequestError, "invalid_value", "response_format"),
        ({"timestamp_granularities": ["word"]}, openai.BadRequestError, "invalid_value", "timestamp_granularities"),
        ({"temperature": 7}, openai.BadRequestError, "invalid_value", "temperature"),
        ({"include": ["logprobs"]}, openai.BadRequestError, "invalid_value", "include"),
        ({"file": ("a.wav", b"")}, openai.BadRequestError, "empty_file", "file"),
        ({"file": ("a.wav", b"RIFF1234")}, openai.BadRequestError, "unreadable_audio", "file"),
    ],
)
def test_errors_are_exceptions_of_the_client(client, options, kind, code, param):
    with pytest.raises(kind) as caught:
        transcribe(client, **options)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert caught.value.type == "invalid_request_error" and caught.value.body["message"]


def test_keys_limits_and_models_by_name(strict_server, written, long_recording):
    with pytest.raises(openai.AuthenticationError, match="the one that came is not known"):
        transcribe(connect(strict_server, "guess"))
    client = connect(strict_server, "secret")
    assert [model.id for model in client.models.list()] == ["default", "tiny"]
    assert transcribe(client).text == written[str(ITALIAN)]["text"]
    assert transcribe(client, model="tiny").text != written[str(ITALIAN)]["text"]
    with pytest.raises(openai.NotFoundError, match="there is no 'whisper-1' here; expected one of default, tiny"):
        transcribe(client, model="whisper-1")
    with pytest.raises(openai.APIStatusError, match="more than 0.5 MB") as caught:
        transcribe(client, ("large.wav", b"RIFF" * 1_000_000))
    assert (caught.value.status_code, caught.value.code) == (413, "file_too_large")
    file = io.BytesIO()
    sf.write(file, np.zeros(6 * RATE), RATE, format="FLAC")
    with pytest.raises(openai.BadRequestError, match="longer than 5 s") as caught:
        transcribe(client, ("long.flac", file.getvalue()))
    assert caught.value.code == "audio_too_long"
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(transcribe, client) for _ in range(8)]
        refused = [one.exception() for one in asked if one.exception() is not None]
    assert refused and {type(error) for error in refused} == {openai.RateLimitError}
    assert {error.code for error in refused} == {"too_many_requests"} and refused[0].response.headers["retry-after"]


def test_32_clients_get_the_right_texts(server, written):
    rng = random.Random(0)
    orders = [rng.sample(EXAMPLES, 2) for _ in range(32)]

    def ask(order):
        with connect(server) as client:
            return [transcribe(client, file).text for file in order]

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(ask, orders))
    assert answers == [[written[str(file)]["text"] for file in order] for order in orders]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_32_clients_for_ten_minutes(server, written, seconds=600):
    end = time.monotonic() + seconds
    counts, memory = [0] * 32, []

    def ask(number):
        rng = random.Random(number)
        with connect(server) as client:
            while time.monotonic() < end:
                file = rng.choice(EXAMPLES)
                stream = rng.random() < 0.2
                answer = transcribe(client, file, stream=stream)
                text = list(answer)[-1].text if stream else answer.text
                assert text == written[str(file)]["text"]
                counts[number] += 1

    with ThreadPoolExecutor(32) as pool:
        asked = [pool.submit(ask, number) for number in range(32)]
        while not all(one.done() for one in asked):
            time.sleep(1.0)
            memory.append(server.resident_bytes)
        for one in asked:
            one.result()
    # Nothing is lost or wrong, nobody starves, and memory stays within 5 %.
    assert min(counts) > 0.5 * max(counts) > 0
    half = len(memory) // 2
    assert np.mean(memory[half:]) < 1.05 * np.mean(memory[half // 2 : half]), memory
    assert server.temporary_files == []


def pcm_of(wave):
    """Base64 pieces of 100 ms, 16 bits at 16 kHz."""
    data = (np.clip(wave, -1, 1) * 32767).astype("<i2").tobytes()
    return [base64.b64encode(data[start : start + 3200]).decode() for start in range(0, len(data), 3200)]


def live_session(language="it", turn_detection=None):
    settings = {"format": {"type": "audio/pcm", "rate": RATE}, "turn_detection": turn_detection}
    return {"type": "transcription", "audio": {"input": {**settings, "transcription": {"language": language}}}}


def hear(connection, until):
    """Events up to the one for which `until` holds."""
    events = []
    for event in connection:
        events.append(event)
        assert event.type != "error", event
        if until(event):
            return events
    raise AssertionError("the connection ended")


def test_a_live_transcription_that_the_client_divides(client):
    wave = load_audio(ITALIAN)
    file = io.BytesIO()
    sf.write(file, (np.clip(wave, -1, 1) * 32767).astype(np.int16), RATE, format="WAV")
    expected = transcribe(client, ("clip.wav", file.getvalue()), language="it").text
    with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        assert connection.recv().session.audio.input.transcription.model == "default"
        connection.session.update(session=live_session())
        assert connection.recv().session.audio.input.transcription.language == "it"
        items = []
        for _ in range(2):
            for piece in pcm_of(wave):
                connection.input_audio_buffer.append(audio=piece)
                time.sleep(0.05)
            connection.input_audio_buffer.commit()
            events = hear(connection, lambda event: event.type.endswith(".completed"))
            deltas = [event.delta for event in events if event.type.endswith(".delta")]
            committed = next(event for event in events if event.type == "input_audio_buffer.committed")
            # What was shown while it was spoken is never taken back; the completed text is that of a file.
            assert {event.item_id for event in events} == {committed.item_id}
            assert " ".join("".join(deltas).split()) == "".join(deltas)
            assert events[-1].transcript == expected
            assert events[-1].usage.seconds == pytest.approx(len(wave) / RATE, abs=1e-3)
            items.append((committed.previous_item_id, committed.item_id))
        assert items[0][0] is None and items[1][0] == items[0][1]


def test_a_live_transcription_that_pauses_divide(client):
    waves = [load_audio(file) for file in EXAMPLES if file.parent.name == "it"]
    wave = np.concatenate([np.concatenate([one, np.zeros(RATE, np.float32)]) for one in waves])
    detection = {"type": "server_vad", "silence_duration_ms": 500}
    with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        connection.session.update(session=live_session(turn_detection=detection))
        hear(connection, lambda event: event.type == "session.updated")
        for piece in pcm_of(wave):
            connection.input_audio_buffer.append(audio=piece)
            time.sleep(0.02)
        connection.input_audio_buffer.commit()
        completed = []
        events = hear(
            connection,
            lambda event: (
                event.type.endswith(".completed") and (completed.append(event) or len(completed) == len(waves))
            ),
        )
    kinds = [event.type.rpartition(".")[2] for event in events if event.type.startswith("input_audio_buffer")]
    assert kinds == ["speech_started", "speech_stopped", "committed"] * len(waves)
    starts = [event.audio_start_ms for event in events if event.type.endswith("speech_started")]
    ends = [event.audio_end_ms for event in events if event.type.endswith("speech_stopped")]
    assert all(start < end for start, end in zip(starts, ends, strict=True)) and ends[0] <= starts[1]
    assert ends[-1] <= 1000 * len(wave) / RATE
    for event, expected in zip(completed, ("messaggio", "il messaggio"), strict=True):
        assert expected in event.transcript


def test_words_are_shown_while_they_are_spoken(client):
    """As far as the machine is fast enough: the last words before the end come with the whole text."""
    wave = np.concatenate([load_audio(ITALIAN)] * 3)
    with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        connection.session.update(session=live_session())
        hear(connection, lambda event: event.type == "session.updated")
        for place, piece in enumerate(pcm_of(wave)):
            connection.input_audio_buffer.append(audio=piece)
            if place and place % 10 == 0:
                time.sleep(1.0)
        connection.input_audio_buffer.commit()
        events = hear(connection, lambda event: event.type.endswith(".completed"))
    deltas = [event.delta for event in events if event.type.endswith(".delta")]
    committed = [event.type for event in events].index("input_audio_buffer.committed")
    assert len(deltas) >= 2 and deltas[0].split()[0] == "premere"
    assert all(not event.type.endswith(".delta") for event in events[committed:])


def test_a_live_transcription_answers_mistakes(client, strict_server):
    with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        connection.recv()
        connection.send_raw(b"\x00\x01")
        assert connection.recv().error.code == "invalid_message"
        connection.send_raw(
            '{"type": "session.update", "session": {"audio": {"input": {"transcription": {"language": "xx"}}}}}'
        )
        assert connection.recv().error.code == "unsupported_language"
        connection.session.update(session=live_session())
        connection.recv()
        connection.input_audio_buffer.commit()
        assert connection.recv().error.code == "input_audio_buffer_commit_empty"
    with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
        connect(strict_server, "guess").realtime.connect(extra_query={"intent": "transcription"}).enter()
    assert caught.value.response.status_code == 401
    assert json.loads(caught.value.response.body)["error"]["code"] == "invalid_api_key"


class Attacker:
    """Requests that nobody should send, from a seed."""

    def __init__(self, server, seed):
        self.rng = random.Random(seed)
        self.http = connect(server)._client
        self.address = server.address
        self.audio = [file.read_bytes() for file in EXAMPLES]
        wave = load_audio(ITALIAN)
        for kind, subtype in [("WAV", "PCM_16"), ("FLAC", None), ("OGG", "VORBIS"), ("MP3", None)]:
            file = io.BytesIO()
            sf.write(file, wave, RATE, format=kind, subtype=subtype)
            self.audio.append(file.getvalue())

    def make_audio(self):
        rng = self.rng
        data = bytearray(rng.choice(self.audio))
        for _ in range(rng.choice([0, 1, 3, 30, 300])):
            data[rng.randrange(len(data) if rng.random() < 0.5 else 100)] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        if rng.random() < 0.1:
            data = rng.randbytes(rng.randrange(2000))
        return bytes(data)

    def make_text(self):
        texts = [
            "",
            "default",
            "en",
            "\0",
            "a" * 3000,
            "..%2f..",
            "-1",
            "1e999",
            "[]",
            "{}",
            "\u202e",
            "'\"",
            "../../etc/passwd",
        ]
        return self.rng.choice([*texts, "word", "verbose_json", "true", "srt", "es", "0.5"])

    def send(self):
        rng = self.rng
        path = f"{self.address}/audio/{rng.choice(['transcriptions', 'translations'])}"
        fields = {"model": "default", "response_format": rng.choice(["json", "text", "srt", "vtt", "verbose_json"])}
        names = ["model", "language", "response_format", "temperature", "stream", "timestamp_granularities[]", "file"]
        names += ["prompt", "include[]", "chunking_strategy", "target_language", "[", "", "x" * 200]
        if rng.random() < 0.3:
            fields |= {rng.choice(names): self.make_text() for _ in range(rng.randint(1, 3))}
        kind = rng.random()
        if kind < 0.85:
            name = rng.choice(["clip.wav", "", "../../x.wav", 'a"b\r\nX: y', "\u00e9.mp3", "a" * 500])
            file = (name, self.make_audio(), rng.choice(["audio/wav", "text/html", "", "multipart/mixed; boundary=x"]))
            files = {rng.choice(["file"] * 9 + ["model"]): file}
            return self.http.post(path, data=fields, files=files)
        if kind < 0.9:
            return self.http.request(rng.choice(["GET", "PUT", "DELETE", "PATCH", "OPTIONS"]), path)
        if kind < 0.95:
            return self.http.post(path, json=fields)
        headers = {
            "content-type": rng.choice(["multipart/form-data; boundary=b", "multipart/form-data", "x", "a/b; c=d"])
        }
        return self.http.post(path, content=rng.randbytes(rng.randrange(3000)) + b"--b\r\n\r\n--b--", headers=headers)


@pytest.mark.parametrize("count", [120, pytest.param(2000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_hostile_requests_are_answered(server, client, written, count):
    attacker = Attacker(server, count)
    statuses = []
    before = server.resident_bytes
    for _ in range(count):
        answer = attacker.send()
        statuses.append(answer.status_code)
        if answer.status_code != 200:
            assert answer.json()["error"]["message"] and answer.status_code in (400, 404, 405, 413, 415), answer.text
    assert 200 in statuses and 400 in statuses
    assert transcribe(client).text == written[str(ITALIAN)]["text"]
    assert server.resident_bytes - before < 200e6 and server.temporary_files == []


def test_a_slow_or_broken_connection_does_not_disturb_others(server, client, written):
    import socket

    host, port = server.address.split("/")[2].split(":")
    head = "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    sockets = []
    for rest in (
        "Content-Length: 2000000000\r\n\r\n--b\r\n",
        "Content-Length: 5000\r\n\r\n--b\r\n",
        "Content-Length: -1\r\n\r\n",
        "\x00\x01",
    ):
        one = socket.create_connection((host, int(port)), timeout=20)
        one.sendall((head + rest).encode("latin-1"))
        sockets.append(one)
    assert b" 413 " in sockets[0].recv(1000).split(b"\r\n")[0]
    assert transcribe(client).text == written[str(ITALIAN)]["text"]
    for one in sockets:
        one.close()
    assert client._client.get(server.address.replace("/v1", "/health")).json() == {"status": "ok"}


def ask_until_refused(server, answers, stop):
    """Ask again and again; collects texts, and the kinds of errors."""
    with connect(server) as client:
        while not stop.is_set():
            try:
                answers.append(transcribe(client).text)
            except openai.OpenAIError as error:
                answers.append(type(error))
                return


def test_sigterm_finishes_accepted_requests(tmp_path, written, long_recording):
    server = ServerProcess(tmp_path, "--grace", "100")
    answers, stop = [], threading.Event()
    with ThreadPoolExecutor(17) as pool:
        with connect(server) as client:
            long = pool.submit(transcribe, client, long_recording)
            asking = [pool.submit(ask_until_refused, server, answers, stop) for _ in range(16)]
            while len(answers) < 4:
                time.sleep(0.05)
            server.process.send_signal(signal.SIGTERM)
            # Those that were accepted are answered; later ones are refused.
            assert long.result().text == written[str(long_recording)]["text"]
            for one in asking:
                one.result()
    assert server.process.wait(timeout=60) == 0 and "Traceback" not in server.log
    texts = [answer for answer in answers if isinstance(answer, str)]
    assert len(texts) >= 16 and set(texts) == {written[str(ITALIAN)]["text"]}
    assert set(answers) - set(texts) <= {openai.APIConnectionError, openai.InternalServerError}
    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    assert sum(line["status"] == 200 for line in lines) == len(texts) + 1


def test_sigkill_leaves_no_file(tmp_path, long_recording):
    server = ServerProcess(tmp_path)
    large = SimpleNamespace(data=long_recording.read_bytes() + b"x" * 20_000_000)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(transcribe, connect(server), ("large.flac", large.data)) for _ in range(4)]
        time.sleep(1.0)
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
        assert {type(one.exception()) for one in asked} == {openai.APIConnectionError}
    assert server.temporary_files == []
