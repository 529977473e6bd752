"""Finding questions by nearness. Loaded when the semantic tier is first used."""
