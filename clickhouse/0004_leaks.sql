-- Personal data in answers that was not in the request, where answers are looked through.

ALTER TABLE requests
    ADD COLUMN IF NOT EXISTS leaks Map(LowCardinality(String), UInt32)
        COMMENT 'kind of personal data: how many values in the answer that the request did not have'
        AFTER findings;
