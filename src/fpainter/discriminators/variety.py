"""How much the images of a batch differ, as a feature: fakes that are all alike give this away."""

from torch import Tensor


def variety(x: Tensor, group_size: int) -> Tensor:
    """Return the mean standard deviation of features within groups of images.

    Args:
        x: features [B C ...].
        group_size: images of a group; a batch that it does not divide is one group.

    Returns:
        [B 1 ...], the same number in all places of all images of a group.

    Source: the minibatch standard deviation of Karras et al. 2018.
    """
    batch = len(x)
    size = group_size if batch % group_size == 0 else batch
    groups = x.unflatten(0, (size, batch // size))  # [member, group, C ...]
    # Tensor.var takes ten times as long over an axis that is not the last in memory.
    squares = (groups - groups.mean(dim=0)).square().mean(dim=0)
    deviation = (squares + 1e-8).sqrt().mean(dim=tuple(range(1, x.dim())))
    ones = [1] * (x.dim() - 1)
    return deviation.repeat(size).view(batch, *ones).expand(batch, 1, *x.shape[2:])
