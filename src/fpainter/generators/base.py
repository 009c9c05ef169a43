"""What training, scoring and drawing ask of any generator."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple, Self

from torch import Tensor, nn

from fpainter.errors import UserError
from fpainter.generators.painting import Painting
from fpainter.paths import own_painter


class Fakes(NamedTuple):
    """What a generator shows the discriminator for a batch of B latents.

    Attributes:
        images: [>=B C H W]; there may be several for each latent.
        auxiliary_loss: a scalar that the generator minimises besides its adversarial loss, or None.
    """

    images: Tensor
    auxiliary_loss: Tensor | None = None


class Generator(nn.Module):
    """A network from latents z [B d_latent] ~ N(0, I) to images [B C H W] in the image range.

    One that is conditional takes a class index for each latent, too: ``generator(z, label)`` with
    label [B] int64 in 0..num_labels-1.

    Attributes:
        d_latent: size of the latent.
        num_labels: classes; 0 where there are no labels.
        class_names: what label i is called; none where nobody has said so.
        copied: names of tensors that an average of the weights takes as they are.
    """

    d_latent: int
    num_labels: int = 0
    class_names: tuple[str, ...] = ()
    copied: tuple[str, ...] = ()

    def fakes(self, z: Tensor, label: Tensor | None = None) -> Fakes:
        """Return what the discriminator must judge for z; here, G(z)."""
        return Fakes(self(z, label))

    def traced(self, z: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return images and what they are to be differentiated by; here, the latents.

        Args:
            z: latents [B d_latent].
            label: class indices [B], if there are labels.

        Returns:
            Images [B C H W]; and [B L d], of L layers that read a vector each, of which they are
            a differentiable function.
        """
        w = z.detach().unsqueeze(1).requires_grad_()
        return self(w.squeeze(1), label), w

    def label_names(self) -> tuple[str, ...]:
        """Return what the labels are called: the classes' names, or else numbers."""
        return self.class_names or tuple(map(str, range(self.num_labels)))

    def label_of(self, name: str | int) -> int:
        """Return the label of a class.

        Args:
            name: of the class; where no class is called so, a number in 0..num_labels-1.

        Raises:
            ValueError: if there is no such class, or there are no labels.
        """
        names, given = self.label_names(), str(name)
        if not names:
            raise ValueError(f"{name}: {type(self).__name__} was trained without labels")
        if given in names:
            return names.index(given)
        if given.isdecimal() and int(given) < len(names):
            return int(given)
        shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
        raise ValueError(f"{name}: must be one of {shown}, or a number in 0..{len(names) - 1}")

    @classmethod
    def from_pretrained(cls, path: str | Path | None = None) -> Self:
        """Load what ``fpainter.export`` wrote, in evaluation mode and without gradients.

        Args:
            path: the folder, or ``owner/name`` on the Hugging Face hub; None: the painter of drawn
                portraits that comes with the package.

        Raises:
            UserError: if there is no such folder, it cannot be used, or it holds another kind of
                generator than this class.
        """
        path = own_painter() if path is None else path
        from fpainter.generators.pretrained import load_pretrained  # which imports this class

        generator = load_pretrained(path).sampler.generator
        if not isinstance(generator, cls):
            raise UserError(f"{path}: holds a {type(generator).__name__}, no {cls.__name__}")
        return generator


class PaintingGenerator(Generator, ABC):
    """A generator that can show how its images come about.

    Attributes:
        num_steps: painting steps T.
        refines: whether the finished canvas is refined before it becomes the image.
        frozen: whether training leaves the painting as it is and changes the refiner only.
    """

    num_steps: int
    refines: bool
    frozen: bool

    @abstractmethod
    def paint(self, z: Tensor, label: Tensor | None = None) -> Painting:
        """Return the painting steps for z [B d_latent] and, if there are labels, label [B]."""

    @abstractmethod
    def activate(self, canvas: Tensor) -> Tensor:
        """Show a canvas or an update [...] in the image range, without refining it."""

    @abstractmethod
    def refine(self, canvas: Tensor) -> Tensor:
        """Return the refined canvas [B C H W]; the same where nothing is refined."""

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Map latents z [B d_latent] and, if there are labels, label [B] to images [B C H W]."""
        # Painting is done in float32; pure half-precision networks want their own type back.
        return self.activate(self.refine(self.paint(z, label).image().to(z.dtype)))

    def image_at(self, z: Tensor, step: int, label: Tensor | None = None) -> Tensor:
        """Map latents z [B d_latent] to the images [B C H W] as they stand after some steps.

        Args:
            z: latents.
            step: updates done, in 0..T; after all T the image is finished, but not refined.
            label: class indices [B], if there are labels.
        """
        return self.activate(self.paint(z, label).canvases([step])[:, 0].to(z.dtype))
