# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The choice of a model: which checkpoint, with which adapters, on which device and in which precision."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mu2slam_hf.checkpoints import DEFAULT_NAME, default_checkpoint, load_any_checkpoint
from mu2slam_hf.checkpoints.devices import check_device
from mu2slam_hf.checkpoints.folders import read_config
from mu2slam_hf.checkpoints.onnx_folders import check_backend, load_onnx
from mu2slam_hf.checkpoints.quantization import check_quantization
from mu2slam_hf.models.task_types import TASKS

if TYPE_CHECKING:
    from mu2slam_hf.models.modules_capabilities import Capabilities


@dataclass(frozen=True, kw_only=True)
class ModelChoice:
    """A model to load.

    Attributes:
        name: "default", a folder, or a name on the Hub.
        device: device of the model.
        dtype: dtype of the weights in memory.
        quantization: "int8" or "int8_weight_only", see `build_quantization_config`.
        adapters: folders of adapters by name.
        backend: what runs the model, see `BACKENDS`.
        attention_chunk_seconds: seconds of speech to which the attention of a Conformer is limited, see
            `set_attention_chunk`; None for that of its configuration.
    """

    name: str = DEFAULT_NAME
    device: str = "cpu"
    dtype: str = "float32"
    quantization: str | None = None
    adapters: Mapping[str, str] = field(default_factory=dict)
    backend: str = "auto"
    attention_chunk_seconds: float | None = None

    @property
    def path(self) -> str:
        """Folder or name on the Hub."""
        return default_checkpoint() if self.name == DEFAULT_NAME else self.name

    def check(self) -> None:
        """Check what can be checked before the weights are read.

        Raises:
            ValueError: the device is not available, the quantisation is unknown, or the backend cannot run this.
            ImportError: the package for the quantisation or the backend is not installed.
        """
        check_device(self.device)
        self._choose_backend()
        if self.quantization:
            check_quantization(self.quantization)

    def read_config(self) -> dict[str, Any]:
        """The configuration of the model; its weights are not read.

        Raises:
            ValueError: there is no such model.
        """
        return read_config(self.path)

    def read_capabilities(self) -> "Capabilities":
        """What the class of the model can do, by its configuration."""
        from mu2slam_hf.checkpoints.model_types import declared_capabilities

        return declared_capabilities(self.read_config())

    def check_task(self, task: str) -> None:
        """Raises ValueError if the class of the model does not have a task."""
        if task not in self.read_capabilities().tasks:
            config = self.read_config()
            name = (config.get("architectures") or [f"a model of type {config.get('model_type')}"])[0]
            title = TASKS[task].title if task in TASKS else task
            raise ValueError(f"{self.name}: {name} cannot do {task} ({title})")

    def load(self) -> tuple[Any, Any]:
        """Model, in evaluation mode, and processor; see `load_any_checkpoint` and `load_onnx`."""
        if self._choose_backend() == "onnx":
            return load_onnx(self.path)
        model, processor = load_any_checkpoint(
            self.name,
            device=self.device,
            dtype=self.dtype,
            quantization=self.quantization,
            adapters=self.adapters,
        )
        if self.attention_chunk_seconds is not None:
            self._set_attention_chunk(model, processor.feature_extractor.sampling_rate)
        return model, processor

    def _set_attention_chunk(self, model: Any, sampling_rate: int) -> None:
        if not hasattr(model, "set_attention_chunk"):
            raise ValueError(f"{self.name}: {type(model).__name__} has no Conformer to limit the attention of")
        frame_seconds = model.samples_per_frame / sampling_rate
        model.set_attention_chunk(max(1, round(self.attention_chunk_seconds / frame_seconds)))

    def _choose_backend(self) -> str:
        """The backend, torch or onnx."""
        backend = check_backend(self.path, self.backend)
        asked = {
            "device": self.device != "cpu",
            "dtype": self.dtype not in ("float32", "auto"),
            "quantization": self.quantization is not None,
            "adapters": bool(self.adapters),
            "attention_chunk_seconds": self.attention_chunk_seconds is not None,
        }
        refused = [name for name, is_asked in asked.items() if is_asked]
        if backend == "onnx" and refused:
            raise ValueError(
                f"{self.path}: an exported model runs on the CPU as it was exported, without {', '.join(refused)}; "
                "use the checkpoint that it was made from, or export it again (--dtype int8 for 8 bits)"
            )
        return backend


def portable_choice(model: ModelChoice) -> ModelChoice:
    """A choice that another process can load, in whatever folder it works."""
    name = str(Path(model.name).resolve()) if Path(model.name).is_dir() else model.name
    adapters = {key: str(Path(folder).resolve()) for key, folder in model.adapters.items()}
    return ModelChoice(
        name=name,
        device=model.device,
        dtype=model.dtype,
        quantization=model.quantization,
        adapters=adapters,
        backend=model.backend,
        attention_chunk_seconds=model.attention_chunk_seconds,
    )
