# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Samplers and streams that are stopped and go on."""

import json
from itertools import islice


def take(sampler, count: int) -> list:
    """The next batches."""
    return list(islice(sampler, count))


def check_resume(build, stops, following: int = 15, take=take) -> None:
    """One that gets the state of another, as JSON, goes on as if nothing had been stopped; so does the other itself.

    Args:
        build: makes the object anew.
        stops: numbers of items before the state is taken.
        following: number of items that are compared after it.
        take: `take(object, count)`: the next items.
    """
    whole = take(build(), max(stops) + following)
    for stop in stops:
        stopped, resumed = build(), build()
        assert take(stopped, stop) == whole[:stop]
        state = json.loads(json.dumps(stopped.state_dict()))
        resumed.load_state_dict(state)
        assert take(resumed, following) == take(stopped, following) == whole[stop : stop + following]
        stopped.load_state_dict(state)
        assert take(stopped, following) == whole[stop : stop + following], "back to an earlier place"
