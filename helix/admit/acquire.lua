-- Count a request against a key's limits: at most `rpm` in any 60 seconds (a sliding log, so exact), and at most `parallel`
-- at once (each with a deadline, so that a gateway that died frees its own).
-- KEYS: the log, the running ones; sorted sets of request ids by when they came and by their deadline, in ms.
-- ARGV: now in ms or '', the request's id, rpm or '', parallel or '', the lease in ms.
-- Returns {0: admitted, 1: rpm refuses, 2: parallel refuses}, how many more may come, ms until the oldest leaves the log.
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local rpm, parallel, window = tonumber(ARGV[3]), tonumber(ARGV[4]), 60000

local made, wait = 0, 0
if rpm then
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
  made = redis.call('ZCARD', KEYS[1])
  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  wait = (oldest[2] and tonumber(oldest[2]) or now) + window - now
  if made >= rpm then return {1, 0, wait} end
end
if parallel then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
  if redis.call('ZCARD', KEYS[2]) >= parallel then return {2, rpm and rpm - made or 0, wait} end
  redis.call('ZADD', KEYS[2], now + tonumber(ARGV[5]), ARGV[2])
  redis.call('PEXPIRE', KEYS[2], ARGV[5])
end
if rpm then
  redis.call('ZADD', KEYS[1], now, ARGV[2])
  redis.call('PEXPIRE', KEYS[1], window)
end
return {0, rpm and rpm - made - 1 or 0, wait}
