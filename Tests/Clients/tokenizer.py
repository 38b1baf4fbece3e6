"""Writes a small tokenizer into a Hugging Face cache, so that benchmark clients run without downloading one.

usage: tokenizer.py HF_HOME             afterwards `local/words` is a tokenizer for HF_HOME=... HF_HUB_OFFLINE=1

Its vocabulary is frequent English words. With a space in front, each is one token for simulated engines and for the
usual tokenizers of English models, so a prompt of N of its tokens has N tokens for the engine, too. Any other word reads
as "the".
"""

import pathlib
import sys

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

WORDS = """
the of and to in is that it for on with as are this be at from have an by one not but what all when we there can more if
no out so up into them then she many some would other two its time about over only like little long make after water river
stone light night morning engine cache token prompt answer question between under through because against house garden
paper music silver window letter number summer winter island mountain travel silent quick bright narrow gentle hidden
distant ordinary simple careful sudden future memory story
""".split()

REVISION = "0" * 40


def main(home):
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="the"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    repository = home / "hub" / "models--local--words"
    snapshot = repository / "snapshots" / REVISION
    snapshot.mkdir(parents=True, exist_ok=True)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / "main").write_text(REVISION)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="of", eos_token="and", unk_token="the")
    wrapped.save_pretrained(snapshot)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
