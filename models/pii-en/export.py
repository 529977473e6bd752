"""Write the trained tagger as an ONNX graph with 8-bit weights, with its tokenizer, configuration and checksums.

    python export.py --run .cache/run --out artifact

The graph is written node by node, with ONNX Runtime's fused operators: each weight matrix in int8 with a scale a
column, each activation in uint8 with a scale a call (DynamicQuantizeMatMul: the CPU's int8 dot products), vectors of
words in int8 with a scale a row. `--float` leaves all of it in float32, for GPUs, which have no such operators.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from examples import tokenizer
from network import LABELS, Tagger
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper
from torch import Tensor
from torch.nn import LayerNorm
from train import averaged

from helix.redact.shapes import SHAPES

__all__ = ["graph_of", "write"]

MAX_PIECES = 256
_ORT = "com.microsoft"
_HEADS = 12


class Graph:
    """A graph under construction: each method adds a node and gives the name of its output."""

    def __init__(self, is_float: bool) -> None:
        self.is_float = is_float
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []
        self._last_axis = "" if is_float else self.weight(np.array([-1], np.int64))

    def weight(self, value: NDArray[np.generic]) -> str:
        """A constant."""
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, operator: str, *inputs: str, domain: str = "", outputs: int = 1, **attributes: Any) -> str:
        """The first output of a new node; the others are named after it."""
        name = f"n{len(self.nodes)}"
        names = [name, *(f"{name}_{at}" for at in range(1, outputs))]
        self.nodes.append(helper.make_node(operator, list(inputs), names, domain=domain, **attributes))
        return name

    def linear(self, x: str, weight: Tensor, bias: Tensor) -> str:
        """x @ weight.T + bias."""
        matrix, shift = weight.detach().numpy().T, self.weight(bias.detach().numpy())
        if self.is_float:
            return self.node("Add", self.node("MatMul", x, self.weight(matrix)), shift)
        scale = np.abs(matrix).max(axis=0) / 127
        rounded = np.round(matrix / scale).astype(np.int8)
        zero = self.weight(np.zeros(len(scale), np.int8))
        return self.node(
            "DynamicQuantizeMatMul",
            x,
            self.weight(rounded),
            self.weight(scale.astype(np.float32)),
            zero,
            shift,
            domain=_ORT,
        )

    def lookup(self, table: Tensor, at: str) -> str:
        """Rows of a table."""
        rows = table.detach().numpy()
        if self.is_float or len(rows) < 1000:
            return self.node("Gather", self.weight(rows), at)
        scale = np.abs(rows).max(axis=1, keepdims=True) / 127
        scale[scale == 0] = 1
        small = self.node("Gather", self.weight(np.round(rows / scale).astype(np.int8)), at)
        return self.node(
            "Mul",
            self.node("Cast", small, to=TensorProto.FLOAT),
            self.node("Gather", self.weight(scale.astype(np.float32)), at),
        )

    def normalised(self, x: str, norm: LayerNorm) -> str:
        """The layer norm of x."""
        weight, bias = (self.weight(each.detach().numpy()) for each in (norm.weight, norm.bias))
        if self.is_float:
            return self.node("LayerNormalization", x, weight, bias, axis=-1, epsilon=norm.eps)
        # Step by step: on CPUs ONNX Runtime's own operator (1.32) takes longer than the steps do.
        centred = self.node("Sub", x, self.node("ReduceMean", x, self._last_axis, keepdims=1))
        variance = self.node("ReduceMean", self.node("Mul", centred, centred), self._last_axis, keepdims=1)
        deviation = self.node("Sqrt", self.node("Add", variance, self.weight(np.array(norm.eps, np.float32))))
        return self.node("Add", self.node("Mul", self.node("Div", centred, deviation), weight), bias)


def graph_of(tagger: Tagger, is_float: bool = False) -> ModelProto:
    """`pieces`, `shapes` (windows, pieces) int64 in, `likely` (windows, pieces, labels) out, which sums to 1."""
    graph = Graph(is_float)
    words = graph.lookup(tagger.words.weight, "pieces")
    written = graph.lookup(tagger.shapes.weight, "shapes")
    length = graph.node("Shape", "pieces", start=1, end=2)
    numbers = [graph.weight(np.array([value], np.int64)) for value in (0, 0)]
    table = graph.weight(tagger.positions.weight.detach().numpy()[:MAX_PIECES])
    positions = graph.node("Slice", table, numbers[0], length, numbers[1])
    total = graph.node("Add", graph.node("Add", words, written), positions)
    hidden = graph.normalised(total, tagger.norm)
    for layer in tagger.layers:
        qkv = graph.linear(hidden, layer.qkv.weight, layer.qkv.bias)
        query = graph.node("Split", qkv, axis=-1, num_outputs=3, outputs=3)
        met = graph.node("MultiHeadAttention", query, f"{query}_1", f"{query}_2", domain=_ORT, num_heads=_HEADS)
        out = graph.linear(met, layer.out.weight, layer.out.bias)
        hidden = graph.normalised(graph.node("Add", hidden, out), layer.norm1)
        up = graph.node("Gelu", graph.linear(hidden, layer.up.weight, layer.up.bias), domain=_ORT)
        down = graph.linear(up, layer.down.weight, layer.down.bias)
        hidden = graph.normalised(graph.node("Add", hidden, down), layer.norm2)
    # The last layer is small, and what it loses is lost at once: it stays in float32.
    head = graph.node("MatMul", hidden, graph.weight(tagger.head.weight.detach().numpy().T))
    scores = graph.node("Add", head, graph.weight(tagger.head.bias.detach().numpy()))
    graph.node("Softmax", scores, axis=-1)
    graph.nodes[-1].output[0] = "likely"
    shape = ["windows", "pieces_in_each"]
    made: GraphProto = helper.make_graph(
        graph.nodes, "pii-en",
        [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in ("pieces", "shapes")],
        [helper.make_tensor_value_info("likely", TensorProto.FLOAT, [*shape, len(LABELS)])],
        graph.weights,
    )  # fmt: skip
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(_ORT, 1)], ir_version=9
    )
    checker.check_model(model)
    return model


def write(tagger: Tagger, out: Path, is_float: bool = False) -> None:
    """A folder that NameRecognizer opens: model.onnx, tokenizer.json, config.json, and SHA256SUMS over the three."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.onnx").write_bytes(graph_of(tagger, is_float).SerializeToString(deterministic=True))
    tokenizer().save(str(out / "tokenizer.json"), pretty=False)
    config = {"labels": LABELS, "shapes": SHAPES, "window_pieces": 128, "overlap_pieces": 24}
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    names = ("config.json", "model.onnx", "tokenizer.json")
    sums = "".join(f"{hashlib.sha256((out / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    (out / "SHA256SUMS").write_text(sums)


def main() -> None:
    """Write the artifact of the last checkpoint."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--run", type=Path, required=True, help="folder of train.py's checkpoint")
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--float", action="store_true", dest="is_float")
    options = arguments.parse_args()
    write(averaged(options.run), options.out, options.is_float)


if __name__ == "__main__":
    main()
