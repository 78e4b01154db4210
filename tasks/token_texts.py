"""The texts of single tokens, as a page shows them: [453, 222, 18] → ["Rosa", " ", "1"].

A character may be spread over several tokens of a byte-level tokenizer; the last of them gets all of it, and the
others get none, so that the texts of a completion joined are the completion.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

UNFINISHED = "\ufffd"


def load_tokenizer(place: Path | str) -> Tokenizer:
    """The tokenizer in a checkpoint's folder, or, by a text, that of a checkpoint on the hub; OSError or ValueError
    where there is none that can be read.

    tokenizer.json is read as it is: transformers takes seconds to import, and is needed for other formats only."""
    if (file := Path(place, "tokenizer.json")).is_file():
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(file))
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(place, local_files_only=isinstance(place, Path)).backend_tokenizer


def token_texts(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """One text for each token, special ones included."""
    from tokenizers.decoders import DecodeStream

    stream = DecodeStream(skip_special_tokens=False)
    texts = [stream.step(tokenizer, number) for number in ids]
    if texts and texts[-1] is None:
        texts[-1] = UNFINISHED
    return [text or "" for text in texts]
