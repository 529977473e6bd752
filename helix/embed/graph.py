"""A plain BERT as an ONNX graph, written from its weights: no torch, no tracing, half a second of CPU time.

In eight bits the matrix products are of integers. Each token's activations have a scale of their own, so that a text's
vector does not depend on what shares its batch (ONNX Runtime's own `quantize_dynamic` has one scale a tensor, and a
text in a batch comes as far as a cosine of .954 from the same text alone), and each output channel's weights have
theirs. Weights use seven of the eight bits: AVX2 without VNNI adds two products into 16 bits, and 2 * 255 * 63 stays
inside them where 2 * 255 * 127 does not, so that products are exact on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors import safe_open

from helix.embed.folder import Shape

__all__ = ["write"]

IDS, MASK, POOLED = "input_ids", "attention_mask", "pooled"
_OPSET = 20  # the first with Gelu
_IR_VERSION = 10
_MICROSOFT = "com.microsoft"  # attention in one node, and integers to floats in the product's own loop
_WEIGHT_LIMIT = 63
_TABLE_LIMIT = 127  # of what is looked up and never multiplied
_TINY = 1e-9
_GELU_FLOOR = 0.17
"""GELU is nowhere below -0.16998; lifted by so much it fills an unsigned byte. The bias takes the lift back."""

Array = NDArray[np.float32]


def write(shape: Shape, path: Path, *, int8: bool) -> None:
    """Write the model's graph: token ids and mask, (texts, tokens), to the pooled states, (texts, dim)."""
    with safe_open(str(shape.weights), framework="numpy") as file:
        names = {key.removeprefix("bert."): key for key in file.keys()}  # noqa: SIM118 (no dict)
        weights = {name: np.asarray(file.get_tensor(key), np.float32) for name, key in names.items() if _is_used(name)}
    made = _Graph(shape, weights, int8=int8).build()
    onnx.save(made, str(path))


def _is_used(name: str) -> bool:
    return name.startswith(("embeddings.", "encoder.")) and not name.endswith("position_ids")


