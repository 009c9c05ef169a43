"""The inception score: sure about each image's class, unsure about all images' together."""

import torch
from torch import Tensor


def inception_score(logits: Tensor, splits: int = 10) -> tuple[float, float]:
    """Compute exp of the mean KL divergence of p(class | image) from its mean over the images.

    That is exp(H(mean p) − mean H(p)), in float64; classes of probability zero do no harm.

    Args:
        logits: [N C] of the classes, or log-probabilities. Split i takes the rows from i N/splits
            to (i + 1) N/splits in the given order, so images sorted by class must be shuffled.
        splits: number of parts scored on their own, in [1, N]. Fewer images in a part lower its
            score, so scores compare at equal N / `splits` only.

    Returns:
        Mean over the splits, in [1, C], and standard deviation (divided by `splits`, not that − 1).

    Raises:
        ValueError: if the logits are not [N C] or `splits` is out of range.

    Source:
        Salimans et al. 2016, and torch-fidelity with `samples_shuffle=False`. torchmetrics
        shuffles and divides by `splits` − 1.
    """
    if logits.ndim != 2 or not 1 <= splits <= len(logits):
        raise ValueError(
            f"need logits [N C] and splits in [1, N], got {tuple(logits.shape)} and {splits=}"
        )
    probabilities = logits.double().softmax(dim=1)
    num = len(logits)
    scores = []
    for i in range(splits):
        p = probabilities[i * num // splits : (i + 1) * num // splits]
        entropy = torch.special.entr(p).sum(dim=1).mean()
        scores.append((torch.special.entr(p.mean(dim=0)).sum() - entropy).exp())
    values = torch.stack(scores)
    return float(values.mean()), float(values.std(correction=0))
