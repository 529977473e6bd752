from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from helix.embed.model import Model, load
from helix.embed.running import Backend, Running
from helix.kernel.errors import BackendUnavailable
from tests.embed.conftest import installed

TEXTS = [
    "Where is my card?",
    "Where's my card, please?",
    "I would like to know how long a transfer to a bank in another country takes, and who pays for it.",
    "Ünïcode, 日本 and <PERSON_1>",
    "The quick brown fox jumps over the lazy dog. " * 20,
]
BACKENDS = [backend for backend in get_args(Backend) if backend != "auto"]
EXACT = ["onnx", "torch"]


def model(backend: Backend, graphs: Path, folder: Path | None = None, dim: int | None = None) -> Model:
    return load(folder, Running(backend=backend, cache_dir=graphs, dim=dim))[1]


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return float(np.dot(one, other))


@pytest.mark.parametrize(("backend", "pooling"), [*product(EXACT, ["mean", "cls"])])
def test_the_same_vectors_as_the_package(backend: Backend, pooling: str, graphs: Path, folder: Path) -> None:
    """In float32 every backend gives what sentence-transformers gives for the same folder, alone or in a batch."""
    modes = {"pooling_mode_cls_token": pooling == "cls", "pooling_mode_mean_tokens": pooling == "mean"}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 384, **modes}))
    reference = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, normalize_embeddings=True)
    ours = model(backend, graphs, folder)
    for text, vector, expected in zip(TEXTS, ours.encode(TEXTS), reference, strict=True):
        assert list(vector) == pytest.approx(expected.tolist(), abs=1e-5)
        assert list(ours.encode([text])[0]) == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_integers_stay_near(pooling: str, graphs: Path, folder: Path) -> None:
    """In integers a text's vector is almost where it is in float32, and so are the distances between texts."""
    modes = {"pooling_mode_cls_token": pooling == "cls", "pooling_mode_mean_tokens": pooling == "mean"}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 384, **modes}))
    whole, exact = (np.array(model(name, graphs, folder).encode(TEXTS)) for name in ("onnx-int8", "onnx"))
    assert (whole * exact).sum(axis=1).min() > 0.99
    assert np.abs(whole @ whole.T - exact @ exact.T).max() < 0.03


@pytest.fixture(scope="module", params=BACKENDS)
def any_model(request: pytest.FixtureRequest, graphs: Path) -> Model:
    return model(request.param, graphs)


@given(texts=st.lists(st.text(st.sampled_from("abcdefgh ij.?1漢ü"), max_size=400), min_size=2, max_size=12))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_batch_changes_nothing(any_model: Model, texts: list[str]) -> None:
    """A text has the same vector alone and beside any others, longer or shorter, on every backend."""
    together = any_model.encode(texts)
    for text, vector in zip(texts, together, strict=True):
        (alone,) = any_model.encode([text])
        assert len(alone) == len(vector)
        # An activation in the middle between two integers may become either.
        assert not alone or cosine(alone, vector) > 0.999


def test_fewer_floats(graphs: Path) -> None:
    """`dim` keeps the first floats of a vector, at unit length, and is part of the name."""
    (whole,) = model("onnx", graphs).encode(TEXTS[:1])
    for backend in EXACT:
        name, short = load(None, Running(backend="onnx", cache_dir=graphs, dim=128))
        (vector,) = short.encode(TEXTS[:1])
        first = np.array(whole[:128])
        assert list(vector) == pytest.approx((first / np.linalg.norm(first)).tolist(), abs=1e-6)
        assert short.dim == 128
        assert name.endswith(":128"), backend


@pytest.mark.parametrize("backend", BACKENDS)
def test_more_floats_than_there_are(backend: Backend, graphs: Path) -> None:
    """A `dim` beyond the model's own is refused, naming it."""
    with pytest.raises(BackendUnavailable, match=r"384.*385"):
        load(None, Running(backend=backend, cache_dir=graphs, dim=385))


