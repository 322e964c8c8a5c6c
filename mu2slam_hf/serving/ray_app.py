# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A server whose requests are answered by several processes of this machine or of a cluster, by Ray Serve."""

import signal
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import ray
from ray import serve

from mu2slam_hf.checkpoints.model_choice import ModelChoice, portable_choice
from mu2slam_hf.inference.ray_engine import connect
from mu2slam_hf.serving.settings import ServingSettings

_AUTO = "auto"
_ARGUMENTS = {"model": "default", "device": "cpu", "dtype": "float32", "replicas": _AUTO, "threads": "1"}


def build_deployment(settings: ServingSettings, num_replicas: int | str = _AUTO) -> serve.Application:
    """The application of a server as a deployment of Ray Serve.

    Each replica has all models and batches its own requests. Ray gives requests to the replica with the
    fewest, replaces one that dies, and waits for its requests before it stops one.

    Args:
        settings: the server; folders of models must have the same path on all machines.
        num_replicas: number of processes; "auto": from one upwards, by the number of requests.
    """
    settings = replace(settings, choices={name: portable_choice(choice) for name, choice in settings.choices.items()})

    def build_asgi_app() -> Any:
        app = settings.build_app()
        app.app.state.scheduler = app.scheduler
        return app.app

    @serve.ingress(build_asgi_app)
    class Replica:
        def check_health(self) -> None:
            """Called by Ray, which replaces a replica after an error."""
            if not self.app.state.scheduler.is_alive:  # type: ignore[attr-defined]
                raise RuntimeError("The inference thread has ended.")

    needs_gpu = any(not choice.device.startswith("cpu") for choice in settings.choices.values())
    deployment: Any = serve.deployment(
        Replica,
        name="mu2slam",
        num_replicas=num_replicas,
        max_ongoing_requests=settings.limits.requests,
        graceful_shutdown_timeout_s=settings.limits.grace_seconds,
        ray_actor_options={"num_cpus": settings.threads or 1, "num_gpus": int(needs_gpu)},
    )
    return deployment.bind()


def build_app(arguments: Mapping[str, str]) -> serve.Application:
    """The application for `serve run mu2slam_hf.serving.ray_app:build_app model=FOLDER`, and for `serve deploy`.

    Args:
        arguments: model, device, dtype, replicas (a number, or "auto"), threads.

    Raises:
        ValueError: another argument is given.
    """
    if unknown := sorted(set(arguments) - set(_ARGUMENTS)):
        raise ValueError(f"unknown argument {unknown[0]!r}; expected {', '.join(_ARGUMENTS)}")
    given = _ARGUMENTS | dict(arguments)
    choice = ModelChoice(name=given["model"], device=given["device"], dtype=given["dtype"])
    settings = ServingSettings(choices={given["model"]: choice}, threads=int(given["threads"]))
    replicas = given["replicas"]
    return build_deployment(settings, replicas if replicas == _AUTO else int(replicas))


def serve_with_ray(settings: ServingSettings, num_replicas: int | str, *, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM, and finish the requests that were accepted before.

    Args:
        settings: the server.
        num_replicas: see `build_deployment`.
        host: address of the interface.
        port: its port.
    """
    connect()
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        serve.start(http_options={"host": host, "port": port})
        serve.run(build_deployment(settings, num_replicas))
        print(f"mu2slam serves at http://{host}:{port}/v1", flush=True)
        while True:
            signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, previous)
        serve.shutdown()
        ray.shutdown()
