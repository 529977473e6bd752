"""Train the tagger; resumes from its last checkpoint, and gives the same batches for the same seed.

    OMP_NUM_THREADS=1 python train.py --made .cache/made.jsonl --data DIR --steps 3000 --out .cache/run

DIR holds the sets named *_train.jsonl. One thread: two of them wait for each other where a core is shared.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from examples import IGNORED, Encoded, encode, known_kinds, labelled, swapped, tokenizer
from generate import Example
from network import KINDS, LABELS, Tagger
from torch import Tensor
from torch.nn import functional

__all__ = ["batches", "load", "loss_of", "train"]

_AVERAGED_EVERY = 4


def load(made: list[Path], data: Path | None, seed: int) -> list[Encoded]:
    """All examples: those made here, those of the openly licensed sets, and these once more with values swapped."""
    pieces = tokenizer()
    encoded: list[Encoded] = []
    for path in made:
        with path.open(encoding="utf-8") as file:
            rows: list[Example] = [json.loads(line) for line in file]
        encoded += encode(rows, pieces, seed=seed)
    for at, path in enumerate(sorted(data.glob("*_train.jsonl")) if data else []):
        rows = list(labelled(path))
        encoded += encode(rows, pieces, known=known_kinds(), seed=seed)
        encoded += encode(swapped(rows, seed + at), pieces, known=known_kinds(), seed=seed)
    return encoded


def batches(encoded: list[Encoded], pieces_per_batch: int, seed: int) -> Iterator[list[Encoded]]:
    """Batches of examples of like length without end, each example once an epoch, in an order that the seed decides."""
    epoch = 0
    while True:
        rng = random.Random(seed * 1_000_003 + epoch)
        order = sorted(range(len(encoded)), key=lambda at: (len(encoded[at].pieces) + rng.random() * 8, at))
        groups: list[list[Encoded]] = [[]]
        for at in order:
            if (len(groups[-1]) + 1) * len(encoded[at].pieces) > pieces_per_batch and groups[-1]:
                groups.append([])
            groups[-1].append(encoded[at])
        rng.shuffle(groups)
        yield from groups
        epoch += 1


def tensors(batch: list[Encoded], device: str, rng: random.Random, hidden_share: float) -> tuple[Tensor, ...]:
    """Pieces, shapes, mask, labels and (examples, labels) of what a piece outside every mark may be: 0, else -inf."""
    longest = max(len(example.pieces) for example in batch)

    def padded(rows: list[list[int]], fill: int) -> Tensor:
        return torch.tensor([row + [fill] * (longest - len(row)) for row in rows], device=device)

    unknown_piece = 103  # [MASK]
    pieces = padded(
        [
            # Some pieces of names are hidden, so that what stands around them is learnt from.
            [
                unknown_piece if label > 0 and rng.random() < hidden_share else piece
                for piece, label in zip(each.pieces, each.labels, strict=True)
            ]
            for each in batch
        ],
        0,
    )
    labels = padded([example.labels for example in batch], IGNORED)
    allowed = torch.full((len(batch), len(LABELS)), -math.inf)
    allowed[:, 0] = 0
    for row, example in enumerate(batch):
        for kind in example.unknown:
            at = 1 + 2 * KINDS.index(kind)
            allowed[row, at : at + 2] = 0
    mask = padded([[1] * len(example.pieces) for example in batch], 0).bool()[:, None, None, :]
    return pieces, padded([example.shapes for example in batch], 0), mask, labels, allowed.to(device)


def loss_of(scores: Tensor, labels: Tensor, allowed: Tensor) -> Tensor:
    """Mean negative log likelihood; outside of marks, of O or of any label that the example's set lacks."""
    likely = functional.log_softmax(scores.float(), dim=-1)
    told = likely.gather(-1, labels.clamp(min=0)[..., None]).squeeze(-1)
    outside = (likely + allowed[:, None, :]).logsumexp(-1)
    loss = -torch.where(labels == 0, outside, told)
    return loss[labels != IGNORED].mean()


def rate(step: int, steps: int, peak: float) -> float:
    """The learning rate: up over 150 steps, level, and down over the last 40 % of the steps."""
    left = (steps - step) / max(1.0, 0.4 * steps)
    return peak * min(1.0, (step + 1) / 150, max(0.02, left))