def test_the_name_says_what_decides_over_the_vectors(graphs: Path, folder: Path) -> None:
    """The same content has one digest wherever it lies, changed content another; each backend has its own name."""
    names = [
        load(which, Running(backend=backend, cache_dir=graphs))[0] for which in (None, folder) for backend in BACKENDS
    ]
    assert len(set(names)) == 6
    assert all(name.startswith("my-model@") for name in names[3:])
    assert [name.partition("@")[2] for name in names[:3]] == [name.partition("@")[2] for name in names[3:]]
    config = json.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-6}))
    assert load(folder, Running(backend="torch"))[0] not in names


def test_the_backend_is_chosen_by_the_model_and_the_place(folder: Path, graphs: Path) -> None:
    """Unless told: integers on the CPU, float32 on other providers, torch for a device and for what only it can run."""
    cuda = ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert Running().chosen(is_plain=True) == "onnx-int8"
    assert Running(providers=("CPUExecutionProvider",)).chosen(is_plain=True) == "onnx-int8"
    assert Running(providers=cuda).chosen(is_plain=True) == "onnx"
    assert Running(device="cuda").chosen(is_plain=True) == "torch"
    assert Running().chosen(is_plain=False) == "torch"


OTHER_KINDS = {
    "1_Pooling/config.json": {"word_embedding_dimension": 384, "pooling_mode_max_tokens": True},
    "sentence_bert_config.json": {"max_seq_length": 256, "do_lower_case": True},
}


@pytest.mark.parametrize("changed", OTHER_KINDS)
def test_other_models_go_through_the_package(changed: str, folder: Path) -> None:
    """A model that is not a plain BERT is run by sentence-transformers, with the same promises."""
    (folder / changed).write_text(json.dumps(OTHER_KINDS[changed]))
    name, other = load(folder, Running(dim=100))
    vectors = other.encode(["Where is my card?", "word " * 300])
    assert name.endswith("/torch:100")
    assert other.dim == 100
    assert np.linalg.norm(vectors[0]) == pytest.approx(1.0, abs=1e-5)
    assert [len(vector) for vector in vectors] == [100, 0]
    assert [other.fits(text) for text in ("Where is my card?", "word " * 300)] == [True, False]


def test_other_models_and_onnx(folder: Path, graphs: Path) -> None:
    """A backend that cannot run a model says so instead of running something else."""
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_max_tokens": True}))
    with pytest.raises(BackendUnavailable, match=r"no plain BERT.*use torch"):
        load(folder, Running(backend="onnx", cache_dir=graphs))


def test_a_device_that_there_is_not(folder: Path) -> None:
    """A device is torch's to know; a wrong one is told as a model that cannot be loaded."""
    with pytest.raises(BackendUnavailable, match="cannot be loaded"):
        load(folder, Running(device="abacus"))


def test_a_provider_that_there_is_not(graphs: Path) -> None:
    """A provider that this build of ONNX Runtime lacks is named, instead of going on more slowly without."""
    with pytest.raises(BackendUnavailable, match="AbacusExecutionProvider"):
        load(None, Running(providers=("AbacusExecutionProvider",), cache_dir=graphs))


def test_weights_that_only_torch_can_read(folder: Path) -> None:
    """bfloat16 is unknown to numpy: a model in it is run by torch."""
    from safetensors.torch import load_file, save_file

    weights = {name: weight.bfloat16() for name, weight in load_file(installed() / "model.safetensors").items()}
    (folder / "model.safetensors").unlink()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    name, halved = load(folder, Running())
    assert name.endswith("/torch")
    assert len(halved.encode(TEXTS[:1])[0]) == 384


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_used_where_there_is_one() -> None:
    """Unless told otherwise torch runs a model on the GPU, which gives what the CPU gives but for rounding."""
    on_gpu, on_cpu = (load(None, Running(backend="torch", device=device))[1] for device in (None, "cpu"))
    assert torch.cuda.memory_allocated() > 0
    for one, other in zip(on_gpu.encode(TEXTS), on_cpu.encode(TEXTS), strict=True):
        assert cosine(one, other) > 0.9999
