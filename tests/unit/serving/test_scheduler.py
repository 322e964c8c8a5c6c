# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The order of windows, and the end of every task: with a table in place of a model, mostly without a thread."""

import io
import random
import time

import pytest

from mu2slam_hf.inference.window_loop import RecordingTooLongError
from mu2slam_hf.models.modules_audio_decoders import AudioError
from mu2slam_hf.serving import scheduler as scheduler_module
from mu2slam_hf.serving.errors import ApiError
from mu2slam_hf.serving.limits import ServingLimits
from mu2slam_hf.serving.metrics import ServingMetrics
from mu2slam_hf.serving.scheduler import RecognitionScheduler, RecognitionTask, TextTask

LIMITS = ServingLimits(batch_seconds=4.0, extra_seconds=10.0, audio_seconds=1000.0, grace_seconds=5.0)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands; `clock.now` is its time."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(scheduler_module, "time", clock)
    return clock


@pytest.fixture
def scheduler(models, clock):
    return RecognitionScheduler(list(models.models.values()), LIMITS, ServingMetrics())


@pytest.fixture
def submit(models, scheduler, clock):
    def call(content, model="default", **options):
        file = io.BytesIO(content.encode())
        task = RecognitionTask(model=models.find(model), file=file, name="clip.wav", accepted=clock.now, **options)
        scheduler.submit(task)
        return task

    return call


def run(scheduler, tasks, max_turns=1000):
    for turn in range(max_turns):
        if all(task.result.done() for task in tasks):
            return turn
        scheduler.take_turn()
    raise AssertionError("some task is never finished")


def test_windows_of_all_tasks_share_batches_in_turn(scheduler, submit, log):
    tasks = [submit("a1 a2 a3"), submit("b1"), submit("c1 c2")]
    run(scheduler, tasks)
    assert [task.result.result().text for task in tasks] == ["a1 a2 a3", "b1", "c1 c2"]
    assert log.batches == [["a1", "b1", "c1", "a2"], ["c2", "a3"]]
    assert all(task.file.closed for task in tasks)


def test_a_short_recording_does_not_wait_behind_a_long_one(scheduler, submit):
    long = submit(" ".join(f"w{number}" for number in range(900)))
    for _ in range(10):
        scheduler.take_turn()
    short = submit("now")
    assert run(scheduler, [short]) <= 2 and not long.result.done()
    # Nor does the long one starve among many short ones.
    for number in range(500):
        submit(f"s{number} t u v w")
        scheduler.take_turn()
    assert run(scheduler, [long]) < 900
    assert long.result.result().text.endswith("w898 w899")


def test_models_alternate(scheduler, submit, log):
    tasks = [submit("a1 a2 a3 a4 a5 a6 a7 a8"), submit("x1 x2", model="other")]
    run(scheduler, tasks)
    assert log.batches == [["a1", "a2", "a3", "a4"], ["x1", "x2"], ["a5", "a6", "a7", "a8"]]


def test_silence_needs_no_model(scheduler, submit, log):
    task = submit("silence")
    assert run(scheduler, [task]) == 1 and log.batches == []
    assert task.result.result().text == ""


def test_a_recording_that_cannot_be_read_does_not_disturb_others(scheduler, submit):
    tasks = [submit("a1 broken"), submit("b1 b2"), submit("crash"), submit("c1")]
    run(scheduler, tasks)
    with pytest.raises(AudioError, match="clip.wav: cannot be decoded"):
        tasks[0].result.result()
    with pytest.raises(RuntimeError, match="a decoder crashed"):
        tasks[2].result.result()
    assert [tasks[1].result.result().text, tasks[3].result.result().text] == ["b1 b2", "c1"]


def test_a_recording_that_is_too_long_ends_where_it_is(scheduler, submit, log):
    task = submit("w " * 1001)
    run(scheduler, [task])
    with pytest.raises(RecordingTooLongError):
        task.result.result()


def test_a_failed_batch_fails_only_the_task_that_causes_it(scheduler, submit):
    shown = []
    tasks = [submit("a1 a2 a3 a4 a5", on_text=shown.append), submit("b1 b2 poison b4"), submit("c1 c2")]
    run(scheduler, tasks)
    with pytest.raises(RuntimeError, match="a window failed"):
        tasks[1].result.result()
    assert [tasks[0].result.result().text, tasks[2].result.result().text] == ["a1 a2 a3 a4 a5", "c1 c2"]
    assert "".join(shown) == "a1 a2 a3"  # once, although it began again
    later = submit("d1")
    run(scheduler, [later])
    assert later.result.result().text == "d1"


def test_text_is_shown_while_it_grows(scheduler, submit):
    shown = []
    task = submit("a b c d e f g h i j", on_text=shown.append)
    run(scheduler, [task])
    assert shown == ["a b c", " d e f g"] and task.result.result().text.startswith("".join(shown))


