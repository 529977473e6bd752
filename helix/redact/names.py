"""Names and places as a Presidio recognizer. Imports Presidio: import this module where a detector is opened.

    analyzer.registry.add_recognizer(NameRecognizer())

finds PERSON, LOCATION, ORGANIZATION, NRP (nationality, religion, politics), DATE_TIME, AGE, TITLE and PHONE_NUMBER in
English texts, in anybody's AnalyzerEngine, by a model of 22 MB that comes with Helix: nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from presidio_analyzer import AnalysisExplanation, EntityRecognizer, RecognizerResult

from helix.kernel.errors import BackendUnavailable

__all__ = ["NAME_KINDS", "NameRecognizer"]

NAME_KINDS = ("PERSON", "LOCATION", "ORGANIZATION", "NRP", "DATE_TIME", "AGE", "TITLE", "PHONE_NUMBER")
"""Every kind that the packaged model finds."""


class NameRecognizer(EntityRecognizer):  # type: ignore[misc]
    """Finds names, places and the like by a token classifier run by ONNX Runtime. For any number of threads at once.

    `folder` is a model as models/pii-en/export.py writes it, None for the packaged one; `entities` the kinds to find,
    all of the model's by default; `threshold` the least score (0 to 1); `providers` are ONNX Runtime's, in order of
    preference; `threads` those of one call. Raises BackendUnavailable where onnxruntime or tokenizers are not installed
    or the model is not what it was, and ValueError for kinds that the model does not know.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        entities: Sequence[str] | None = None,
        language: str = "en",
        threshold: float = 0.4,
        providers: Sequence[str] = ("CPUExecutionProvider",),
        threads: int = 1,
    ) -> None:
        try:
            from helix.redact.tagger import PACKAGED, Tagger
        except ImportError as error:
            raise BackendUnavailable(
                f"names need the package {error.name}: pip install 'helix-gateway[redact]'"
            ) from None
        self._tagger = Tagger(Path(folder) if folder is not None else PACKAGED, providers=providers, threads=threads)
        self._threshold = threshold
        kinds = self._tagger.kinds if entities is None else tuple(entities)
        if unknown := [kind for kind in kinds if kind not in self._tagger.kinds]:
            raise ValueError(f"the names model does not find {unknown[0]!r}; it finds {', '.join(self._tagger.kinds)}")
        super().__init__(
            supported_entities=list(kinds),
            name="NameRecognizer",
            supported_language=language,
            version=self._tagger.version,
        )

    def load(self) -> None:
        """Nothing: the model is loaded when it is made."""

    def analyze(self, text: str, entities: Sequence[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
        """What is named in a text, of the kinds asked for."""
        return self.analyze_batch([text], entities)[0]

    def analyze_batch(
        self,
        texts: Sequence[str],
        entities: Sequence[str] | None = None,
        *,
        going_on: Callable[[], None] = lambda: None,
    ) -> list[list[RecognizerResult]]:
        """What is named in each text. `going_on` is called between windows of about 100 words and may raise."""
        wanted = set(self.supported_entities if entities is None else entities) & set(self.supported_entities)
        if not wanted:
            return [[] for _ in texts]
        found = self._tagger.tag(texts, threshold=self._threshold, going_on=going_on)
        return [[self._result(*tag) for tag in tags if tag.kind in wanted] for tags in found]

    def _result(self, start: int, end: int, kind: str, score: float) -> RecognizerResult:
        score = round(score, 4)
        return RecognizerResult(
            kind,
            start,
            end,
            score,
            AnalysisExplanation(self.name, score, textual_explanation="the names model"),
            {
                RecognizerResult.RECOGNIZER_NAME_KEY: self.name,
                RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
            },
        )
