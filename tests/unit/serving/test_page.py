# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The page as Gradio sends it, without a browser and without a model."""

import asyncio
import json
import re
from types import SimpleNamespace

import pytest

pytest.importorskip("gradio", reason="the extra `page` is not installed")

import gradio as gr
from starlette.testclient import TestClient

from mu2slam_hf.serving.app import ServingApp
from mu2slam_hf.serving.limits import ServingLimits
from mu2slam_hf.serving.page_requests import make_page_folder

REQUEST = SimpleNamespace(client=SimpleNamespace(host="127.0.0.1"))


@pytest.fixture
def serve(models):
    def start(**options):
        serving = ServingApp(models, ServingLimits(audio_seconds=5.0), **options)
        serving.add_page()
        return serving, TestClient(serving.app)

    return start


def page_of(serving):
    return serving.app.routes[-1].app.get_blocks()


def handler_of(page, name):
    return next(function.fn for function in page.fns.values() if function.api_name == name)


def test_it_is_at_the_root_and_the_api_stays_where_it_is(serve):
    with serve()[1] as client:
        assert client.get("/").text.lstrip().startswith("<!doctype html>")
        assert client.get("/health").json() == {"status": "ok"}
        for method, path, status, code in [
            ("GET", "/v1/nothing", 404, "not_found"),
            ("GET", "/v1/audio/transcriptions", 405, "method_not_allowed"),
            ("GET", "/v1/models/gone", 404, "model_not_found"),
        ]:
            answer = client.request(method, path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_without_it_the_root_is_an_error_of_the_api(models):
    with TestClient(ServingApp(models).app) as client:
        answer = client.get("/")
        assert answer.status_code == 404 and answer.json()["error"]["code"] == "not_found"


def test_it_asks_no_other_server(serve):
    serving, client = serve()
    with client:
        content = client.get("/").text + client.get("/theme.css").text
        config = client.get("/config").json()
    loaded = re.findall(r"""(?:src|href)=["'](https?:)?//([^"'/]+)|url\(["']?https?://([^"')/]+)""", content)
    assert [host for found in loaded for host in found if host and not host.startswith("http")] == []
    assert not config["analytics_enabled"]
    assert not page_of(serving).share and "googleapis" not in json.dumps(config["stylesheets"])


def test_every_control_has_a_label(serve):
    for block in page_of(serve()[0]).blocks.values():
        if isinstance(block, gr.Button | gr.DownloadButton):
            assert block.value or block.label
        elif isinstance(block, gr.Textbox | gr.Dropdown | gr.Audio | gr.Image | gr.HTML):
            assert block.label and block.show_label is not False, block


def test_a_key_is_the_password(serve):
    serving, client = serve(api_keys=["secret"])
    with client:
        assert client.get("/config").status_code == 401
        assert client.post("/login", data={"username": "me", "password": "guess"}).status_code == 400
        assert client.post("/login", data={"username": "me", "password": "secret"}).status_code == 200
        assert client.get("/config").status_code == 200


def test_its_handlers(serve, tmp_path, monkeypatch):
    monkeypatch.setattr("mu2slam_hf.serving.page.draw_recording", lambda recording, transcript, file: file.touch())
    serving, client = serve()
    page = page_of(serving)
    transcribe, translate = (handler_of(page, name) for name in ("transcribe", "translate"))
    (tmp_path / "clip.wav").write_text("hola mundo")
    (tmp_path / "<b>.wav").write_text("broken")
    with client:
        shown = asyncio.run(transcribe(str(tmp_path / "clip.wav"), "default", "", "en", REQUEST))
        assert (shown[0].value, shown[1].value) == ("hola mundo", "en-hola en-mundo")
        assert "language predicted: es" in shown[0].label and "no times of words" in shown[2].value
        downloads = [one for one in shown[5:] if one.visible]
        assert [one.label.split(".", 1)[1] for one in downloads] == [
            *("srt", "en.srt", "vtt", "en.vtt", "json", "TextGrid", "tsv")
        ]
        assert downloads[0].value["path"].startswith(make_page_folder())
        with pytest.raises(gr.Error) as caught:
            asyncio.run(transcribe(str(tmp_path / "<b>.wav"), "default", "", "", REQUEST))
        assert caught.value.message == "file: &lt;b&gt;.wav: cannot be decoded" and not caught.value.print_exception
        assert asyncio.run(translate("hola", "default", "es", "en", REQUEST)) == "en-hola"


def test_the_languages_are_those_of_the_model(serve):
    page = page_of(serve()[0])
    choose = next(
        function.fn for function in page.fns.values() if function.api_name not in ("transcribe", "translate")
    )
    summary, spoken, target, written, into = choose("other")
    assert spoken.choices[:2] == [("detect", ""), ("English (en)", "en")] and not target.visible
    assert written.value == "en" and into.value == "fr"
