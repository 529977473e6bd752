-- Raise a limit until a time, or end its raise with a time that has come; and note who did, and why.
-- KEYS: raises, the audit, the counter of the present period. ARGV: now in ms or '', the counter's stem, the amount, until
-- when in ms, the note. Returns 1.
local now, till = clock(ARGV[1]), tonumber(ARGV[4])
local found = redis.call('HGETALL', KEYS[1])
for i = 1, #found, 2 do
  if tonumber(string.match(found[i + 1], ':(%d+)$')) <= now then redis.call('HDEL', KEYS[1], found[i]) end
end
if till > now then
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3] .. ':' .. ARGV[4])
  if redis.call('HEXISTS', KEYS[3], 'r') == 1 then redis.call('HSET', KEYS[3], 'l', ARGV[3], 'u', ARGV[4]) end
else
  redis.call('HDEL', KEYS[1], ARGV[2])
  redis.call('HDEL', KEYS[3], 'l', 'u')
end
redis.call('RPUSH', KEYS[2], ARGV[5])
return 1
