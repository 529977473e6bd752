-- Sums that dashboards read instead of the rows. Narrow on purpose: a rollup pays when it has a tenth of the rows or less.
-- Percentiles are taken from the rows themselves; states of them, merged from many small groups, cost as much.
-- Each target has a deduplication window of its own, or a batch sent again would be counted twice here.

CREATE TABLE IF NOT EXISTS requests_per_minute
(
    minute         DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    request_model  LowCardinality(String),
    cache_status   LowCardinality(String),
    requests       UInt64,
    errors         UInt64,
    streams        UInt64,
    input_tokens   UInt64,
    output_tokens  UInt64,
    cost_nano_usd  UInt64,
    saved_nano_usd UInt64,
    restored       UInt64,
    duration_ms    Float64
)
ENGINE = SummingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (minute, request_model, cache_status)
TTL minute + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS requests_to_minute TO requests_per_minute AS
SELECT
    toStartOfMinute(ts)      AS minute,
    request_model,
    cache_status,
    count()                  AS requests,
    countIf(error_code != '') AS errors,
    countIf(stream)          AS streams,
    sum(input_tokens)        AS input_tokens,
    sum(output_tokens)       AS output_tokens,
    sum(cost_nano_usd)       AS cost_nano_usd,
    sum(saved_nano_usd)      AS saved_nano_usd,
    sum(restored)            AS restored,
    sum(duration_ms)         AS duration_ms
FROM requests
GROUP BY minute, request_model, cache_status;

CREATE TABLE IF NOT EXISTS spend_per_day
(
    day            Date,
    team           LowCardinality(String),
    key_id         String,
    request_model  LowCardinality(String),
    key_name       SimpleAggregateFunction(anyLast, String),
    requests       SimpleAggregateFunction(sum, UInt64),
    input_tokens   SimpleAggregateFunction(sum, UInt64),
    output_tokens  SimpleAggregateFunction(sum, UInt64),
    cost_nano_usd  SimpleAggregateFunction(sum, UInt64),
    saved_nano_usd SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(day)
ORDER BY (day, team, key_id, request_model)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS requests_to_day TO spend_per_day AS
SELECT
    toDate(ts)          AS day,
    team,
    key_id,
    request_model,
    anyLast(key_name)   AS key_name,
    count()             AS requests,
    sum(input_tokens)   AS input_tokens,
    sum(output_tokens)  AS output_tokens,
    sum(cost_nano_usd)  AS cost_nano_usd,
    sum(saved_nano_usd) AS saved_nano_usd
FROM requests
GROUP BY day, team, key_id, request_model;
