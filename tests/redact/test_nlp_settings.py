"""An NLP engine's settings: what is wrong in them is told before anything is loaded, and nothing is fetched."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helix.redact.nlp_settings import check_nlp_engine, nlp_kinds, nlp_languages

MODEL = {"lang_code": "en", "model_name": "spacy"}  # an installed package, if no pipeline
SPACY = {"nlp_engine_name": "spacy", "models": [MODEL]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"engine": 1}, "nlp_engine.engine: unknown key; allowed here: nlp_engine_name, models"),
        (
            {"nlp_engine_name": "flair"},
            "nlp_engine.nlp_engine_name: allowed are spacy, stanza, transformers, found 'flair'",
        ),
        ({"models": []}, "nlp_engine.models: name at least one"),
        (
            {"models": ["en_core_web_sm"]},
            r"nlp_engine.models\[0\]: must be a mapping with the keys lang_code, model_name",
        ),
        ({"models": [{**MODEL, "lang_code": "nb"}]}, r"nlp_engine.models\[0\].lang_code: 'nb' is not among .*, en, de"),
        (
            {"models": [MODEL, {"lang_code": "de", "model_name": "no_such_model"}]},
            r"nlp_engine.models\[1\].model_name: 'no_such_model' is neither a folder nor an installed package",
        ),
        ({"models": [{"lang_code": "en", "model_name": 7}]}, r"models\[0\].model_name: must be the name of a model"),
        (
            {"nlp_engine_name": "transformers"},
            r"models\[0\].model_name: must be a mapping with the keys spacy, transformers",
        ),
    ],
)
def test_faults(change: dict[str, Any], message: str) -> None:
    """What Presidio would not take, or would run pip for, is told with its place."""
    check_nlp_engine(SPACY, ["en", "de"])
    with pytest.raises(ValueError, match=message):
        check_nlp_engine({**SPACY, **change}, ["en", "de"])


def test_what_settings_tell() -> None:
    """The languages of the models and the kinds of the mapping are known without loading."""
    mapping = {"model_to_presidio_entity_mapping": {"PRODUCT": "PRODUCT_NAME"}}
    assert nlp_languages(SPACY) == ["en"]
    assert nlp_kinds({**SPACY, "ner_model_configuration": mapping}) == {"PRODUCT_NAME"}
    assert (nlp_languages(None), nlp_kinds(None)) == ([], frozenset())


TRANSFORMERS = """
import asyncio, json, sys
import spacy
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast
import torch

folder, pipeline = sys.argv[1:]
words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "Ada", "wrote", "from", "Paris"]
tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
PreTrainedTokenizerFast(
    tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
).save_pretrained(folder)
config = BertConfig(
    vocab_size=len(words), hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
    max_position_embeddings=64, id2label={0: "O", 1: "B-PER"}, label2id={"O": 0, "B-PER": 1},
)
model = BertForTokenClassification(config)
with torch.no_grad():  # says PER of one word: its embedding alone reaches the last layer
    for weights in model.parameters():
        weights.zero_()
    embeddings = model.bert.embeddings
    embeddings.LayerNorm.weight.fill_(1.0)
    embeddings.word_embeddings.weight[words.index("Ada"), 0] = 9.0
    for layer in model.bert.encoder.layer:
        layer.attention.output.LayerNorm.weight.fill_(1.0)
        layer.output.LayerNorm.weight.fill_(1.0)
    model.classifier.weight[1, 0] = 9.0
    model.classifier.bias[0] = 1.0
model.save_pretrained(folder)
spacy.blank("en").to_disk(pipeline)

from helix.redact import PresidioDetector

settings = {
    "nlp_engine_name": "transformers",
    "models": [{"lang_code": "en", "model_name": {"spacy": pipeline, "transformers": folder}}],
    "ner_model_configuration": {"aggregation_strategy": "simple", "stride": 4},
}

async def main():
    detector = PresidioDetector(languages=("en", "de"), nlp_engine=settings, names=None)
    text = "Ada wrote from Paris"
    [spans] = await detector.detect([text])
    await detector.close()
    print(json.dumps([[span.kind, text[span.start : span.end], span.recognizer] for span in spans]))

asyncio.run(main())
"""


def test_a_transformers_model(tmp_path: Path) -> None:
    """A model of the transformers library on disk is used by Presidio's settings, beside a language that has none."""
    done = subprocess.run(
        [sys.executable, "-c", TRANSFORMERS, str(tmp_path / "model"), str(tmp_path / "pipeline")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [["PERSON", "Ada", "TransformersRecognizer"]]
