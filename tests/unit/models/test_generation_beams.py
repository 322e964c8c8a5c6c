# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Options of beam search."""

import pytest
from tiny_models import speech_batch, tiny_model
from transformers import TextStreamer


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"num_beam_groups": 2, "diversity_penalty": 0.5}, "trust_remote_code"),
        ({"streamer": TextStreamer(None)}, "streamer"),
    ],
)
def test_what_beam_search_does_not_have_is_refused_as_by_transformers(options, error):
    with pytest.raises(ValueError, match=error):
        tiny_model().generate(**speech_batch([60]), num_beams=2, max_new_tokens=3, **options)


def test_recorded_states_are_those_of_the_model():
    options = {"num_beams": 2, "max_new_tokens": 3, "min_new_tokens": 3, "return_dict_in_generate": True}
    outputs = tiny_model().generate(**speech_batch([60]), **options, output_hidden_states=True)
    assert len(outputs.decoder_hidden_states) == 3 and len(outputs.decoder_hidden_states[2]) == 3
