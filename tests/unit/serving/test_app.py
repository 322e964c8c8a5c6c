# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The application without a network and without a model: keys, limits, errors, streams, metrics."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from mu2slam_hf.serving import app as app_module
from mu2slam_hf.serving.app import ServingApp
from mu2slam_hf.serving.limits import ServingLimits

PATH = "/v1/audio/transcriptions"
BOUNDARY = "boundary"


def make_form(content=b"hola mundo", **fields):
    """The body of a form with a file."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="clip.wav"\r\n\r\n'
    return "".join(parts).encode() + head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


async def call(
    app, path=PATH, body=None, method="POST", headers=(), *, client="10.0.0.1", length=True, leave=None, is_cut=False
):
    """Send a request, or its beginning; `leave` is awaited before the client goes away."""
    body = make_form(model="default") if body is None and method == "POST" else body or b""
    names = {"content-type": f"multipart/form-data; boundary={BOUNDARY}", **dict(headers)}
    if length:
        names.setdefault("content-length", str(len(body)))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in names.items()],
        "client": (client, 1),
        "server": ("127.0.0.1", 80),
    }
    chunks = [body[start : start + 1000] for start in range(0, len(body), 1000)] or [b""]
    answer = SimpleNamespace(status=None, headers={}, body=b"")
    is_over = asyncio.Event()

    async def receive():
        if chunks:
            chunk = chunks.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(chunks) or is_cut}
        await (leave() if leave else is_over.wait())
        return {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    await app(scope, receive, send)
    is_over.set()
    answer.error = json.loads(answer.body).get("error") if (answer.status or 200) >= 400 else None
    return answer


def run(models, steps, limits=None, **options):
    """Run steps, a coroutine of the application, while it lives."""
    serving = ServingApp(models, limits, **options)

    async def live():
        async with serving._live(serving.app):
            return await asyncio.wait_for(steps(serving), 20)

    return asyncio.run(live())


def test_a_transcription(models):
    async def steps(serving):
        answer = await call(serving.app, headers=[("x-request-id", "my-id")])
        assert answer.status == 200 and answer.headers["x-request-id"] == "my-id"
        assert json.loads(answer.body)["text"] == "hola mundo"
        body = make_form(model="default", response_format="text", prompt="x", language="en")
        answer = await call(serving.app, "/v1/audio/translations", body)
        assert answer.body.decode() == "hola\nmundo\n" and answer.headers["x-ignored-fields"] == "prompt"
        answer = await call(serving.app, "/v1/audio/translations", headers=[("x-request-id", "a\nb")])
        assert json.loads(answer.body)["text"] == "en-hola en-mundo" and len(answer.headers["x-request-id"]) == 32

    run(models, steps)


def test_errors_have_one_form(models):
    async def steps(serving):
        cases = [
            (await call(serving.app, "/v1/nothing"), 404, "not_found"),
            (await call(serving.app, method="GET"), 405, "method_not_allowed"),
            (
                await call(serving.app, body=b"{}", headers=[("content-type", "application/json")]),
                415,
                "unsupported_media_type",
            ),
            (await call(serving.app, body=b"nothing"), 400, "invalid_form"),
            (await call(serving.app, headers=[("content-type", "multipart/form-data")]), 400, "invalid_form"),
            (await call(serving.app, body=make_form(b"broken", model="default")), 400, "unreadable_audio"),
            (await call(serving.app, body=make_form(b"w " * 11, model="default")), 400, "audio_too_long"),
            (await call(serving.app, body=make_form(model="gone")), 404, "model_not_found"),
            (await call(serving.app, body=make_form(b"crash", model="default")), 500, "internal_error"),
            (await call(serving.app, body=make_form(model="a" * 70_000)), 400, "invalid_form"),
            (
                await call(serving.app, body=make_form(model="default", **{f"f{n}": "" for n in range(40)})),
                400,
                "invalid_form",
            ),
        ]
        for answer, status, code in cases:
            assert (answer.status, answer.error["code"]) == (status, code), answer.body
            assert set(answer.error) == {"message", "type", "param", "code"} and len(answer.error["message"]) > 10
            assert answer.headers["x-request-id"]

    run(models, steps, ServingLimits(audio_seconds=10.0))


@pytest.mark.parametrize("length", [True, False], ids=["declared", "chunked"])
def test_a_request_that_is_too_large_is_not_read_to_its_end(models, length):
    async def steps(serving):
        answer = await call(serving.app, body=make_form(b"x" * 100_000, model="default"), length=length)
        assert (answer.status, answer.error["code"], answer.error["param"]) == (413, "file_too_large", "file")
        assert "more than 0.05 MB" in answer.error["message"]

    run(models, steps, ServingLimits(upload_megabytes=0.05))


def test_a_request_that_does_not_arrive(models):
    async def steps(serving):
        answer = await call(serving.app, is_cut=True, leave=lambda: asyncio.sleep(10))
        assert (answer.status, answer.error["code"]) == (408, "upload_timeout")
        # A client that goes away gets no answer.
        assert (await call(serving.app, is_cut=True, leave=lambda: asyncio.sleep(0.01))).status is None

    run(models, steps, ServingLimits(upload_seconds=0.2))


def test_keys(models):
    async def steps(serving):
        for headers, sentence in [([], "none came"), ([("authorization", "Bearer wrong")], "not known")]:
            answer = await call(serving.app, headers=headers)
            assert (answer.status, answer.error["type"]) == (401, "authentication_error")
            assert answer.error["code"] == "invalid_api_key" and sentence in answer.error["message"]
            assert (await call(serving.app, "/v1/models", method="GET", headers=headers)).status == 401
        for key in ("one", "two"):
            assert (await call(serving.app, headers=[("authorization", f"Bearer {key}")])).status == 200
        assert (await call(serving.app, "/health", method="GET")).status == 200

    run(models, steps, api_keys=["one", "two"])


def test_the_number_of_requests_at_a_time(models):
    async def steps(serving):
        answers = await asyncio.gather(*[call(serving.app, client=f"10.0.0.{number % 4}") for number in range(12)])
        codes = sorted(answer.error["code"] if answer.error else "" for answer in answers)
        assert codes == [""] * 4 + ["too_many_requests"] * 8
        refused = next(answer for answer in answers if answer.error)
        assert (refused.status, refused.error["type"], refused.headers["retry-after"]) == (
            429,
            "rate_limit_error",
            "1",
        )
        answers = await asyncio.gather(*[call(serving.app, client=f"10.0.0.{number}") for number in range(9)])
        assert (
            sorted(answer.error["code"] if answer.error else "" for answer in answers) == [""] * 6 + ["queue_full"] * 3
        )
        # All of them are counted out again.
        metrics = (await call(serving.app, "/metrics", method="GET")).body.decode()
        assert "mu2slam_active_requests 0.0" in metrics and (await call(serving.app)).status == 200

    run(models, steps, ServingLimits(requests=6, client_requests=1))


def events_of(answer):
    return [json.loads(line[6:]) for line in answer.body.decode().split("\n\n") if line.startswith("data: ")]


def test_a_stream(models):
    async def steps(serving):
        content = " ".join(f"w{number}" for number in range(200))
        body = make_form(content.encode(), model="default", stream="true")
        answer = await call(serving.app, body=body)
        *deltas, done = events_of(answer)
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert {event["type"] for event in deltas} == {"transcript.text.delta"} and len(deltas) > 2
        assert "".join(event["delta"] for event in deltas) == done["text"] == content
        assert done["type"] == "transcript.text.done" and done["usage"]["seconds"] == 200.0
        # Before the first text, an error has its own status; after it, it is an event.
        answer = await call(serving.app, body=make_form(b"broken", model="default", stream="true"))
        assert (answer.status, answer.error["code"]) == (400, "unreadable_audio")
        answer = await call(serving.app, body=make_form(b"w " * 150 + b"broken", model="default", stream="true"))
        *deltas, last = events_of(answer)
        assert answer.status == 200 and deltas and last["error"]["code"] == "unreadable_audio"
        answer = await call(serving.app, body=make_form(b"silence", model="default", stream="true"))
        assert [event["type"] for event in events_of(answer)] == ["transcript.text.done"]

    run(models, steps)


def test_a_stream_that_waits_has_comments(models, monkeypatch, log):
    monkeypatch.setattr(app_module, "_KEEP_ALIVE_SECONDS", 0.05)

    log.may_run.clear()

    async def steps(serving):
        asyncio.get_running_loop().call_later(0.3, log.may_run.set)
        answer = await call(serving.app, body=make_form(model="default", stream="true"))
        assert answer.body.startswith(b": waiting\n\n: waiting\n\n")
        assert events_of(answer)[-1]["text"] == "hola mundo"

    run(models, steps)


def test_the_work_of_a_client_that_goes_away_is_dropped(models, log):
    async def steps(serving):
        body = make_form(b"w " * 100_000, model="default")
        answer = await call(serving.app, body=body, leave=lambda: asyncio.sleep(0.1))
        assert answer.status is None
        while serving.scheduler._tasks:
            await asyncio.sleep(0.01)
        assert sum(map(len, log.batches)) < 100_000

    run(models, steps, ServingLimits(audio_seconds=1e6, extra_seconds=1e6))


def test_models_health_and_metrics(models):
    async def steps(serving):
        listed = json.loads((await call(serving.app, "/v1/models", method="GET")).body)
        assert [model["id"] for model in listed["data"]] == ["default", "other"]
        one = json.loads((await call(serving.app, "/v1/models/other", method="GET")).body)
        assert (
            one == listed["data"][1] and one["languages"] == ["en", "es", "fr"] and one["tasks"] == ["transcriptions"]
        )
        assert (await call(serving.app, "/v1/models/gone", method="GET")).error["code"] == "model_not_found"
        assert json.loads((await call(serving.app, "/health", method="GET")).body) == {"status": "ok"}
        await call(serving.app)
        await call(serving.app, body=make_form(b"broken", model="default"))
        lines = (await call(serving.app, "/metrics", method="GET")).body.decode().splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        assert values[f'mu2slam_requests_total{{code="",endpoint="{PATH}",status="200"}}'] == "1.0"
        assert values[f'mu2slam_requests_total{{code="unreadable_audio",endpoint="{PATH}",status="400"}}'] == "1.0"
        assert values["mu2slam_audio_seconds_total"] == "2.0" and values["mu2slam_active_requests"] == "0.0"

    run(models, steps)


def test_a_server_that_stops_accepts_nothing(models):
    async def steps(serving):
        serving.scheduler.drain()
        answer = await call(serving.app)
        assert (answer.status, answer.error["type"], answer.error["code"]) == (503, "server_error", "stopping")
        answer = await call(serving.app, "/health", method="GET")
        assert answer.status == 503 and json.loads(answer.body) == {"status": "stopping"}

    run(models, steps)