def test_a_text_that_is_shown_is_not_kept_back_by_large_batches(models, log):
    scheduler = RecognitionScheduler(list(models.models.values()), ServingLimits(), ServingMetrics())
    shown = []
    words = " ".join(f"w{number}" for number in range(25))
    for on_text in (shown.append, None):
        file = io.BytesIO(words.encode())
        scheduler.submit(RecognitionTask(model=models.find("default"), file=file, name="clip", on_text=on_text))
    scheduler.take_turn()
    assert len(log.batches[0]) == 10 + 25 and shown == [" ".join(words.split()[:9])]


def test_a_task_that_nobody_waits_for_is_dropped(scheduler, submit, log):
    kept, dropped = submit("a " * 8), submit("b " * 8)
    scheduler.take_turn()
    assert dropped.result.cancel()
    run(scheduler, [kept])
    assert log.batches[0].count("b") == 2 and not any("b" in batch for batch in log.batches[1:])
    assert dropped.file.closed


def test_a_task_may_take_as_long_as_it_is_and_a_little_more(scheduler, submit, clock):
    task = submit("w " * 100)
    scheduler.take_turn()  # reads five seconds: four to recognise, and the next
    clock.now += 14.9
    scheduler.take_turn()
    assert not task.result.done()
    clock.now += 100
    scheduler.take_turn()
    with pytest.raises(ApiError) as error:
        task.result.result()
    assert (error.value.status, error.value.code) == (504, "deadline_exceeded")


def test_a_stopping_server_finishes_until_its_grace_is_over(scheduler, submit, clock):
    assert not scheduler.is_stopping
    short, long = submit("a"), submit("w " * 100)
    scheduler.drain()
    assert scheduler.is_stopping
    scheduler.take_turn()
    assert short.result.result().text == "a"
    clock.now += 5.1
    scheduler.take_turn()
    with pytest.raises(ApiError) as error:
        long.result.result()
    assert (error.value.status, error.value.code) == (503, "stopping")


@pytest.mark.parametrize("seed", range(20))
def test_in_random_schedules_every_task_ends_once_with_its_own_text(scheduler, submit, log, seed):
    rng = random.Random(seed)
    expected = []
    for number in range(200):
        if rng.random() < 0.4:
            words = [f"{number}.{place}" for place in range(rng.randint(0, 12))]
            if rng.random() < 0.1:
                words.insert(rng.randint(0, len(words)), "poison")
            content = " ".join(words) or "silence"
            task = submit(content, model=rng.choice(["default", "other"]))
            expected.append((task, content))
        if expected and rng.random() < 0.05:
            rng.choice(expected)[0].result.cancel()
        scheduler.take_turn()
    run(scheduler, [task for task, _ in expected])
    assert all(len(batch) <= LIMITS.batch_seconds for batch in log.batches)
    for task, content in expected:
        if task.result.cancelled():
            continue
        if "poison" in content:
            assert isinstance(task.result.exception(), RuntimeError)
        else:
            assert task.result.result().text == content.replace("silence", "")


def test_the_thread_finishes_what_it_has_before_it_ends(models, log):
    limits = ServingLimits(batch_seconds=4.0)
    scheduler = RecognitionScheduler(list(models.models.values()), limits, ServingMetrics())
    scheduler.start()
    files = [io.BytesIO(f"a{number} b c".encode()) for number in range(50)]
    tasks = [RecognitionTask(model=models.find("default"), file=file, name="clip") for file in files]
    for task in tasks:
        scheduler.submit(task)
        time.sleep(0.001)
    scheduler.close()
    assert not scheduler.is_alive and log.threads == {"recognition"}
    assert [task.result.result(timeout=0).text for task in tasks] == [f"a{number} b c" for number in range(50)]


def test_texts_are_translated_between_batches(scheduler, submit, log):
    """One task in every turn, so that recordings are not delayed; an error is that of its own task."""
    recording = submit("a b c d e f g h i j k l m")
    texts = [
        TextTask(model=recording.model, texts=[text, ""], source_lang="es", target_lang="en")
        for text in ("hola", "poison", "mundo", "gone")
    ]
    for task in texts:
        scheduler.submit_text(task)
    texts[3].result.cancel()
    scheduler.take_turn()
    assert texts[0].result.result() == ["en-hola", ""] and not texts[1].result.done()
    assert len(log.batches) == 1
    run(scheduler, [recording, *texts])
    assert texts[2].result.result() == ["en-mundo", ""] and isinstance(texts[1].result.exception(), RuntimeError)
    assert [texts for texts, _, _ in log.texts] == [["hola", ""], ["poison", ""], ["mundo", ""]]
    assert recording.result.result().text == "a b c d e f g h i j k l m"
