"""Small tokenizers of the kinds that real models have, trained on the words of the test dialogues."""

from functools import cache
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

CORPUS = ["Is it warm?", "Yes, very.", "And wet?", "No rain today.", "Only a little."]
CORPUS += ["USER: ASSISTANT: Answer: No Answer: Only", "\n\n", ":\n\n", "\nOnly"]


@cache
def trained(
    special: tuple[str, ...], bos: str | None, pieces: bool, absorbs: tuple[str, ...] = (), across: bool = False
) -> PreTrainedTokenizerFast:
    """A BPE tokenizer of the corpus; `across` lets its tokens span words, as some do."""
    own = [AddedToken(one, special=True, normalized=False, rstrip=one in absorbs) for one in special]
    bpe = Tokenizer(models.BPE(byte_fallback=pieces, unk_token="<unk>" if pieces else None))
    letters: list[str] = []
    known: list[Any] = list(own)
    if pieces:
        bpe.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        bpe.pre_tokenizer = None if across else pre_tokenizers.Split("▁", "merged_with_next")
        parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        bpe.decoder = decoders.Sequence(parts)
        known = ["<unk>", *own, *(f"<0x{byte:02X}>" for byte in range(256))]
    else:
        bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        bpe.decoder = decoders.ByteLevel()
        letters = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        CORPUS * 3,
        trainers.BpeTrainer(vocab_size=700, special_tokens=known, initial_alphabet=letters, show_progress=False),
    )
    if pieces:
        bpe.pre_tokenizer = None
    if bos:
        bpe.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, bpe.token_to_id(bos))]
        )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe, eos_token=special[0], bos_token=bos, clean_up_tokenization_spaces=False
    )
