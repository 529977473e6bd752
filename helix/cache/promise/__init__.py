"""A promised error rate: what may be served by meaning is decided by a probability and a bound, not by a cosine.

    calibration   (similarity, overlap) → log-odds that two questions have the same answer, with an interval
    vote          neighbours, with what was learned of each → the group whose answer would be given, and a score
    bound         what checks have shown about scores → the least score that may be served
    learning      the state of each scope, shared by all processes through the store
    answers       whether two answers are the same
    checks        asking upstream what a hit would have been, in the background and inside a budget

The first three are pure.
"""

from __future__ import annotations
