"""A tokenizer that knows the words of a set of captions, one token per word."""

from collections.abc import Iterable

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

START, END, PAD, UNKNOWN = "<start>", "<end>", "<pad>", "<unknown>"


def word_tokenizer(captions: Iterable[str], length: int) -> PreTrainedTokenizerFast:
    """The tokenizer, words in alphabetical order; a caption has at most ``length`` tokens, ends included."""
    words = sorted({word for caption in captions for word in caption.lower().split()})
    numbers = {word: number for number, word in enumerate([PAD, UNKNOWN, START, END, *words])}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, numbers[START]), (END, numbers[END])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=START,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNKNOWN,
        model_max_length=length,
    )
