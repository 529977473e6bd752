-- Put what was used in the place of what a reservation holds, and forget the reservation, so that it happens once.
-- KEYS: leases, forget, ids that were settled of late, the reservation's record. ARGV: now in ms or '', how long an id is
-- remembered in ms, a record to book by where Redis lost its own (a replica became the master) or '', then an amount for
-- each counter of the record. Returns 1, 2 where the record was lost and is booked all the same, or 0 where there is no
-- such reservation.
local now = clock(ARGV[1])
local record, code = redis.call('GET', KEYS[4]), 1
if not record then
  if ARGV[3] == '' or redis.call('ZSCORE', KEYS[3], KEYS[4]) then return 0 end
  record, code = ARGV[3], 2
end
local found = open(entries(record))
redis.call('ZREM', KEYS[1], KEYS[4])
redis.call('ZREM', KEYS[2], KEYS[4])
redis.call('DEL', KEYS[4])
redis.call('ZADD', KEYS[3], now, KEYS[4])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - tonumber(ARGV[2]))
for i, entry in ipairs(found) do
  if code == 2 and entry.counter.new then
    create(entry.name, entry.bucket, entry.step, entry.forget)
    entry.over = false
  end
  book(entry, tonumber(ARGV[i + 3]))
end
return code
