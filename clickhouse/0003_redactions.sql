-- What the redact stage decided, request by request, for whoever has to account for it: never a value.

ALTER TABLE requests
    ADD COLUMN IF NOT EXISTS redact_outcome LowCardinality(String)
        COMMENT 'redacted, blocked, outage (refused), passed (sent on unredacted), token_ids (sent on unread); empty: nothing to do'
        AFTER unknown_placeholders,
    ADD COLUMN IF NOT EXISTS findings String
        COMMENT 'JSON: detector, findings (kind, place, start, end, score, recognizer, strategy), more (how many are not listed)'
        CODEC(ZSTD(1))
        AFTER redact_outcome,
    ADD INDEX IF NOT EXISTS by_redact_outcome redact_outcome TYPE set(8) GRANULARITY 4;
