-- What the ledger's scripts share. KEYS[1] is the sorted set of leases (reservations by deadline), KEYS[2] that of keys to
-- be forgotten, by when: none has a time to live, since a Redis short of memory drops keys that have one. Amounts are integers in nano-USD. Lua computes in doubles, which are exact up to
-- 2^53 nano-USD (about 9 million USD); limits are held below that, and sums above it only ever compare as too large.

-- Milliseconds of Redis' own clock, one for all gateways; a time given by the caller is for tests.
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

-- Year, month and day of the month of a day counted from 1970-01-01 (Howard Hinnant's civil_from_days).
local function civil(days)
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local day = doy - math.floor((153 * mp + 2) / 5) + 1
  local month = mp < 10 and mp + 3 or mp - 9
  return yoe + era * 400 + (month <= 2 and 1 or 0), month, day
end

-- The name of a window's present period and when it ends, in Unix seconds; 0 for one that never does. UTC.
local function period(window, now)
  if window == 'total' then return 'total', 0 end
  local days = math.floor(now / 86400000)
  local year, month, day = civil(days)
  if window == 'day' then return string.format('%04d-%02d-%02d', year, month, day), (days + 1) * 86400 end
  local first = days - day + 1
  local _, _, past = civil(first + 32)
  return string.format('%04d-%02d', year, month), (first + 32 - past + 1) * 86400
end

-- What is settled and what is reserved in a counter, and whether it is new.
local function figures(counter)
  local pair = redis.call('HMGET', counter, 's', 'r')
  return tonumber(pair[1] or '0'), tonumber(pair[2] or '0'), not pair[2]
end

-- A reservation's record is its amount and its counters, a line each.
local function lines(record)
  local found = {}
  for line in string.gmatch(record, '[^\n]+') do found[#found + 1] = line end
  return found
end

-- A sum over the largest limit is as good as any other: more than every limit, and still exact.
local MOST = 9007199254740992

-- The counters of a record, each with what is settled and reserved in it. A counter that is gone belongs to a period that
-- is over for a week. Redis keeps what a script wrote before it failed, so whatever can fail is read first: this raises
-- where a counter is no counter.
local function counters(parts)
  local found = {tonumber(parts[1])}
  for i = 2, #parts do
    local settled, reserved, gone = figures(parts[i])
    if not gone then found[#found + 1] = {parts[i], settled + 0, reserved + 0} end
  end
  return found
end

-- Free what a record holds, and book a cost in its place.
local function book(held, cost)
  for i = 2, #held do
    local name, settled, reserved = unpack(held[i])
    settled = string.format('%.0f', math.min(settled + cost, MOST))
    redis.call('HSET', name, 's', settled, 'r', string.format('%.0f', reserved - held[1]))
  end
end

local WEEK = 604800000

-- Free what reservations past their deadline hold, at most `count` of them: their gateway died. The record stays for a
-- week with an amount of nothing, so that a settlement that comes all the same finds the counters of its own period.
local function sweep(now, count)
  local due = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, count)
  for _, key in ipairs(due) do
    local record = redis.call('GET', key)
    if record then
      local parts = lines(record)
      book(counters(parts), 0)
      parts[1] = '0'
      redis.call('SET', key, table.concat(parts, '\n'))
      redis.call('ZADD', KEYS[2], now + WEEK, key)
    end
    redis.call('ZREM', KEYS[1], key)
  end
  for _, key in ipairs(redis.call('ZRANGE', KEYS[2], '-inf', now, 'BYSCORE', 'LIMIT', 0, 16)) do
    redis.call('DEL', key)
    redis.call('ZREM', KEYS[2], key)
  end
  return #due
end
