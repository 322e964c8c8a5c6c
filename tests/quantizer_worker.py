# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""One of two processes that update a quantiser together: `torch.distributed.run ... quantizer_worker.py FOLDER`.

The second process has more frames, then the first has none, then the second.
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file

from mu2slam_hf.models.modules_learned_quantization import LearnedQuantizer

NUM_FRAMES = ((10, 30), (0, 20), (20, 0))


def main() -> None:
    """Update the quantiser and leave its state, `FOLDER/<rank>.safetensors`."""
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    torch.manual_seed(0)
    quantizer = LearnedQuantizer(6, 15, 2, 12, method="nearest").train()
    for update, counts in enumerate(NUM_FRAMES):
        generator = torch.Generator().manual_seed(10 * update + rank)
        quantizer(torch.randn(counts[rank], 6, generator=generator))
    save_file(quantizer.state_dict(), Path(sys.argv[1]) / f"{rank}.safetensors")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