class _Graph:
    def __init__(self, shape: Shape, weights: Mapping[str, Array], *, int8: bool) -> None:
        self._shape = shape
        self._weights = weights
        self._int8 = int8
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def build(self) -> onnx.ModelProto:
        """The whole model."""
        hidden = self._norm(self._embedded(), "embeddings.LayerNorm")
        mask = self._op("Cast", MASK, to=TensorProto.INT32)
        for layer in range(self._shape.layers):
            hidden = self._layer(hidden, mask, f"encoder.layer.{layer}")
        self._pool(hidden)
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"]) for name in (IDS, MASK)]
        output = helper.make_tensor_value_info(POOLED, TensorProto.FLOAT, ["texts", self._shape.dim])
        return helper.make_model(
            helper.make_graph(self._nodes, "bert", inputs, [output], list(self._constants.values())),
            opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, 1)],
            ir_version=_IR_VERSION,
        )

    def _embedded(self) -> str:
        table = self._weights["embeddings.word_embeddings.weight"]
        if self._int8:
            numbers, scales = _quantized(table, _TABLE_LIMIT)
            rows = self._op("Cast", self._op("Gather", self._constant(numbers), IDS), to=TensorProto.FLOAT)
            words = self._op("Mul", rows, self._op("Gather", self._constant(scales[:, None]), IDS))
        else:
            words = self._op("Gather", self._constant(table), IDS)
        # Every token is of the first type, wherever it stands.
        places = (
            self._weights["embeddings.position_embeddings.weight"]
            + self._weights["embeddings.token_type_embeddings.weight"][0]
        )
        length = self._op("Shape", IDS, start=1, end=2)
        return self._op("Add", words, self._op("Slice", self._constant(places), self._numbers(0), length))

    def _layer(self, hidden: str, mask: str, at: str) -> str:
        heads = self._linear(hidden, [f"{at}.attention.self.{name}" for name in ("query", "key", "value")])
        query, key, value = self._ops("Split", heads, outputs=3, axis=-1, num_outputs=3)
        mixed = self._op(
            "MultiHeadAttention", query, key, value, "", mask, domain=_MICROSOFT, num_heads=self._shape.heads
        )
        hidden = self._norm(
            self._op("Add", hidden, self._linear(mixed, [f"{at}.attention.output.dense"])),
            f"{at}.attention.output.LayerNorm",
        )
        inner = self._op("Gelu", self._linear(hidden, [f"{at}.intermediate.dense"]))
        outer = self._linear(inner, [f"{at}.output.dense"], is_gelu=True)
        return self._norm(self._op("Add", hidden, outer), f"{at}.output.LayerNorm")

    def _pool(self, hidden: str) -> None:
        if self._shape.pooling == "cls":
            self._add("Gather", [hidden, self._constant(np.array(0))], [POOLED], axis=1)
            return
        counted = self._op("Unsqueeze", self._op("Cast", MASK, to=TensorProto.FLOAT), self._numbers(2))
        total = self._op("ReduceSum", self._op("Mul", hidden, counted), self._numbers(1), keepdims=0)
        self._add("Div", [total, self._op("ReduceSum", counted, self._numbers(1), keepdims=0)], [POOLED])

    def _linear(self, x: str, names: Sequence[str], *, is_gelu: bool = False) -> str:
        """One product for all layers that take the same input; their outputs side by side."""
        weight = np.concatenate([self._weights[f"{name}.weight"] for name in names])
        bias = np.concatenate([self._weights[f"{name}.bias"] for name in names])
        if not self._int8:
            return self._op("Add", self._op("MatMul", x, self._constant(weight.T)), self._constant(bias))
        numbers, scales = _quantized(weight, _WEIGHT_LIMIT)
        if is_gelu:
            x = self._op("Add", x, self._float(_GELU_FLOOR))
            bias = bias - _GELU_FLOOR * scales * numbers.sum(axis=1, dtype=np.int64)
            largest, levels, zero = x, 255, 0
        else:
            largest, levels, zero = self._op("Abs", x), 127, 128
        most = self._op("ReduceMax", largest, self._numbers(-1), keepdims=1)
        scale = self._op("Add", self._op("Mul", most, self._float(1 / levels)), self._float(_TINY))
        # A cast cuts off: with the half, and nothing below zero, it rounds.
        lifted = self._op("Add", self._op("Div", x, scale), self._float(zero + 0.5))
        product = self._op(
            "MatMulIntegerToFloat",
            self._op("Cast", lifted, to=TensorProto.UINT8),
            self._constant(numbers.T),
            self._float(1.0),
            self._constant(scales),
            self._constant(np.array(zero, np.uint8)),
            domain=_MICROSOFT,
        )
        return self._op("Add", self._op("Mul", product, scale), self._constant(bias.astype(np.float32)))

    def _norm(self, x: str, name: str) -> str:
        weight, bias = (self._constant(self._weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return self._op("LayerNormalization", x, weight, bias, axis=-1, epsilon=self._shape.epsilon)

    # Nodes and constants

    def _op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        return self._ops(kind, *inputs, outputs=1, **attributes)[0]

    def _ops(self, kind: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        names = [f"{kind}_{len(self._nodes)}_{number}" for number in range(outputs)]
        self._add(kind, list(inputs), names, **attributes)
        return names

    def _add(self, kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        self._nodes.append(helper.make_node(kind, inputs, outputs, name=outputs[0], **attributes))

    def _constant(self, value: NDArray[np.generic]) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def _float(self, value: float) -> str:
        return self._constant(np.array(value, np.float32))

    def _numbers(self, *values: int) -> str:
        return self._constant(np.array(values, np.int64))


def _quantized(rows: Array, limit: int) -> tuple[NDArray[np.int8], Array]:
    """Whole numbers of at most `limit`, and the scale of each row."""
    scales = np.maximum(np.abs(rows).max(axis=1) / limit, _TINY).astype(np.float32)
    return np.round(rows / scales[:, None]).astype(np.int8), scales
