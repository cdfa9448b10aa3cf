"""Text-to-image: captioned images in, prompts as conditions, pictures and prompt-following out."""

from prunelab.tasks.images import Images


class TextToImage(Images):
    """Data with the columns ``image`` and ``caption``, and one per label that the judge names."""

    captioned = True
