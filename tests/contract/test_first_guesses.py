# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The calls that people try first: each row of `docs/how_to/first_guesses.md`, executed as it is written there."""

import functools
import http.server
import io
import json
import re
import shlex
import shutil
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import av
import datasets
import numpy as np
import pytest
import soundfile
import torch
from helpers import REPOSITORY_ROOT
from huggingface_hub.utils import get_session
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCTC, pipeline
from transformers.pipelines.pt_utils import KeyDataset

import mu2slam_hf
from mu2slam_hf.cli import main
from mu2slam_hf.data import audio_sources
from mu2slam_hf.data.audio import SAMPLING_RATE, load_audio

FOLDER = mu2slam_hf.default_checkpoint()
RECORDINGS = REPOSITORY_ROOT / "examples" / "es"
SAID = "por favor marque el número que desea llamar"
TEXT = "por favor marque el número"
TRANSLATED = "please enter the number to be blacklisted"
SHORT = "su mensaje es muy corto"
ADDRESS = "https://example.org"

pytestmark = pytest.mark.skipif(
    not Path(FOLDER, "config.json").is_file(), reason="the shipped checkpoint is not in this working tree"
)


def write_video(path, waveform):
    """An mp4 file with sound only."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=SAMPLING_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(waveform[None], format="fltp", layout="mono")
        frame.sample_rate = SAMPLING_RATE
        for part in (frame, None):
            container.mux(stream.encode(part))


@pytest.fixture(scope="module")
def spoken():
    return load_audio(RECORDINGS / "vm-enter-num-to-call.opus")


@pytest.fixture(scope="module")
def files(tmp_path_factory, spoken):
    """The folder with the files that the rows name."""
    folder = tmp_path_factory.mktemp("guesses")
    shutil.copy(RECORDINGS / "vm-enter-num-to-call.opus", folder / "talk.opus")
    (folder / "talks" / "deeper").mkdir(parents=True)
    shutil.copy(folder / "talk.opus", folder / "talks")
    shutil.copy(RECORDINGS / "vm-tooshort.opus", folder / "talks" / "deeper" / "short.opus")
    write_video(folder / "talk.mp4", spoken)
    other = np.zeros_like(spoken)
    short = load_audio(RECORDINGS / "vm-tooshort.opus")
    other[-len(short) :] = short
    soundfile.write(folder / "stereo.wav", np.stack([spoken, other], axis=1), SAMPLING_RATE)
    soundfile.write(folder / "silence.wav", np.zeros(3 * SAMPLING_RATE), SAMPLING_RATE)
    model, processor = mu2slam_hf.load_default()
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear"))
    adapted.save_pretrained(folder / "adapters")
    processor.save_pretrained(folder / "adapters")
    return folder


@pytest.fixture
def address(files, monkeypatch):
    """The address of a server for these files."""
    # The tests are offline; this server is on the same machine.
    client = type(get_session())
    monkeypatch.setattr(audio_sources, "get_session", lambda: client(trust_env=False))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            """Nothing."""

    handler = functools.partial(Handler, directory=str(files))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Decoder:
    """What `datasets` returns if torchcodec is installed."""

    def __init__(self, waveform):
        self._waveform = torch.from_numpy(waveform)

    def get_all_samples(self):
        return SimpleNamespace(data=self._waveform[None], sample_rate=SAMPLING_RATE)


@pytest.fixture(scope="module")
def names(files, spoken):
    """The names that the Python rows use."""
    model, processor = mu2slam_hf.load_default()
    dataset = datasets.Dataset.from_dict({"audio": [str(files / "talk.opus")] * 2})
    dataset = dataset.cast_column("audio", datasets.Audio())
    pause = np.zeros(SAMPLING_RATE // 2, dtype=np.float32)
    return {
        "array": spoken,
        "array_8khz": soundfile.read(files / "talk.opus", dtype="float32")[0],
        "asr": pipeline("automatic-speech-recognition", model=FOLDER),
        "assistant": model,
        "Audio": datasets.Audio,
        "AutoModelForCTC": AutoModelForCTC,
        "dataset": dataset,
        "decoder": Decoder(spoken),
        "folder": FOLDER,
        "inputs": processor(audio=spoken, sampling_rate=SAMPLING_RATE, return_tensors="pt"),
        "KeyDataset": KeyDataset,
        "minute": np.concatenate([spoken, pause] * 17),
        "model": model,
        "Mu2SLAMForCTC": mu2slam_hf.Mu2SLAMForCTC,
        "pipeline": pipeline,
        "processor": processor,
        "silence": np.zeros(3 * SAMPLING_RATE, dtype=np.float32),
        "torch": torch,
        "transcribe_recordings": mu2slam_hf.transcribe_recordings,
        "translate": mu2slam_hf.translate,
        "undecoded": dataset.cast_column("audio", datasets.Audio(decode=False)),
    }


def printed(*parts, status=0):
    """Checks that a command prints these parts."""

    def check(done):
        assert done.status == status, done.errors
        for part in parts:
            assert part in done.output

    return check


def refused(message, status):
    """Checks the last line of the errors of a command, which prints nothing else."""

    def check(done):
        assert done.status == status and done.output == ""
        assert message in done.errors.splitlines()[-1]

    return check


def printed_exactly(text):
    """Checks the whole output of a command."""

    def check(done):
        assert (done.status, done.output) == (0, text), done.errors

    return check


def wrote(*suffixes):
    """Checks the files in the folder `out`."""

    def check(done):
        assert done.status == 0, done.errors
        assert {path.name for path in done.folder.glob("talk.*")} == {f"talk{suffix}" for suffix in suffixes}
        assert SAID in " ".join((done.folder / "talk.srt").read_text(encoding="utf-8").split())
        assert json.loads((done.folder / "talk.json").read_text(encoding="utf-8"))["text"] == SAID

    return check


TALK = "mu2slam transcribe talk.opus"
COMMANDS = {
    TALK: printed("language predicted: es", SAID),
    f"{TALK} --language Spanish": printed_exactly(f"talk.opus (3.0 s)\n  es  {SAID}\n"),
    f"{TALK} --source-lang es --target-lang en": printed(f"  es  {SAID}\n  en  {TRANSLATED}\n"),
    f"{TALK} --task translate": printed(f"  es  {SAID}\n  en  {TRANSLATED}\n"),
    f"{TALK} --task translate --output-format txt": printed_exactly(f"{TRANSLATED}\n"),
    f"{TALK} --output-format srt": printed("1\n00:00:00,020 --> 00:00:02,960\npor favor marque el\n"),
    f"{TALK} --output-format srt,vtt,tsv,json,textgrid --output-dir out": wrote(
        *(".srt", ".vtt", ".tsv", ".json", ".TextGrid")
    ),
    f"{TALK} --output-format all --output-dir out": wrote(".txt", ".srt", ".vtt", ".tsv", ".json", ".TextGrid"),
    f"{TALK} --output-format srt,vtt": refused("several formats require --output-dir", 1),
    f"{TALK} --word-timestamps": printed(f"  es  {SAID}\n     0.02    0.28", "%  llamar\n"),
    "mu2slam transcribe talks": printed("talks/deeper/short.opus (2.4 s", SHORT, "talks/talk.opus (3.0 s", SAID),
    "mu2slam transcribe - < talk.opus": printed("- (3.0 s", SAID),
    f"mu2slam transcribe {ADDRESS}/talk.opus": printed("/talk.opus (3.0 s", SAID),
    # The sound of the video has been compressed twice.
    "mu2slam transcribe talk.mp4": printed("talk.mp4 (3.", "por favor marque el número que"),
    "mu2slam transcribe stereo.wav --channels": printed(f"[speaker 1] {SAID}\n", f"[speaker 2] {SHORT}\n"),
    "mu2slam transcribe silence.wav": printed_exactly("silence.wav (3.0 s)\n  (no speech)\n"),
    f"{TALK} --model adapters": printed(SAID),
    f"{TALK} --langauge es": refused("unknown option --langauge; did you mean --language?", 2),
    f"{TALK} --format srt": refused("unknown option --format; did you mean --output-format?", 2),
    f"{TALK} --language German": refused(
        "the model does not support language 'de'; languages of the model: en (English)", 1
    ),
    "mu2slam languages": printed("code  name", "\nes    Spanish  transcribe, translate from and into, identify\n"),
    "mu2slam transcribe missing.opus": refused("missing.opus: no such file", 1),
    "mu2slam talk.opus": refused("did you mean `mu2slam transcribe talk.opus`?", 2),
    f'mu2slam translate "{TEXT}" --from es --to en': printed_exactly("please press the number\n"),
    "mu2slam identify-language talk.opus": printed("talk.opus: es (es 100.0 %, "),
    f'mu2slam align talk.opus "{SAID}" --language es': printed("start\tend\tconfidence\tword\n0.020\t", "\tllamar\n"),
}


def text(expected):
    """Checks the text of a result."""

    def check(result, _):
        assert result == {"text": expected}

    return check


def chunks(*expected):
    """Checks the texts of the chunks, whose times are in order."""

    def check(result, _):
        assert result["text"] == SAID and tuple(chunk["text"] for chunk in result["chunks"]) == expected
        times = [time for chunk in result["chunks"] for time in chunk["timestamp"]]
        assert times == sorted(times) and 0 <= times[0] and times[-1] <= 3.05

    return check


def ids_of(expected):
    """Checks generated ids by their text."""

    def check(ids, names):
        assert names["processor"].batch_decode(ids, skip_special_tokens=True) == [expected]

    return check


def raises(message):
    """Checks the message of a ValueError."""

    def check(error, _):
        assert isinstance(error, ValueError) and message in str(error)

    return check


def has_language(result, _):
    assert (result["text"], result["language"]) == (SAID, "es")
    assert [chunk["language"] for chunk in result["chunks"]] == ["es"]


def has_texts_of_a_data_set(result, _):
    assert [one["text"] for one in result] == [SAID, SAID]


def is_ctc_head_of_the_model(ctc, names):
    model, inputs = names["model"], names["inputs"]
    expected = model.compute_ctc_logits(model.get_encoder()(**inputs).last_hidden_state)
    torch.testing.assert_close(ctc.float()(**inputs).logits, expected, atol=1e-3, rtol=1e-3)


def has_languages(result, _):
    assert result[0]["label"] == "es" and result[0]["score"] > 0.9 and len(result) == 5


def has_states(result, _):
    assert np.array(result).shape == (1, 77, 192)


def has_translation(result, _):
    assert result == [{"translation_text": "please press the number"}]


def is_list_of_a_translation(result, _):
    assert result == ["please press the number"]


def has_transcript(result, _):
    (transcript,) = result
    assert (transcript.text, transcript.language, len(transcript.segments)) == (SAID, "es", 1)


RECOGNIZER = 'pipeline("automatic-speech-recognition", model='
PYTHON = {
    'asr("talk.opus")': text(SAID),
    'asr(open("talk.opus", "rb").read())': text(SAID),
    "asr(array)": text(SAID),
    'asr({"array": array_8khz, "sampling_rate": 8000})': text(SAID),
    "asr(decoder)": text(SAID),
    'asr(dataset.cast_column("audio", Audio(decode=False))[0]["audio"])': text(SAID),
    'asr(KeyDataset(undecoded, "audio"))': has_texts_of_a_data_set,
    "asr(undecoded)": raises("pass KeyDataset(dataset, column) with one of the columns ['audio']"),
    "asr(minute, chunk_length_s=30)": text(" ".join([SAID] * 17)),
    'asr("talk.opus", return_timestamps=True)': chunks(SAID),
    'asr("talk.opus", return_timestamps="word")': chunks(*SAID.split()),
    'asr("talk.opus", return_timestamps="char")': chunks(*"por favor mar que el número que des e a llama r".split()),
    'asr("talk.opus", return_language=True)': has_language,
    'asr("talk.opus", generate_kwargs={"language": "spanish", "task": "translate"})': text(TRANSLATED),
    'asr("talk.opus", generate_kwargs={"language": "german"})': raises("Languages of this model: en (English), es"),
    "asr(silence)": text(""),
    'asr("talk.opus", generate_kwargs={"assistant_model": assistant})': text(SAID),
    'model.generate(**inputs, language="spanish", task="transcribe")': ids_of(SAID),
    'model.generate(**inputs, language="<|es|>", task="translate")': ids_of(TRANSLATED),
    "model.generate(**inputs, assistant_model=assistant)": ids_of(SAID),
    "model.generate(**inputs, prompt_lookup_num_tokens=3)": ids_of(SAID),
    "Mu2SLAMForCTC.from_pretrained(folder)": is_ctc_head_of_the_model,
    "AutoModelForCTC.from_pretrained(folder)": raises("is an encoder-decoder: use AutoModelForSpeechSeq2Seq"),
    'pipeline("audio-classification", model=folder)("talk.opus")': has_languages,
    'pipeline("feature-extraction", model=folder)("talk.opus")': has_states,
    f'pipeline("translation", model=folder)("{TEXT}", src_lang="es", tgt_lang="en")': has_translation,
    f'{RECOGNIZER}folder, device_map="auto")("talk.opus")': text(SAID),
    f'{RECOGNIZER}folder, dtype=torch.bfloat16)("talk.opus")': text(SAID),
    f'{RECOGNIZER}"adapters")("talk.opus")': text(SAID),
    'list(transcribe_recordings(model, processor, ["talk.opus"]))': has_transcript,
    f'translate(model, processor, "{TEXT}", source_lang="es", target_lang="en")': is_list_of_a_translation,
}


@pytest.mark.parametrize("call", COMMANDS)
def test_command(call, files, tmp_path, monkeypatch, capsys, request):
    monkeypatch.chdir(files)
    if ADDRESS in call:
        call_here = call.replace(ADDRESS, request.getfixturevalue("address"))
    else:
        call_here = call.replace("--output-dir out", f"--output-dir {tmp_path}")
    if " < " in call:
        call_here, _, name = call.partition(" < ")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(name).read_bytes())))
    try:
        status = main(shlex.split(call_here)[1:])
    except SystemExit as end:
        status = end.code
    captured = capsys.readouterr()
    COMMANDS[call](SimpleNamespace(status=status, output=captured.out, errors=captured.err, folder=tmp_path))


@pytest.mark.parametrize("call", PYTHON)
def test_python(call, files, names, monkeypatch):
    monkeypatch.chdir(files)
    try:
        result = eval(call, dict(names))
    except ValueError as error:
        result = error
    PYTHON[call](result, names)


@pytest.mark.parametrize(("heading", "calls"), [("Command line", COMMANDS), ("Python", PYTHON)])
def test_the_page_lists_these_calls(heading, calls):
    page = (REPOSITORY_ROOT / "docs" / "how_to" / "first_guesses.md").read_text(encoding="utf-8")
    (section,) = (part for part in page.split("\n## ") if part.startswith(heading))
    rows = re.findall(r"^\| `(.+?)` \|", section, re.MULTILINE)
    assert [row.replace("\\|", "|") for row in rows] == list(calls)
