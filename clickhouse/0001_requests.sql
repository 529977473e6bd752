-- One row per request: names, counts, amounts and durations; never text of a request or an answer.
-- Column comments give the name in OpenTelemetry's GenAI conventions where there is one.
-- Rows come sorted by time, as they are looked at; the skip indexes serve the look-ups by id and by key.
-- The deduplication window is what lets a batch be sent again after a lost reply without being counted twice.

CREATE TABLE IF NOT EXISTS requests
(
    ts                          DateTime64(6, 'UTC')       COMMENT 'arrival'                                CODEC(Delta(8), ZSTD(1)),
    request_id                  String                                                                      CODEC(ZSTD(1)),
    operation_name              LowCardinality(String)     COMMENT 'gen_ai.operation.name',
    dialect                     LowCardinality(String)     COMMENT 'chat, completions, embeddings, responses, messages, count_tokens',
    stream                      Bool,

    request_model               LowCardinality(String)     COMMENT 'gen_ai.request.model; "other" for a name that nothing serves',
    response_model              LowCardinality(String)     COMMENT 'gen_ai.response.model; the deployment\'s, also on a cache hit',
    provider_name               LowCardinality(String)     COMMENT 'gen_ai.provider.name',
    deployment                  LowCardinality(String),
    server_address              LowCardinality(String)     COMMENT 'server.address; host only',
    attempts                    UInt8,
    fallbacks                   UInt8,

    status                      UInt16                     COMMENT 'http.response.status_code; 499: the caller left',
    error_code                  LowCardinality(String)     COMMENT 'error.type; empty: no error',
    finish_reason               LowCardinality(String)     COMMENT 'gen_ai.response.finish_reasons',

    input_tokens                UInt32                     COMMENT 'gen_ai.usage.input_tokens'              CODEC(T64, ZSTD(1)),
    output_tokens               UInt32                     COMMENT 'gen_ai.usage.output_tokens'             CODEC(T64, ZSTD(1)),
    cache_read_input_tokens     UInt32                     COMMENT 'gen_ai.usage.cache_read.input_tokens'   CODEC(T64, ZSTD(1)),
    cache_creation_input_tokens UInt32                     COMMENT 'gen_ai.usage.cache_creation.input_tokens' CODEC(T64, ZSTD(1)),
    reasoning_output_tokens     UInt32                     COMMENT 'gen_ai.usage.reasoning.output_tokens'   CODEC(T64, ZSTD(1)),

    cost_nano_usd               UInt64                     COMMENT '1e-9 USD; 0 on a cache hit'             CODEC(T64, ZSTD(1)),
    saved_nano_usd              UInt64                     COMMENT '1e-9 USD that a cache hit did not cost' CODEC(T64, ZSTD(1)),
    priced                      Bool                       COMMENT 'whether the model has a price',
    budget_refused              LowCardinality(String)     COMMENT 'name of the limit that refused',

    cache_status                LowCardinality(String)     COMMENT 'exact, semantic, miss, bypass, refresh; empty: no cache',
    cache_entry                 String                                                                      CODEC(ZSTD(1)),
    cache_similarity            Nullable(Float32)          COMMENT 'cosine similarity of a semantic hit',
    cache_veto                  LowCardinality(String)     COMMENT 'the guard that refused the nearest',
    cache_age_seconds           Nullable(Float32),

    redactions                  Map(LowCardinality(String), UInt32) COMMENT 'kind of personal data: how many values',
    restored                    UInt32                     COMMENT 'values put back into the answer',
    unknown_placeholders        UInt32                     COMMENT 'placeholders in the answer that stand for nothing',

    duration_ms                 Float32                    COMMENT 'gen_ai.server.request.duration, in ms'  CODEC(ZSTD(1)),
    first_token_ms              Nullable(Float32)          COMMENT 'gen_ai.server.time_to_first_token, in ms; streams only' CODEC(ZSTD(1)),
    overhead_ms                 Float32                    COMMENT 'Helix\'s own part of the time to the first byte' CODEC(ZSTD(1)),
    upstream_ms                 Float32                    COMMENT 'the provider\'s part'                   CODEC(ZSTD(1)),
    upstream_first_ms           Float32                    COMMENT 'until the provider\'s reply began'      CODEC(ZSTD(1)),
    redact_ms                   Float32                                                                     CODEC(ZSTD(1)),
    cache_ms                    Float32                                                                     CODEC(ZSTD(1)),
    budget_ms                   Float32                                                                     CODEC(ZSTD(1)),

    key_id                      LowCardinality(String),
    key_name                    LowCardinality(String),
    user                        LowCardinality(String),
    team                        LowCardinality(String),
    organization                LowCardinality(String),
    tags                        Array(LowCardinality(String)),
    helix_version               LowCardinality(String),

    INDEX by_request_id request_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_key_id     key_id     TYPE set(1000)          GRANULARITY 4
)
ENGINE = MergeTree
PARTITION BY toMonday(ts)
PRIMARY KEY ts
ORDER BY (ts, request_id)
TTL toDateTime(ts) + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;
