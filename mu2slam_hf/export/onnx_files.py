# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""ONNX files of graphs that share one file of weights."""

import hashlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from mu2slam_hf.export.graphs import Graph

WEIGHTS_FILE = "weights.bin"
# Smaller tensors stay in the graph, where onnxruntime can read them when it simplifies it.
_MIN_BYTES = 1024
# Runtimes map the file into memory by pages.
_ALIGNMENT = 4096


class SharedWeights:
    """A file with the weights of several graphs, equal ones once; used in a `with` block.

    Args:
        folder: folder of the file and of the graphs.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._offsets: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._file = open(self.folder / WEIGHTS_FILE, "wb")
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def save(self, graph: Any, path: Path) -> None:
        """Write a graph (`onnx_ir.Model`), and those of its weights that the file does not have."""
        import onnx_ir

        for node in graph.graph:
            node.metadata_props.clear()  # where in the code of this machine it was traced
        for value in graph.graph.initializers.values():
            tensor = value.const_value
            if tensor is None or tensor.nbytes < _MIN_BYTES:
                continue
            data = tensor.tobytes()
            value.const_value = onnx_ir.ExternalTensor(
                location=WEIGHTS_FILE,
                offset=self._place(data),
                length=len(data),
                dtype=tensor.dtype,
                shape=tensor.shape,
                name=value.name,
                base_dir=self.folder,
            )
        onnx_ir.save(graph, path)

    def _place(self, data: bytes) -> int:
        """Offset of the data, which are appended if they are new."""
        key = hashlib.sha256(data).hexdigest()
        if key not in self._offsets:
            self._file.write(b"\0" * (-self._file.tell() % _ALIGNMENT))
            self._offsets[key] = self._file.tell()
            self._file.write(data)
        return self._offsets[key]


def trace_graph(graph: Graph) -> Any:
    """The graph of a part of a model, as `onnx_ir.Model`."""
    with torch.no_grad(), _quiet_exporter():
        program = torch.onnx.export(
            graph.module,
            graph.inputs,
            dynamo=True,
            dynamic_shapes=graph.dynamic_shapes,
            input_names=graph.input_names,
            output_names=graph.output_names,
            verbose=False,
        )
    assert program is not None
    return program.model


def quantize_graph(graph: Any, folder: Path) -> Any:
    """A graph whose products with weights are computed in 8 bits; states are rounded while it runs.

    Args:
        graph: `onnx_ir.Model`.
        folder: existing folder for files that are needed in between.
    """
    import onnx_ir
    from onnxruntime.quantization import QuantType, quantize_dynamic

    source, target = folder / "float32.onnx", folder / "int8.onnx"
    onnx_ir.save(graph, source)
    with _quiet_exporter():
        quantize_dynamic(
            source,
            target,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            extra_options={"MatMulConstBOnly": True},
        )
    return onnx_ir.load(target)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Without warnings of exporters about packages and functions that these graphs do not use."""
    names = ("torch.onnx", "torch.onnx._internal.exporter._registration", "onnxscript", "onnx_ir", "root")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