def train(
    encoded: list[Encoded],
    out: Path,
    *,
    steps: int,
    seed: int,
    peak: float,
    pieces: int,
    device: str,
    layers: int,
    save_every: int,
    stop: int | None = None,
) -> Tagger:
    """Train to `steps` in all, or to `stop`, from the last checkpoint in `out`, and give the averaged weights."""
    torch.manual_seed(seed)
    tagger: Tagger = Tagger.from_base(layers).to(device)
    # The words' vectors stay: names that training never shows keep their places among those that it does.
    tagger.words.weight.requires_grad_(False)
    learnt = [(name, weight) for name, weight in tagger.named_parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": [w for n, w in learnt if not n.startswith("head")], "times": 1.0},
            {"params": [w for n, w in learnt if n.startswith("head")], "times": 5.0},
        ],
        lr=peak, weight_decay=0.01, fused=True,
    )  # fmt: skip
    average = {name: weight.detach().clone() for name, weight in learnt}
    checkpoint, done = out / "checkpoint.pt", 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        tagger.load_state_dict(saved["tagger"], strict=False)
        optimizer.load_state_dict(saved["optimizer"])
        average, done = saved["average"], saved["done"]

    def save() -> None:
        out.mkdir(parents=True, exist_ok=True)
        state = {name: value for name, value in tagger.state_dict().items() if name != "words.weight"}
        saved = {
            "tagger": state,
            "optimizer": optimizer.state_dict(),
            "average": average,
            "done": done,
            "layers": layers,
        }
        torch.save(saved, checkpoint.with_suffix(".new"))
        checkpoint.with_suffix(".new").replace(checkpoint)

    stream = batches(encoded, pieces, seed)
    for _ in range(done):
        next(stream)
    amp = torch.autocast(device, dtype=torch.bfloat16) if _has_bf16(device) else contextlib.nullcontext()
    started, seen, total = time.process_time(), 0, 0.0
    tagger.train()
    last = steps if stop is None else min(stop, steps)
    while done < last:
        batch = next(stream)
        ids, written, mask, labels, allowed = tensors(batch, device, random.Random(seed * 7919 + done), 0.04)
        with amp:
            scores = tagger(ids, written, mask)
        loss = loss_of(scores, labels, allowed)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([weight for _, weight in learnt], 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate(done, steps, peak) * group["times"]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        done += 1
        seen, total = seen + ids.numel(), total + loss.item()
        if done % _AVERAGED_EVERY == 0:
            with torch.no_grad():
                # Early on the average follows at once; later it spans some hundred steps.
                share = 1 - min(0.985, done / (done + 40 * _AVERAGED_EVERY))
                for name, weight in learnt:
                    average[name].lerp_(weight, share)
        if done % 50 == 0 or done == last:
            spent = time.process_time() - started
            print(
                f"step {done}/{steps} loss {total / 50:.4f} {seen / spent:.0f} pieces/s of CPU, {spent:.0f} s",
                flush=True,
            )
            total = 0.0
        if done % save_every == 0 or done == last:
            save()
    tagger.load_state_dict(average, strict=False)
    tagger.eval()
    return tagger


def averaged(out: Path) -> Tagger:
    """The averaged weights of the last checkpoint in a folder."""
    saved = torch.load(out / "checkpoint.pt", map_location="cpu", weights_only=True)
    tagger: Tagger = Tagger.from_base(saved["layers"])
    tagger.load_state_dict(saved["average"], strict=False)
    tagger.eval()
    return tagger


def _has_bf16(device: str) -> bool:
    if device != "cpu":
        return bool(torch.cuda.is_bf16_supported())
    capable: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return capable


def main() -> None:
    """Train as the arguments say."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--made", type=Path, nargs="+", required=True, help="files of generate.py")
    arguments.add_argument("--data", type=Path, help="folder of the openly licensed sets, *_train.jsonl")
    arguments.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    arguments.add_argument("--steps", type=int, default=3000)
    arguments.add_argument("--stop", type=int, help="pause after this step")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--rate", type=float, default=3e-4)
    arguments.add_argument("--pieces", type=int, default=1536, help="pieces in a batch")
    arguments.add_argument("--layers", type=int, default=5)
    arguments.add_argument("--save-every", type=int, default=100)
    arguments.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments.add_argument("--threads", type=int, default=1)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    encoded = load(options.made, options.data, options.seed)
    print(f"{len(encoded)} examples, {sum(len(each.pieces) for each in encoded)} pieces", flush=True)
    train(
        encoded, options.out, steps=options.steps, seed=options.seed, peak=options.rate, pieces=options.pieces,
        device=options.device, layers=options.layers, save_every=options.save_every, stop=options.stop,
    )  # fmt: skip


if __name__ == "__main__":
    main()
