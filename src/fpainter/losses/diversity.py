"""What keeps a generator from painting the same image for different latents."""

import torch
from torch import Tensor


class ModeSeeking:
    """Fakes of different latents should be as far apart as a share of what reals are.

    With d(x, y) the mean absolute difference of two images of which mean colour and contrast have
    been taken away (see `standardised`), each fake x_i beside that of the next latent, and r the
    mean distance of the reals of a batch, also of each to the next:

        weight · mean_i max(0, log(share · r) - log d(x_i, x_{i+1}))

    Twins are pushed apart with a force that grows as they are closer; fakes that are far enough
    apart are left alone, so that nothing is said against the data's own closeness. Of pictures as
    they are, darkness and light are what is changed first: a generator so paid paints the same cat
    by day and by night.

    Args:
        weight: factor on the loss.
        share: of the reals' mean distance that is far enough, positive.

    Raises:
        ValueError: if a number is out of range.

    Source: after Mao et al. 2019, *Mode Seeking Generative Adversarial Networks*, who maximise
    the ratio of the distances of images and of latents without a bound.
    """

    def __init__(self, weight: float = 0.1, share: float = 0.7) -> None:
        if weight < 0 or share <= 0:
            raise ValueError(
                f"weight must be at least 0 and share positive; got {weight} and {share}"
            )
        self.weight = weight
        self.share = share

    def __call__(self, fakes: Tensor, reals: Tensor) -> Tensor:
        """Return the loss, a scalar; 0 for a batch of one, which training refuses.

        Args:
            fakes: images [n·B C H W], before augmentation; where there are several for each
                latent, those of latent i are i, B + i, 2 B + i, ...
            reals: images [B C H W].
        """
        if len(reals) < 2:
            return fakes.new_zeros(())
        enough = self.share * to_next(reals).mean()
        apart = to_next(fakes.unflatten(0, (-1, len(reals))))
        tiny = torch.finfo(apart.dtype).tiny  # of equal images, which have no direction to part in
        missing = enough.clamp_min(tiny).log() - apart.clamp_min(tiny).log()
        return self.weight * missing.relu().mean()


def standardised(images: Tensor) -> Tensor:
    """Take the mean from each channel of images [... C H W], then divide each by its deviation.

    One that hardly differs from its mean, by a hundredth or less of [-1, 1], stays as good as flat.
    """
    images = images.to(torch.promote_types(images.dtype, torch.float32))
    images = images - images.mean(dim=(-2, -1), keepdim=True)
    return images * (images.square().mean(dim=(-3, -2, -1), keepdim=True) + 1e-4).rsqrt()


def to_next(images: Tensor) -> Tensor:
    """Return the distances [... B] of images [... B C H W], each to the next."""
    images = standardised(images)
    return (images - images.roll(1, dims=-4)).abs().mean(dim=(-3, -2, -1))
