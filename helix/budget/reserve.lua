-- Hold an amount against every limit, or against none.
-- KEYS: leases, forget, ids that were settled of late, raises, the reservation's record, then the counters.
-- ARGV: now in ms or '', from when and until when these counters are the present ones, the lease in ms, "charge" or '',
-- then for each counter its bucket or '', its hard limit or '', the amount, a bucket's length or '', when to forget it.
-- Returns {0, now, 0, then limit (-1: none), settled and reserved of each counter} as they were before; {i, now, the
-- bucket by which it would fit or -1, …} where limit i refuses; {-1} for an id in use or used of late; {-2, now} where
-- the counters are not the present ones.
local now = clock(ARGV[1])
if now < tonumber(ARGV[2]) or now >= tonumber(ARGV[3]) then return {-2, now} end
if redis.call('EXISTS', KEYS[5]) == 1 or redis.call('ZSCORE', KEYS[3], KEYS[5]) then return {-1} end
local FIRST, AT, STRIDE = 6, 6, 5

local function look()
  local found, refused = standing(now, FIRST, KEYS[4], AT, STRIDE), 0
  for i, counter in ipairs(found) do
    local at = AT + (i - 1) * STRIDE
    counter.limit, counter.amount = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    if counter.limit and counter.raised then counter.limit = math.max(counter.limit, counter.raised) end
    local passes = counter.limit and counter.settled + counter.reserved + counter.amount > counter.limit
    if passes and refused == 0 then refused = i end
  end
  return found, refused
end

-- The oldest bucket of a rolling counter with whose leaving the amount fits.
local function fits(counter)
  if not counter.oldest then return -1 end
  local short = counter.settled + counter.reserved + counter.amount - counter.limit
  for k = counter.oldest, counter.oldest + STEPS do
    local values = redis.call('HMGET', counter.name, 's' .. k, 'r' .. k)
    short = short - tonumber(values[1] or '0') - tonumber(values[2] or '0')
    if short <= 0 then return k end
  end
  return -1
end

sweep(now, 16)
local found, refused = look()
while refused > 0 and sweep(now, 256) > 0 do found, refused = look() end

local reply = {refused, now, refused > 0 and fits(found[refused]) or 0}
for _, counter in ipairs(found) do
  reply[#reply + 1] = counter.limit or -1
  reply[#reply + 1] = counter.settled
  reply[#reply + 1] = counter.reserved
end
if refused > 0 then return reply end

local record = {'0\t' .. ARGV[5]}
for i, counter in ipairs(found) do
  local at = AT + (i - 1) * STRIDE
  local name, amount = counter.name, ARGV[at + 2]
  if counter.new then create(name, counter.bucket, ARGV[at + 3], tonumber(ARGV[at + 4])) end
  if counter.inherits and counter.raised then
    redis.call('HSET', name, 'l', whole(counter.raised), 'u', whole(counter.till))
  end
  redis.call('HINCRBY', name, 'r', amount)
  if counter.bucket then
    redis.call('HINCRBY', name, 'r' .. counter.bucket, amount)
    record[i + 1] = name .. '\t' .. amount .. '\t' .. whole(counter.bucket)
  else
    record[i + 1] = name .. '\t' .. amount
  end
end
redis.call('SET', KEYS[5], table.concat(record, '\n'))
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[4]), KEYS[5])
return reply
