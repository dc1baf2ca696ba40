"""The tokenizer of the bundled base model: CLIP's byte-level BPE, its merges learned from the recipe's captions."""

import json
from collections.abc import Iterable

from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import CLIPTokenizer

_START, _END = "<|startoftext|>", "<|endoftext|>"


def trained_tokenizer(captions: Iterable[str], max_tokens: int) -> CLIPTokenizer:
    """Every byte, every byte at a word's end, then the merges: unknown words are spelled, never lost."""
    learner = Tokenizer(BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), ByteLevel(add_prefix_space=False)])
    trainer = BpeTrainer(vocab_size=2048, min_frequency=2, end_of_word_suffix="</w>", show_progress=False)
    learner.train_from_iterator((caption.lower() for caption in captions), trainer)
    merges = [tuple(pair) for pair in _merges(learner)]
    letters = sorted(ByteLevel.alphabet())
    tokens = [_START, *letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in merges), _END]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=max_tokens)


def _merges(learner: Tokenizer) -> list[list[str]]:
    learned = json.loads(learner.to_str())["model"]["merges"]
    return [pair if isinstance(pair, list) else pair.split(" ") for pair in learned]
