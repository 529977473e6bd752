-- What the ledger's scripts share. KEYS[1] is the sorted set of leases (reservations by deadline), KEYS[2] that of keys to
-- be forgotten, by when: none has a time to live, since a Redis short of memory drops keys that have one. Amounts are
-- integers (nano-USD, tokens, requests). Lua computes in doubles, which are exact up to 2^53 (about 9 million USD); limits
-- are held below that, and sums above it only ever compare as too large.

-- Milliseconds of Redis' own clock, one for all gateways; a time given by the caller is for tests.
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

-- A sum over the largest limit is as good as any other: more than every limit, and still exact.
local MOST = 9007199254740992
local WEEK = 604800000
-- Buckets to the length of a rolling window; one more is counted, so that no stretch of that length passes the limit.
local STEPS = 60

local function whole(number) return string.format('%.0f', number) end

-- A counter is a hash: s and r, what is settled and reserved in it; l and u, what its limit is raised to and until when;
-- and for a rolling window o, its oldest bucket, w, a bucket's length in ms, and s<bucket>, r<bucket>.
local function read(name)
  local found = redis.call('HMGET', name, 's', 'r', 'l', 'u', 'o')
  return {
    name = name, settled = tonumber(found[1] or '0'), reserved = tonumber(found[2] or '0'),
    raised = tonumber(found[3] or ''), till = tonumber(found[4] or ''), oldest = tonumber(found[5] or ''),
    new = not found[2],
  }
end

-- Take out of a rolling counter what has left its window by this bucket.
local function turn(counter, bucket)
  local last = bucket - STEPS - 1
  if not counter.oldest or counter.oldest > last then return end
  local fields = {}
  for k = counter.oldest, math.min(last, counter.oldest + STEPS) do
    fields[#fields + 1] = 's' .. k
    fields[#fields + 1] = 'r' .. k
  end
  local values = redis.call('HMGET', counter.name, unpack(fields))
  for i = 1, #fields, 2 do
    counter.settled = math.max(counter.settled - tonumber(values[i] or '0'), 0)
    counter.reserved = math.max(counter.reserved - tonumber(values[i + 1] or '0'), 0)
  end
  counter.oldest = last + 1
  redis.call('HDEL', counter.name, unpack(fields))
  redis.call('HSET', counter.name, 's', whole(counter.settled), 'r', whole(counter.reserved), 'o', whole(last + 1))
end

-- Write a counter that is not there yet, and note when to forget it.
local function create(name, bucket, step, forget)
  redis.call('HSET', name, 's', '0', 'r', '0')
  if bucket then redis.call('HSET', name, 'o', whole(bucket), 'w', step) end
  if forget then redis.call('ZADD', KEYS[2], forget, name) end
end

-- A reservation's record: on its first line what it holds in each counter whose line says nothing else, and "charge"
-- where it is to be booked, not freed, when its lease ends. Then a counter a line: its name, what is held in it, its
-- bucket, what was booked in it when the lease ended, a bucket's length, when to forget it; tabs between them.
local function entries(record)
  local found = nil
  for line in string.gmatch(record, '[^\n]+') do
    local part = {}
    for field in string.gmatch(line .. '\t', '([^\t]*)\t') do part[#part + 1] = field end
    if not found then
      found = {charge = part[2] == 'charge', usual = tonumber(part[1])}
    else
      found[#found + 1] = {
        name = part[1], held = tonumber(part[2] or '') or found.usual, bucket = tonumber(part[3] or ''),
        booked = tonumber(part[4] or '') or 0, step = part[5], forget = tonumber(part[6] or ''),
      }
    end
  end
  return found
end

-- Read the counters of a record. A counter that is gone, and a bucket that has left, belong to a period that is over.
-- Redis keeps what a script wrote before it failed, so whatever can fail is read first: this raises where a counter is
-- no counter.
local function open(found)
  for _, entry in ipairs(found) do
    entry.counter = read(entry.name)
    local oldest = entry.counter.oldest
    entry.over = entry.counter.new or (entry.bucket and oldest and entry.bucket < oldest)
  end
  return found
end

-- Free what an entry holds, and book an amount in its place.
local function book(entry, amount)
  if entry.over then return end
  local counter = entry.counter
  local more = amount - entry.booked
  local settled = math.max(math.min(counter.settled + more, MOST), 0)
  redis.call('HSET', entry.name, 's', whole(settled), 'r', whole(math.max(counter.reserved - entry.held, 0)))
  if entry.bucket then
    local s, r = 's' .. entry.bucket, 'r' .. entry.bucket
    local values = redis.call('HMGET', entry.name, s, r)
    settled = math.max(math.min(tonumber(values[1] or '0') + more, MOST), 0)
    redis.call('HSET', entry.name, s, whole(settled), r, whole(math.max(tonumber(values[2] or '0') - entry.held, 0)))
  end
end

-- End a reservation whose gateway died: free what it holds, or book it, as its record says. The record stays for a week,
-- so that a settlement that comes all the same finds the counters of its own period and takes the place of what was
-- booked.
local function lapse(key, record, now)
  local found = open(entries(record))
  local lines = {found.charge and '0\tcharge' or '0'}
  for i, entry in ipairs(found) do
    local booked = found.charge and entry.held or 0
    book(entry, booked)
    lines[i + 1] = table.concat({entry.name, '0', entry.bucket and whole(entry.bucket) or '', whole(booked)}, '\t')
  end
  redis.call('SET', key, table.concat(lines, '\n'))
  redis.call('ZADD', KEYS[2], now + WEEK, key)
end

-- Forget a key whose time has come; a rolling counter only where nothing is left in it.
local function forget(key, now)
  if redis.call('TYPE', key).ok == 'hash' then
    local step = tonumber(redis.call('HGET', key, 'w') or '')
    if step then
      local counter = read(key)
      turn(counter, math.floor(now / step))
      if counter.settled > 0 or counter.reserved > 0 then
        redis.call('ZADD', KEYS[2], now + WEEK, key)
        return
      end
    end
  end
  redis.call('DEL', key)
  redis.call('ZREM', KEYS[2], key)
end

-- End reservations past their deadline, at most `count` of them, and forget some of what is due.
local function sweep(now, count)
  local due = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, count)
  for _, key in ipairs(due) do
    local record = redis.call('GET', key)
    if record then lapse(key, record, now) end
    redis.call('ZREM', KEYS[1], key)
  end
  for _, key in ipairs(redis.call('ZRANGE', KEYS[2], '-inf', now, 'BYSCORE', 'LIMIT', 0, 16)) do forget(key, now) end
  return #due
end

-- Read the counters of KEYS from `first` on, each with the bucket that ARGV tells of it, `stride` values apart: rolling
-- ones turned, new ones with the raise that their window has.
local function standing(now, first, raises, at, stride)
  local found = {}
  for i = first, #KEYS do
    local counter, bucket = read(KEYS[i]), tonumber(ARGV[at + (i - first) * stride])
    if counter.new and not counter.till then
      local stem = bucket and counter.name or string.match(counter.name, '^(.*):[^:]*$')
      local raise = redis.call('HGET', raises, stem)
      if raise then
        local amount, till = string.match(raise, '^(%d+):(%d+)$')
        counter.raised, counter.till, counter.inherits = tonumber(amount), tonumber(till), true
      end
    end
    if bucket then
      turn(counter, bucket)
      -- A clock that was moved back: what comes now stays as long as the oldest that is there.
      counter.bucket = math.max(bucket, counter.oldest or bucket)
    end
    if not counter.till or counter.till <= now then counter.raised = nil end
    found[#found + 1] = counter
  end
  return found
end
