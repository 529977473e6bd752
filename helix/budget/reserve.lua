-- Hold an amount against every limit, or against none.
-- KEYS: leases, forget, the reservation's record, then a counter's name for each limit.
-- ARGV: now in ms or '', the lease in ms, the amount, then window and limit for each limit.
-- Returns {0, the least that remains}, {i, settled, reserved, end of the period, now} where limit i refuses, both times
-- in Unix seconds, or {-1} for an id in use.
local now, amount = clock(ARGV[1]), tonumber(ARGV[3])
if redis.call('EXISTS', KEYS[3]) == 1 then return {-1} end

local function try()
  local counters, least = {}, nil
  for i = 4, #KEYS do
    local window, limit = ARGV[2 * i - 4], tonumber(ARGV[2 * i - 3])
    local name, ends = period(window, now)
    local counter = KEYS[i] .. ':' .. name
    local settled, reserved, new = figures(counter)
    local remains = limit - settled - reserved - amount
    if remains < 0 then return nil, {i - 3, settled, reserved, ends, math.floor(now / 1000)} end
    if not least or remains < least then least = remains end
    counters[i - 3] = {counter, ends, new}
  end
  return counters, {0, least or 0}
end

sweep(now, 16)
local counters, verdict = try()
while not counters and sweep(now, 256) > 0 do
  counters, verdict = try()
end
if not counters then return verdict end

local record = {ARGV[3]}
for i, counter in ipairs(counters) do
  local name, ends, new = unpack(counter)
  record[i + 1] = name
  redis.call('HINCRBY', name, 'r', ARGV[3])
  if new and ends > 0 then redis.call('ZADD', KEYS[2], ends * 1000 + WEEK, name) end
end
redis.call('SET', KEYS[3], table.concat(record, '\n'))
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), KEYS[3])
return verdict
