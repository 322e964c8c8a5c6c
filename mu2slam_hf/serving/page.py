# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The page of a server, by Gradio: recordings and texts, answered by the scheduler of the same process.

It loads nothing from other servers. Requires the extra `page`.
"""

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from starlette.routing import Mount

from mu2slam_hf.inference.formats.transcripts import translated_languages
from mu2slam_hf.inference.outputs import describe_language
from mu2slam_hf.inference.transcripts import Transcript
from mu2slam_hf.models.language_codes import LANGUAGE_NAMES, UNDETERMINED
from mu2slam_hf.serving.errors import ApiError
from mu2slam_hf.serving.gate import is_known_key
from mu2slam_hf.serving.page_requests import DOCUMENTS, PageRequests, draw_recording, make_page_folder, write_documents
from mu2slam_hf.serving.served_models import ServedModel
from mu2slam_hf.serving.transcript_html import format_segments, format_words

# Files of the page are removed at this age, for which they are looked through this often.
_KEEP_SECONDS, _LOOK_SECONDS = 3600, 300
_PREDICTED, _UNTRANSLATED, _UNSTATED = "detect", "no translation", "not stated"
_MAX_FILES = len(DOCUMENTS) + 2  # subtitles also of the translation
_NOTE = "Recordings are recognised on the machine that serves this page, which removes them after an hour."


def mount_page(app: FastAPI, requests: PageRequests, api_keys: Sequence[str] = ()) -> Any:
    """Show the page at `/` of an application, after all other addresses.

    Args:
        app: the application.
        requests: answers.
        api_keys: keys, one of which the page asks for; none for everybody.

    Returns:
        the mounted application; the event `stop_event` ends its connections that stay open.
    """
    keys = [key.encode() for key in api_keys]
    gr.mount_gradio_app(
        app,
        build_page(requests),
        path="/",
        auth=(lambda user, password: is_known_key(password.encode(), keys)) if keys else None,
        auth_message="Any name, and a key of this server as the password",
        max_file_size=round(requests.limits.upload_megabytes * 1_000_000),
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        css_paths=Path(__file__).with_name("page.css"),
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
    )
    mounted = app.routes[-1]
    assert isinstance(mounted, Mount)
    return mounted.app


def build_page(requests: PageRequests) -> gr.Blocks:
    """The page.

    Args:
        requests: answers it; its scheduler must run.
    """
    make_page_folder()
    models = list(requests.models.models.values())
    with gr.Blocks(title="mu2slam", analytics_enabled=False, delete_cache=(_LOOK_SECONDS, _KEEP_SECONDS)) as page:
        gr.Markdown("# mu2slam")
        summary = gr.Markdown(models[0].summary)
        model = gr.Dropdown(
            [one.name for one in models], value=models[0].name, label="Model", visible=len(models) > 1, scale=0
        )
        with gr.Tab("Recording"):
            spoken, target = _add_recording_tab(requests, model)
        with gr.Tab("Text", visible=any(one.translates for one in models)):
            written, into = _add_text_tab(requests, model)
        gr.Markdown(_NOTE)

        def choose(name: str) -> list[Any]:
            """What is shown for another model."""
            chosen = requests.models.find(name)
            codes = _language_choices(chosen)
            return [
                gr.Markdown(chosen.summary),
                gr.Dropdown(_language_choices(chosen, _PREDICTED), value=""),
                gr.Dropdown(_language_choices(chosen, _UNTRANSLATED), value="", visible=chosen.translates),
                gr.Dropdown(_language_choices(chosen, _UNSTATED), value=codes[0][1] if codes else None),
                gr.Dropdown(codes, value=codes[-1][1] if codes else None),
            ]

        model.change(choose, model, [summary, spoken, target, written, into], api_visibility="private")
    # How many may wait is decided by the limits.
    return page.queue(default_concurrency_limit=None, api_open=False)


def _add_recording_tab(requests: PageRequests, model: gr.Dropdown) -> tuple[gr.Dropdown, gr.Dropdown]:
    """The tab for recordings; returns its languages."""
    first = next(iter(requests.models.models.values()))
    # With the microphone first, the page has no field for a file until its tab is opened.
    recording = gr.Audio(
        sources=["upload", "microphone"], type="filepath", label="Recording", editable=False, buttons=[]
    )
    with gr.Row():
        spoken = gr.Dropdown(_language_choices(first, _PREDICTED), value="", label="Spoken language")
        untranslated = _language_choices(first, _UNTRANSLATED)
        target = gr.Dropdown(untranslated, value="", label="Translate into", visible=first.translates)
    run = gr.Button("Transcribe", variant="primary")
    text = gr.Textbox(label="Transcript", lines=2, interactive=False)
    translation = gr.Textbox(label="Translation", lines=2, interactive=False, visible=False)
    words = gr.HTML(label="Words", show_label=True, container=True, padding=True, visible=False)
    picture = gr.Image(
        label="Picture",
        type="filepath",
        interactive=False,
        visible=False,
        buttons=["download", "fullscreen"],
        elem_classes="picture",
    )
    segments = gr.HTML(label="Segments", show_label=True, container=True, padding=True, visible=False)
    with gr.Row():
        files = [gr.DownloadButton(size="sm", visible=False, min_width=120) for _ in range(_MAX_FILES)]

    async def transcribe(file: str | None, name: str, source: str, into: str, request: gr.Request) -> list[Any]:
        """The transcript of a recording with its words, in all forms."""
        with _shown_errors():
            transcript = await requests.transcribe(
                file, model=name, source=source, target=into, client=_address_of(request)
            )
        assert file is not None  # else there was an error
        documents, drawing = await asyncio.to_thread(_write_files, transcript, file)
        translations = [transcript.translation(lang) for lang in translated_languages(transcript)]
        language = "" if source or not transcript.segments else f" ({describe_language(transcript)})"
        return [
            gr.Textbox(transcript.text, label=f"Transcript{language}"),
            gr.Textbox("\n".join(translations), visible=bool(translations)),
            gr.HTML(format_words(transcript), visible=True),
            gr.Image(drawing, visible=True, alt_text=f"Waveform, spectrogram and words: {transcript.text}"),
            gr.HTML(format_segments(transcript), visible=bool(transcript.segments)),
            *(gr.DownloadButton(_suffix_of(one, file), value=one, visible=True) for one in documents),
            *[gr.DownloadButton(visible=False)] * (_MAX_FILES - len(documents)),
        ]

    run.click(
        transcribe,
        [recording, model, spoken, target],
        [text, translation, words, picture, segments, *files],
        show_progress_on=[text],
    )
    return spoken, target


def _add_text_tab(requests: PageRequests, model: gr.Dropdown) -> tuple[gr.Dropdown, gr.Dropdown]:
    """The tab for texts; returns its languages."""
    first = next(iter(requests.models.models.values()))
    codes = _language_choices(first)
    text = gr.Textbox(label="Text, a sentence on each line", lines=4)
    with gr.Row():
        unstated = _language_choices(first, _UNSTATED)
        written = gr.Dropdown(unstated, value=codes[0][1] if codes else None, label="Language of the text")
        into = gr.Dropdown(codes, value=codes[-1][1] if codes else None, label="Translate the text into")
    run = gr.Button("Translate", variant="primary")
    translation = gr.Textbox(label="Translation", lines=4, interactive=False)

    async def translate(text: str, name: str, source: str, into: str, request: gr.Request) -> str:
        """The translation of a text, each line by itself."""
        with _shown_errors():
            return await requests.translate(text, model=name, source=source, target=into, client=_address_of(request))

    run.click(translate, [text, model, written, into], translation)
    return written, into


def _language_choices(model: ServedModel, nothing: str = "") -> list[tuple[str, str]]:
    """Names and codes of the languages of a model, after what stands for no language, if there is a name for it."""
    codes = [code for code in model.languages if code != UNDETERMINED]
    named = [(f"{LANGUAGE_NAMES[code]} ({code})" if code in LANGUAGE_NAMES else code, code) for code in codes]
    return [(nothing, ""), *named] if nothing else named


@contextmanager
def _shown_errors() -> Iterator[None]:
    """Show the sentence of an error, which may have the name of a file."""
    try:
        yield
    except ApiError as error:
        raise gr.Error(escape(str(error)), print_exception=False) from None


def _address_of(request: gr.Request) -> str:
    return request.client.host if request.client else ""


def _suffix_of(document: str, recording: str) -> str:
    return f"Download {Path(document).name.removeprefix(Path(recording).stem)}"


def _write_files(transcript: Transcript, recording: str) -> tuple[list[str], str]:
    """The documents of a transcript, and its picture."""
    folder = Path(tempfile.mkdtemp(dir=make_page_folder()))
    documents = write_documents(transcript, folder, Path(recording).name)
    drawing = folder / f"{Path(recording).stem}.png"
    draw_recording(recording, transcript, drawing)
    return [str(file) for file in documents], str(drawing)
