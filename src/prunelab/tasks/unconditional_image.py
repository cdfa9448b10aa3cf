"""Unconditional images: images in, nothing asked for, pictures like the data out."""

from prunelab.tasks.images import Images


class UnconditionalImage(Images):
    """Data with the column ``image``; the judge's labels say what samples show, not what was asked."""
