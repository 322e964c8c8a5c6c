# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam serve --page` in Chromium: a file and the microphone become text, and nothing leaves the machine."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile as sf
from helpers import REPOSITORY_ROOT
from huggingface_hub import ModelCard
from serving_process import ServerProcess

for name in ("gradio", "fastapi", "playwright"):
    pytest.importorskip(name, reason=f"{name} is not installed")

from playwright.sync_api import expect, sync_playwright

from mu2slam_hf import __version__
from mu2slam_hf.cli import main
from mu2slam_hf.data.audio import load_audio

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (set CHROMIUM to its path)")
ITALIAN = REPOSITORY_ROOT / "examples/it/vm-leavemsg.opus"
MILLISECONDS = 60_000
expect.set_options(timeout=MILLISECONDS)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = ServerProcess(tmp_path_factory.mktemp("server"), "--page")
    yield server
    server.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """With a microphone that repeats a recording."""
    file = tmp_path_factory.mktemp("microphone") / "microphone.wav"
    wave = load_audio(ITALIAN)
    sf.write(file, np.concatenate([wave, np.zeros(32_000, np.float32)]), 16_000)
    fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    arguments = ["--no-sandbox", *fake, f"--use-file-for-fake-audio-capture={file}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def errors():
    """Errors in the console of the page."""
    return []


@pytest.fixture
def page(server, browser, errors):
    """The page; at the end, nothing has gone wrong and nothing was asked of another machine."""
    context = browser.new_context(permissions=["microphone"])
    page = context.new_page()
    page.set_default_timeout(MILLISECONDS)
    hosts = set()
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    page.goto(server.address.removesuffix("v1"))
    page.get_by_role("button", name="Transcribe").wait_for()
    yield page
    context.close()
    assert errors == [] and hosts <= {"127.0.0.1", "", None}


def choose(page, label, option):
    page.get_by_role("combobox", name=label, exact=True).click()
    page.get_by_role("option", name=option).click()


def upload(page, file):
    page.locator("input[type=file]").first.set_input_files(file)
    page.get_by_role("button", name="Clear").wait_for()


def test_a_recording_becomes_text_and_documents(page, tmp_path):
    formats = "srt,vtt,json,textgrid,tsv"
    arguments = ["--to", "en", "--output-format", formats, "--output-dir", str(tmp_path / "expected")]
    assert main(["transcribe", str(ITALIAN), *arguments]) == 0
    expected = {path.name: path.read_text() for path in (tmp_path / "expected").glob("[!.]*.*")}
    content = json.loads(expected["vm-leavemsg.json"])

    upload(page, ITALIAN)
    choose(page, "Translate into", "English (en)")
    page.get_by_role("button", name="Transcribe").press("Enter")
    transcript = page.get_by_label("Transcript (language predicted: it")
    expect(transcript).to_have_value(content["text"])
    expect(page.get_by_label("Translation").first).to_have_value(content["translations"]["en"])
    words = page.get_by_role("list", name="Words").get_by_role("listitem")
    expect(words).to_have_count(len(content["text"].split()))
    assert [word.inner_text().split()[0] for word in words.all()] == content["text"].split()
    assert words.first.get_attribute("title") == "0.00 to 0.48 s, confidence 91 %"
    expect(page.get_by_role("cell", name=content["text"])).to_be_visible()
    expect(page.get_by_role("img", name=f"words: {content['text']}")).to_be_visible()

    found, buttons = {}, page.get_by_role("button", name="Download .")
    expect(buttons).to_have_count(len(expected))
    for button in buttons.all():
        with page.expect_download() as download:
            button.click()
        found[download.value.suggested_filename] = Path(download.value.path()).read_text()
    assert found.keys() == expected.keys()
    for name, text in expected.items():
        if name.endswith(".json"):  # which has the name of the file
            assert {**json.loads(found[name]), "file": ""} == {**content, "file": ""}
        else:
            assert found[name] == text


def test_speech_at_the_microphone_becomes_text(page):
    page.get_by_role("button", name="Record audio").click()
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(5000)
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("button", name="Clear").wait_for()
    choose(page, "Spoken language", "Italian (it)")
    page.get_by_role("button", name="Transcribe").click()
    # The recording is repeated for ever.
    text = re.compile("^premere cinque per lasciare un messaggio")
    expect(page.get_by_label("Transcript", exact=True)).to_have_value(text)


def test_a_text_is_translated(page, capsys):
    assert main(["translate", "--from", "en", "--to", "fr", "where is the station"]) == 0
    expected = capsys.readouterr().out.strip()
    page.get_by_role("tab", name="Text").click()
    page.get_by_label("Text, a sentence on each line").fill("where is the station")
    choose(page, "Translate the text into", "French (fr)")
    page.get_by_role("button", name="Translate", exact=True).click()
    expect(page.get_by_label("Translation").last).to_have_value(expected)


def test_an_error_is_a_sentence(page, errors, tmp_path):
    page.get_by_role("button", name="Transcribe").click()
    expect(page.get_by_text("file: choose a recording, or record one; none came")).to_be_visible()
    file = tmp_path / "notes.wav"
    file.write_text("hello")
    upload(page, file)
    page.get_by_role("button", name="Transcribe").click()
    expect(page.get_by_text("file: notes.wav: this is text, not audio")).to_be_visible()
    assert [error.partition(":")[0] for error in errors] == ["Waveform load error"]  # it cannot be played either
    errors.clear()


def test_a_stopped_server_does_not_wait_for_open_pages(page, server):
    started = time.monotonic()
    assert server.stop() == 0, server.log
    assert time.monotonic() - started < 20
    assert server.temporary_files == [] and "Traceback" not in server.log


def test_the_space_serves_the_page_with_this_version(tmp_path):
    folder = REPOSITORY_ROOT / "space"
    (requirement,) = (line for line in (folder / "requirements.txt").read_text().splitlines() if line[0] != "-")
    assert requirement == f"mu2slam-hf[page]=={__version__}"
    settings = ModelCard.load(folder / "README.md").data.to_dict()
    assert settings["sdk"] == "gradio" and (folder / settings["app_file"]).is_file()
    assert settings["sdk_version"] == next(
        line.split("==")[1] for line in (REPOSITORY_ROOT / "constraints.txt").read_text().split() if "gradio==" in line
    )
    environment = {**os.environ, "GRADIO_SERVER_PORT": "0", "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(folder / "app.py")]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as space:
        addresses = [space.stdout.readline().split()[-1] for _ in range(2)]
        port = urlsplit(addresses[1]).port
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            assert b"mu2slam" in answer.read()
        space.terminate()
    assert space.returncode == 0
