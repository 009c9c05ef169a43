"""Import what the original code trained: ``python -m fpainter.import_legacy checkpoint=PATH``."""

from fpainter.launch.command import read_options
from fpainter.launch.messages import sentences
from fpainter.paths import existing

KEYS = {
    "checkpoint": "the original's model_<number>.pt, or a plain state dict (.pt, .safetensors) of "
    "NVIDIA's StyleGAN2 or of GANsformer",
    "args": "its args.txt; a plain state dict has none",
    "output": "the checkpoint to write",
    "config": "its .config.json; default: the one beside the checkpoint, if there is one",
    "iteration": "iterations trained; default: the steps of its optimiser",
    "data_dir": "the training images, a folder or a zip file; default: that of args.txt",
    "overwrite": "true replaces an existing output",
    "model": "the network of a plain state dict, and with model.KEY=VALUE what its tensors do not "
    "tell (attention heads, truncation); default: as the tensors say",
}
REQUIRED = ("checkpoint", "output")


def main() -> None:
    """Run ``fpainter-import-legacy``."""
    with sentences():
        options = read_options(KEYS, REQUIRED, about=__doc__, settings=("model.", "model/"))
        for key in ("checkpoint", "args", "config"):
            if key in options:
                existing(options[key], key)
        # Brings torch; until here mistakes are answered at once.
        from fpainter.tasks.import_legacy import import_legacy

        print("\n".join(import_legacy(options)))


if __name__ == "__main__":
    main()
