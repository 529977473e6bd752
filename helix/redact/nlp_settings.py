"""An NLP engine's settings, in Presidio's own form, checked without loading anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

__all__ = ["check_nlp_engine", "nlp_kinds", "nlp_languages"]

# Presidio's engines, and what each calls its models.
_ENGINES: Mapping[str, tuple[str, ...]] = {"spacy": (), "stanza": (), "transformers": ("spacy", "transformers")}
_KEYS = ("nlp_engine_name", "models", "ner_model_configuration")


def nlp_languages(settings: Mapping[str, Any] | None) -> list[str]:
    """The languages of the models."""
    models = (settings or {}).get("models")
    return [str(model.get("lang_code")) for model in models or () if isinstance(model, Mapping)]


def nlp_kinds(settings: Mapping[str, Any] | None) -> frozenset[str]:
    """The kinds that the settings themselves name."""
    ner = (settings or {}).get("ner_model_configuration")
    mapping = ner.get("model_to_presidio_entity_mapping") if isinstance(ner, Mapping) else None
    return frozenset(map(str, (mapping or {}).values()))


def check_nlp_engine(settings: Mapping[str, Any], languages: Sequence[str]) -> None:
    """Raise ValueError, with the place before it, for settings that Presidio would not take or would download for."""
    for key in settings:
        if key not in _KEYS:
            raise ValueError(f"nlp_engine.{key}: unknown key; allowed here: {', '.join(_KEYS)}")
    name = str(settings.get("nlp_engine_name"))
    if name not in _ENGINES:
        raise ValueError(f"nlp_engine.nlp_engine_name: allowed are {', '.join(_ENGINES)}, found {name!r}")
    models = settings.get("models")
    if not isinstance(models, list | tuple) or not models:
        raise ValueError("nlp_engine.models: name at least one, {lang_code: en, model_name: …}")
    for index, model in enumerate(models):
        place = f"nlp_engine.models[{index}]"
        if not isinstance(model, Mapping) or {*model} != {"lang_code", "model_name"}:
            raise ValueError(f"{place}: must be a mapping with the keys lang_code, model_name")
        if model["lang_code"] not in languages:
            raise ValueError(
                f"{place}.lang_code: {model['lang_code']!r} is not among helix.redact.languages, {', '.join(languages)}"
            )
        _check_model(f"{place}.model_name", name, model["model_name"])


def _check_model(place: str, engine: str, name: Any) -> None:
    parts = _ENGINES[engine]
    if parts:
        if not isinstance(name, Mapping) or {*name} != {*parts}:
            raise ValueError(f"{place}: must be a mapping with the keys {', '.join(parts)}")
        place, name = f"{place}.spacy", name["spacy"]
    if not isinstance(name, str) or not name:
        raise ValueError(f"{place}: must be the name of a model")
    if engine != "stanza" and not Path(name).is_dir() and not _is_installed(name):
        # Presidio would run pip to fetch it.
        raise ValueError(f"{place}: {name!r} is neither a folder nor an installed package; install it first")


def _is_installed(package: str) -> bool:
    try:
        distribution(package)
    except (PackageNotFoundError, ValueError):
        return False
    return True
