# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Prompts of text models by task: sentences with the names of languages in place of `{language}` and `{target}`.

Paper (Mundnich et al. 2024, section 3): 25 paraphrases for each task in training, drawn uniformly, and another, fixed
one in tests. Its sentences come first; it names no others. Choice: the others are ours, and so are all of `mt`, whose
text follows the prompt.
"""

from collections.abc import Mapping, Sequence

from .language_codes import LANGUAGE_NAMES, UNDETERMINED, canonical_language

PROMPT_TASKS = ("asr", "ast", "mt")
"""Tasks with prompts: transcription, translation of speech, translation of text."""

TRAINING_PROMPTS: dict[str, tuple[str, ...]] = {
    "asr": (
        "Perform speech recognition in {language} using the preceding audio:",
        "Transcribe the preceding audio in {language}:",
        "Write down the {language} words in the preceding audio:",
        "What does the speaker say in {language}?",
        "Convert the preceding {language} speech to text:",
        "Give the {language} transcript of the audio above:",
        "Recognize the {language} speech in the audio:",
        "The audio above is in {language}. Write its transcript:",
        "Write the words of this {language} recording:",
        "Turn the {language} audio into {language} text:",
        "Listen to the audio and transcribe it in {language}:",
        "Produce a transcript in {language} of the speech before this sentence:",
        "Type the {language} sentence that was spoken:",
        "Transcribe the {language} recording word by word:",
        "Which {language} words are in the preceding audio?",
        "Provide a {language} transcription of the given speech:",
        "Put the spoken {language} into writing:",
        "Do automatic speech recognition for {language} on the audio:",
        "Someone speaks {language} above. Write down the words:",
        "Return the text of the {language} utterance:",
        "Write in {language} exactly what you hear:",
        "Use the audio to write a transcript in {language}:",
        "Note down the {language} utterance before this prompt:",
        "The preceding speech is {language}. Its text is:",
        "Generate the {language} text for the audio:",
    ),
    "ast": (
        "Perform speech translation into {target} using the preceding audio:",
        "Translate the preceding audio into {target}:",
        "Write the meaning of the preceding audio in {target}:",
        "What does the speaker say, in {target}?",
        "Convert the preceding speech to {target} text:",
        "Give a {target} translation of the audio above:",
        "Translate the speech in the audio to {target}:",
        "The audio above has a meaning. Write it in {target}:",
        "Write the {target} translation of this recording:",
        "Turn the audio into {target} text:",
        "Listen to the audio and translate it into {target}:",
        "Produce a translation into {target} of the speech before this sentence:",
        "Type in {target} the meaning of the sentence that was spoken:",
        "Translate the recording into {target}:",
        "How would one say the preceding audio in {target}?",
        "Provide a {target} translation of the given speech:",
        "Put the spoken words into written {target}:",
        "Do speech translation to {target} on the audio:",
        "Someone speaks above. Translate the words into {target}:",
        "Return the {target} translation of the utterance:",
        "Write in {target} the sense of the words you hear:",
        "Use the audio to write a translation in {target}:",
        "Express the utterance before this prompt in {target}:",
        "The preceding speech in {target} is:",
        "Generate {target} text with the meaning of the audio:",
    ),
    "mt": (
        "Translate the following text into {target}:",
        "Translate into {target}:",
        "Write the following in {target}:",
        "What is this in {target}?",
        "Convert the following text to {target}:",
        "Give a {target} translation of this text:",
        "Translate this sentence to {target}:",
        "The following text has a meaning. Write it in {target}:",
        "Write the {target} translation of this sentence:",
        "Turn this text into {target} text:",
        "Read the text and translate it into {target}:",
        "Produce a translation into {target} of the text after this sentence:",
        "Type the meaning of the following sentence in {target}:",
        "Translate the sentence below into {target}:",
        "How would one say this in {target}?",
        "Provide a {target} translation of the given text:",
        "Put the following words into {target}:",
        "Do machine translation to {target} on the text:",
        "Someone wrote the following. Translate the words into {target}:",
        "Return the {target} translation of the text:",
        "Write the meaning of what you read in {target}:",
        "Use the text to write a translation in {target}:",
        "Express the text after this prompt in {target}:",
        "In {target}, the following text is:",
        "Generate {target} text with the meaning of this one:",
    ),
}

TEST_PROMPTS: dict[str, str] = {
    "asr": "The preceding audio is in {language}. Perform speech recognition (in {language}):",
    "ast": "Transcribe the content of this audio into {target} in textual form:",
    "mt": "Translate the text below to {target} in textual form:",
}

_FIELDS = {"asr": "language", "ast": "target", "mt": "target"}


def fill_prompt(template: str, task: str, source_lang: str | None, target_lang: str | None) -> str:
    """A prompt with the names of its languages.

    Args:
        template: sentence with `{language}` (spoken) and `{target}`, either or none of them.
        task: asr, ast or mt.
        source_lang: language of the source.
        target_lang: language of the text; for `asr` that of the source by default.

    Raises:
        ValueError: a language that the prompt names is not given.
    """
    languages = {"language": source_lang or (target_lang if task == "asr" else None), "target": target_lang}
    names = {"language": "source_lang", "target": "target_lang"}
    for name, code in languages.items():
        if "{" + name + "}" in template and code in (None, UNDETERMINED):
            raise ValueError(f"task={task!r} requires {names[name]}=: the prompt names the language.")
    return template.format(**{name: name_language(code) for name, code in languages.items() if code is not None})


def name_language(code: str) -> str:
    """English name of a language; its code if it has no name here."""
    canonical = canonical_language(code)
    return LANGUAGE_NAMES.get(canonical, LANGUAGE_NAMES.get(canonical.split("-")[0], canonical))


def check_prompts(prompts: Mapping[str, Sequence[str]]) -> None:
    """Check prompts by task.

    Raises:
        ValueError: an unknown task, no prompt, a prompt twice, or another field than `{language}` and `{target}`.
    """
    for task, templates in prompts.items():
        if task not in PROMPT_TASKS:
            raise ValueError(f"{task}: is not a task with prompts; these are {', '.join(PROMPT_TASKS)}")
        if not templates or len(set(templates)) < len(templates):
            raise ValueError(f"{task}: expected different prompts, at least one")
        for template in templates:
            try:
                template.format(language="", target="")
            except (KeyError, IndexError, ValueError) as error:
                raise ValueError(f"{task}: {template!r} may have {{language}} and {{target}} only: {error}") from error
            if task != "asr" and "{" + _FIELDS[task] + "}" not in template:
                raise ValueError(f"{task}: {template!r} does not name the language to write: add {{target}}")
